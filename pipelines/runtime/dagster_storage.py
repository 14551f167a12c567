"""Dagster's own storage, with connections that are kept.

dagster-postgres opens a connection for every question and asks for all tables whenever an instance is made, which is
at every tick of a sensor and at every run: 140 sessions a second kept a core of the database busy.
"""

import os
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import sqlalchemy as sa
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import pg_url_from_config

from resources.store.database import STEADY
from resources.store.pool import ping_when_idle

KEPT, AT_MOST = 2, 30  # connections of one process


class PooledStorage(DagsterPostgresStorage):
    """Dagster's Postgres storage; all instances of a process share one pool, and only the first looks for its tables."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        shared = shared_by(postgres_url, os.getpid())
        super().__init__(postgres_url, should_autocreate_tables=not shared.has_tables, inst_data=inst_data)
        shared.has_tables = True
        for part in (self._run_storage, self._event_log_storage, self._schedule_storage):
            part._engine = shared.engine  # there is no other way to name a pool
        self._run_storage._index_migration_cache = shared.indexes
        self._event_log_storage._secondary_index_cache = shared.event_indexes
        found = self._event_log_storage._has_asset_key_col_on_connection
        self._event_log_storage._has_asset_key_col_on_connection = partial(  # type: ignore[method-assign]
            shared.has_column, found
        )

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "PooledStorage":
        return cls(pg_url_from_config(config_value), inst_data)


class Shared:
    """What the instances of one process have in common."""

    def __init__(self, url: str) -> None:
        told = sa.make_url(url).query
        self.engine = ping_when_idle(
            sa.create_engine(
                url,
                connect_args={name: value for name, value in STEADY.items() if name not in told},
                isolation_level="AUTOCOMMIT",
                pool_size=KEPT,
                max_overflow=AT_MOST - KEPT,
                pool_reset_on_return=None,  # nothing is left open where every statement commits
            )
        )
        self.has_tables = False
        self.indexes: dict[str, Any] = {}
        self.event_indexes: dict[str, Any] = {}
        self.columns: dict[str, bool] = {}

    def has_column(self, found: Callable[[Any, str], bool], connection: Any, column: str) -> bool:
        """Whether the table of assets has a column: Dagster asks the catalogue with every event of an asset."""
        if column not in self.columns:
            self.columns[column] = found(connection, column)
        return self.columns[column]


@cache
def shared_by(url: str, process: int) -> Shared:
    """The one of this process: a fork must not speak on its parent's connections."""
    return Shared(url)
