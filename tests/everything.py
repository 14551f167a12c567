"""What was ever heard of an entity, staged as its syncs stage it: tests ask for more than a slice, and the state keeps less."""

import re
from typing import TYPE_CHECKING

import duckdb

from pipelines.stages.slices import Slice, everything
from pipelines.stages.sync import computer_of, plan_of

if TYPE_CHECKING:
    from tests.fixtures_world import World

PASSING = re.compile(r"\b(stg|landing|ledger|links|touched)_(\w+)")


class Everything:
    """The tables of a sync that are not kept, filled from all that was said to a world."""

    def __init__(self, world: "World") -> None:
        self.world = world

    def show(self, db: duckdb.DuckDBPyConnection, sql: str) -> None:
        """Let the connection see those that a query names, as temporary tables."""
        named = {f"{kind}_{name}" for kind, name in PASSING.findall(sql)}
        for root in self.world.the_map.roots:
            family = {entity.entity for entity in self.world.the_map.family(root.entity)}
            asked = {table for table in named if table.split("_", 1)[1] in family}
            if asked:
                self._fill(db, root.entity, asked)

    def _fill(self, db: duckdb.DuckDBPyConnection, entity: str, tables: set[str]) -> None:
        own = plan_of(self.world.the_map, entity, self.world.project)
        computer = computer_of(self.world.the_map, entity, self.world.project)
        with self.world.store.engine.connect() as connection, computer.slice():
            part = everything(own, computer, connection)
            for model in own.staging:
                computer.fill(model)
            assert isinstance(part, Slice)
            for table in tables:
                found = computer.db.execute(f"from {table}").to_arrow_table()  # noqa: F841  (DuckDB finds it by its name)
                db.execute(f"create or replace temp table {table} as from found")
