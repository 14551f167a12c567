"""DuckDB as a calculator: a worker's database in memory, into which a sync loads its slice, and which keeps nothing."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from pipelines.compiler.plan import BATCH, GIVEN, SET_ASIDE, Model, Plan
from resources.host import settings
from resources.lake.macros import teach
from resources.store import settled

# A prepared plan keeps what the tables' statistics allowed when it was made: `where a = 'x'` planned on an empty table is
# empty for ever (https://github.com/duckdb/duckdb/issues/23704). Without these two optimizers a plan rests on no data.
OPTIMIZERS = "statistics_propagation,compressed_materialization"
FEW = 300  # new messages, up to which a second thread only makes every state twice: 132 instead of 64 ms


@dataclass
class Computer:
    """The statements of one entity, prepared in a catalogue of its own: a DDL in the catalogue that a statement touches would
    make each later execution bind it anew."""

    plan: Plan
    db: duckdb.DuckDBPyConnection
    columns: dict[str, dict[str, str]] = field(default_factory=dict)  # table -> column -> DuckDB's type
    schemas: dict[str, pa.Schema] = field(default_factory=dict)
    tried_at: float | None = None  # when the canary last found its statements right

    def make(self, lent: dict[str, dict[str, str]]) -> None:
        """Make the tables and prepare the statements. `lent` are the columns of tables that are others', by name."""
        entity, plan = self.plan.entity, self.plan
        key = ", ".join(f"{column} varchar" for column in plan.key)
        self._create("batch", BATCH)
        self._create("going_live", "flow varchar, taker varchar")
        self._create(f"touched_{entity}", key)
        self._create("set_aside", SET_ASIDE)
        for kind, given in GIVEN.items():
            self._create(f"{kind}_{entity}", given)
        for name, given in plan.given.items():
            self._create(name, given)
        for name, columns in lent.items():
            self._create(name, ", ".join(f'"{column}" {kind}' for column, kind in columns.items()))
        for model in (*plan.made_of, *plan.staging, *plan.settling):
            self.db.execute(f"create table {model.name} as select * from ({model.sql}) limit 0")
            self._learn(model.name)
        if plan.keys:
            self.db.execute(f"prepare keys as {plan.keys}")
        if plan.lost:
            self.db.execute(f"prepare lost as {plan.lost}")
        for model in (*plan.made_of, *plan.staging, *plan.settling):
            self.db.execute(f"prepare fill_{model.name} as insert into {model.name} by name {model.sql}")

    def _create(self, name: str, columns: str) -> None:
        self.db.execute(f"create table {name} ({columns})")
        self._learn(name)

    def _learn(self, name: str) -> None:
        described = self.db.execute(f"describe {name}").fetchall()
        self.columns[name] = {row[0]: row[1] for row in described}
        self.schemas[name] = self.db.execute(f"from {name} limit 0").to_arrow_table().schema

    @contextmanager
    def slice(self) -> Iterator["Computer"]:
        """A transaction that is rolled back at the end: what was loaded and computed is gone, and the tables stay empty."""
        with suppress(duckdb.TransactionException):  # what failed before has left its transaction open
            self.db.execute("rollback")
        self.db.execute("begin")
        try:
            yield self
        finally:
            with suppress(duckdb.Error):  # a transaction that failed has ended already
                self.db.execute("rollback")

    def load(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows, in the order of the table's columns."""
        if not rows:
            return
        schema, columns = self.schemas[table], zip(*rows, strict=True)
        given = pa.Table.from_arrays(
            [
                pa.array(column, pa.string() if settled.is_nested(kind) else known.type)
                for column, known, kind in zip(columns, schema, self.columns[table].values(), strict=True)
            ],
            names=schema.names,
        )
        chosen = ", ".join(settled.typed(name, kind) for name, kind in self.columns[table].items())
        self.db.execute(f"insert into {table} select {chosen} from given")
        del given

    def empty(self, *tables: str) -> None:
        """Empty these tables within a slice."""
        for table in tables:
            self.db.execute(f"delete from {table}")

    def truncate(self, *tables: str) -> None:
        """Empty these tables, or all of them, outside a slice. No DDL: what is prepared stays bound."""
        for table in tables or self.columns:
            self.db.execute(f"truncate {table}")

    def fill(self, *models: Model, anew: bool = False) -> None:
        """Run models, as they were prepared; `anew` plans them for this time alone."""
        for model in models:
            self.db.execute(f"insert into {model.name} by name {model.sql}" if anew else f"execute fill_{model.name}")

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """The rows of a table as they are stored: what Postgres has no type for, as JSON."""
        chosen = ", ".join(settled.stored(name, kind) for name, kind in self.columns[table].items())
        return self.db.execute(f"select {chosen} from {table}").fetchall()

    def ask(self, sql: str, values: Any = None) -> list[tuple[Any, ...]]:
        return self.db.execute(sql, values).fetchall() if values is not None else self.db.execute(sql).fetchall()


@dataclass
class Workbench:
    """The database of a worker and the computers of the entities that it has settled, each made when it is first needed."""

    memory: str = "400MB"
    computers: dict[str, Computer] = field(default_factory=dict)
    db: duckdb.DuckDBPyConnection | None = None
    threads: int = 2

    def computer(self, plan: Plan, lent: dict[str, dict[str, str]]) -> Computer:
        """The computer of that plan. An entity whose plan is another by now is made anew."""
        known = self.computers.get(plan.entity)
        if known is not None and known.plan == plan:
            return known
        if self.db is None:
            self.db = self._open()
        catalogue = f"settle_{plan.entity}"
        if known is not None:
            known.db.close()
            self.db.execute(f"detach {catalogue}")
        self.db.execute(f"attach ':memory:' as {catalogue}")
        own = self.db.cursor()
        own.execute(f"set timezone = 'UTC'; set search_path = '{catalogue}.main,memory.main'")
        own.execute(f"use {catalogue}.main; set search_path = '{catalogue}.main,memory.main'")
        computer = self.computers[plan.entity] = Computer(plan, own)
        computer.make(lent)
        return computer

    def use_threads(self, messages: int) -> None:
        """One for a small slice, two for a large one."""
        wanted = 1 if messages < FEW else 2
        if wanted != self.threads and self.db is not None:
            self.db.execute(f"set threads = {wanted}")
            self.threads = wanted

    def _open(self) -> duckdb.DuckDBPyConnection:
        db = duckdb.connect(
            config={
                "memory_limit": self.memory,
                "threads": self.threads,
                "preserve_insertion_order": False,  # whoever needs an order asks for it
                "temp_directory": str(settings.state_dir() / "spill"),
            }
        )
        db.execute(f"set timezone = 'UTC'; set disabled_optimizers = '{OPTIMIZERS}'")
        teach(db)
        return db
