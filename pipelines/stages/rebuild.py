"""Everything that was ever said of an entity, settled anew beside the tables that stand: in turns that fit in memory, one swap."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from pipelines.compiler.plan import Plan
from pipelines.stages.batch import Batch
from pipelines.stages.compute import Computer
from pipelines.stages.slices import LANDING, Slice
from resources.host import settings
from resources.lake.lake import install_extensions
from resources.store import database, settled
from resources.store.settled import NEXT
from resources.store.store import Store, query

PIECE = 60_000  # messages that are read at once
THERE = "rebuild_store"  # Postgres, as DuckDB sees it meanwhile


@dataclass
class Rebuild:
    """One rebuild of one entity. What a killed one had settled by the same map, the next goes on with."""

    plan: Plan
    store: Store
    computer: Computer
    compute: Callable[[Slice], object]
    wanted: Callable[[Slice], Iterator[pa.RecordBatch]] | None  # where destinations take the entity
    log: Callable[[str], None]

    def settle(self, batch: Batch) -> Batch:
        """Settle every turn into tables beside; the batch with the bounds up to which that was, which may be those of a rebuild
        that was killed."""
        began = time.monotonic()
        batch, done = self._begin(batch)
        db = self.computer.db
        self._attach(db)
        try:
            self.computer.truncate()
            if not done and not self._is_read():
                self._read(batch)
            for turn in range(batch.turns):
                if turn not in done:
                    self._settle(batch, turn)
                    self.log(f"turn {turn + 1} of {batch.turns} settled after {time.monotonic() - began:.0f} s")
        finally:
            self.computer.truncate()
            db.execute(f"detach {THERE}")
        with self.store.transaction() as connection:
            for model in self.plan.kept:
                settled.index(connection, model.name + NEXT, self.plan.indexes(model))
        self.log(f"all turns are settled and indexed after {time.monotonic() - began:.0f} s")
        return batch

    def all_wanted(self) -> Iterator[pa.RecordBatch]:
        """What is wanted by then, turn by turn."""
        if any(self._folder.glob("wanted_*.parquet")):
            reader = self.computer.db.execute(f"from read_parquet('{self._folder}/wanted_*.parquet')")
            yield from reader.to_arrow_reader(20_000)

    def forget(self) -> None:
        """What lay there meanwhile goes."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self.store.execute("end_rebuild", entity=self.plan.entity)

    @property
    def _folder(self) -> Path:
        """Where the messages and what is wanted lie meanwhile."""
        return settings.state_dir() / "spill" / f"rebuild_{self.plan.entity}"

    def _begin(self, batch: Batch) -> tuple[Batch, Sequence[int]]:
        """Go on with a rebuild by the same map, or begin anew; which turns are settled already."""
        entity, known = self.plan.entity, self.store.one("rebuild_of", entity=self.plan.entity)
        if known and known["fingerprint"] == self.plan.fingerprint and known["is_read"] and self._folder.exists():
            self.log(f"{len(known['settled'])} of {known['turns']} turns were settled before")
            bounds = {name: known[name] for name in ("upto_inbox_id", "upto_ledger_id", "moment", "turns")}
            return replace(batch, **bounds), known["settled"]  # under a number of its own: others settled meanwhile
        self.forget()
        self._folder.mkdir(parents=True)
        with self.store.transaction() as connection:
            for model in self.plan.kept:
                settled.create(connection, model.name + NEXT, self.computer.columns[model.name])
            connection.execute(
                query("begin_rebuild"),
                {
                    "entity": entity, "fingerprint": self.plan.fingerprint, "batch_id": batch.batch_id,
                    "upto_inbox_id": batch.upto_inbox_id, "upto_ledger_id": batch.upto_ledger_id, "moment": batch.moment,
                    "turns": batch.turns,
                },
            )  # fmt: skip
        return batch, []

    def _is_read(self) -> bool:
        known = self.store.one("rebuild_of", entity=self.plan.entity)
        return bool(known and known["is_read"])

    def _attach(self, db: duckdb.DuckDBPyConnection) -> None:
        install_extensions()
        db.execute("load postgres; set pg_use_ctid_scan = false")
        database.let_in(db, database.password(self.store.url))
        where = database.attachment(self.store.url).replace("'", "''")
        db.execute(f"attach if not exists '{where}' as {THERE} (type postgres)")

    def _read(self, batch: Batch) -> None:
        """One reading of the inbox, into files by turn: each message with the key that its record has by now."""
        entity, db = self.plan.entity, self.computer.db
        ours = ", ".join(f"'{name}'" for name in self.plan.streams)
        aside = (
            f"select inbox_id from {THERE}.concord.set_aside "
            f"where entity = '{entity}' and fingerprint = '{self.plan.fingerprint}'"
        )
        self._load_links(batch)
        for piece, start in enumerate(range(0, batch.upto_inbox_id, PIECE)):
            end = min(start + PIECE, batch.upto_inbox_id)
            db.execute(
                f"insert into landing_{entity} select {LANDING} from {THERE}.concord.inbox "
                f"where inbox_id > {start} and inbox_id <= {end} and system || '/' || stream in ({ours}) and inbox_id not in ({aside})"
            )
            db.execute(
                f"""
                copy (
                    select landing.*, keys.key, coalesce(hash(keys.key) % {batch.turns}, 0) as turn
                    from landing_{entity} as landing
                    left join ({self._keys()}) as keys using (inbox_id)
                ) to '{self._folder}/messages' (
                    format parquet, partition_by (turn), overwrite_or_ignore, filename_pattern 'piece_{piece}_{{i}}', compression zstd
                )"""
            )
            self.computer.truncate(f"landing_{entity}")
        self.store.execute("rebuild_is_read", entity=entity)

    def _keys(self) -> str:
        """The key of each message: one of those that it names, for all that hang on one record are in one turn."""
        told = f"concat_ws('|', {', '.join(self.plan.key)})"
        stem = "regexp_replace({}, '/[^/]+$', '')" if self.plan.of else "{}"
        return f"""
            select inbox_id, {stem.format(f"any_value(coalesce(links.key, if({self.plan.key[0]} is null, null, {told})))")} as key
            from ({self.plan.keys}) as named
            left join links_{self.plan.entity} as links on links.system = named.system and links.remote_id = named.remote_id
            group by inbox_id"""

    def _load_links(self, batch: Batch) -> None:
        """All links, for they say in which turn a message is settled."""
        if len(self.plan.key) > 1:
            return
        parts = [(self.plan.entity, "")] + [(self.plan.of, f"/{part}") for part in self.plan.each if self.plan.of]
        for entity, suffix in parts:
            rows = self.store.rows("all_links", entity=entity, upto_ledger_id=batch.upto_ledger_id)
            told = [(r["system"], r["remote_id"] + suffix, r["key"] and r["key"] + suffix, "") for r in rows]
            self.computer.load(f"links_{self.plan.entity}", told)

    def _settle(self, batch: Batch, turn: int) -> None:
        """One turn: its messages out of their files, everything else as any batch reads it; its rows in one transaction."""
        self.computer.truncate()
        db, entity = self.computer.db, self.plan.entity
        files = self._folder / "messages" / f"turn={turn}"
        told = f"read_parquet('{files}/*.parquet', hive_partitioning = false)" if files.exists() else None
        with self.store.engine.connect().execution_options(isolation_level="REPEATABLE READ") as reading:
            part = Slice(self.plan, batch, self.computer, reading, settled.tables(reading))
            part.load_turn(told, turn)
            self.compute(part)
            if turn == 0:  # they belong to no key's turn
                part.load_set_aside()
        if self.wanted is not None:
            pieces = list(self.wanted(part))
            if pieces:
                found = pa.Table.from_batches(pieces)  # noqa: F841  (DuckDB finds it by its name)
                db.execute(
                    f"copy (from found) to '{self._folder}/wanted_{turn}.parquet' (format parquet, compression zstd)"
                )
        db.execute("begin")
        try:
            for model in self.plan.kept:
                columns = self.computer.columns[model.name]
                chosen = ", ".join(settled.stored(name, kind) for name, kind in columns.items())
                db.execute(
                    f'insert into {THERE}.{settled.SCHEMA}."{model.name}{NEXT}" select {chosen}, {batch.batch_id} from {model.name}'
                )
            db.execute(f"insert into {THERE}.concord.rebuilt_turns values ('{entity}', {turn})")
            db.execute("commit")
        except duckdb.Error:
            db.execute("rollback")
            raise
