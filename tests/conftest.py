"""Which fixtures the tests share."""

import signal

# A suite that is started in the background ignores the interrupt, and so would every process that it starts; Dagster
# would give termination the same deaf ear.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = [
    "tests.fixtures_postgres",
    "tests.fixtures_sftp",
    "tests.fixtures_shopify",
    "tests.fixtures_tryton",
    "tests.fixtures_world",
]
