"""Which fixtures the tests share."""

import signal

import pytest

# A suite that is started in the background ignores the interrupt, and so would every process that it starts; Dagster
# would give termination the same deaf ear.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = [
    "tests.fixtures_postgres",
    "tests.fixtures_sftp",
    "tests.fixtures_shopify",
    "tests.fixtures_stripe",
    "tests.fixtures_tryton",
    "tests.fixtures_world",
    "tests.fixtures_contract",  # imports the others: pytest rewrites a plugin before its first import
]

# Files that take minutes, the longest first: each worker takes a file at a time, and none should be left with one at the end.
LONGEST = ("test_run", "test_stories", "test_kill", "test_tryton", "test_proofs", "test_stock_laws", "test_connectors")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))
