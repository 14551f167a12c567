"""What dbt-duckdb loads by its profile: it teaches the database that dbt opens our words, once."""

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin

from resources.lake.macros import teach


class Plugin(BasePlugin):
    """Named `words` in dbt's profile."""

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Called once a database, before the lake is attached."""
        teach(conn)
