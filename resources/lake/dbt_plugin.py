"""What dbt-duckdb loads by its profile: it teaches the database that dbt opens our words, and gives it the password, once."""

import os

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin

from resources.lake.macros import teach
from resources.store.database import let_in


class Plugin(BasePlugin):
    """Named `words` in dbt's profile."""

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Called once a database, before the lake is attached."""
        teach(conn)
        let_in(conn, os.environ.get("CONCORD_DATABASE_PASSWORD", ""))
