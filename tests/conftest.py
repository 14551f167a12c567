"""Which fixtures the tests share."""

pytest_plugins = [
    "tests.fixtures_postgres",
    "tests.fixtures_sftp",
    "tests.fixtures_shopify",
    "tests.fixtures_tryton",
    "tests.fixtures_world",
]
