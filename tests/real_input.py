"""Real messages and histories through the whole map: `python -m tests.real_input` prints what became of them.

Reads what CONCORD_REALDATA names. The map is the sandbox merchant's with every ready-made system live, and a shop of its own
make that exports CSV.
"""

import csv
import json
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from pipelines.compiler import generate
from pipelines.language.connectors import connector_for
from pipelines.language.library import load_library, with_systems
from pipelines.language.schema import IntegrationMap, System, load_map, read_map_file
from pipelines.stages.arrive import poll
from pipelines.stages.batch import PROJECT
from resources.host.embedded_postgres import Server
from resources.store.inbox import keep
from resources.store.migrate import migrate
from tests.fixtures_postgres import TEMPLATE, free_port
from tests.fixtures_world import World, new_world
from tests.real_sources import Source, sources
from tests.wanting import select

UCI, MAVEN = "UCI online retail", "Maven Fuzzy Factory"
HISTORIES = {  # name: its system, what it tells of, its files, and where in the drop folder they lie
    UCI: ("wholesale", ("orders",), "datasets/uci_online_retail_by_day/*.csv", "orders"),
    MAVEN: ("fuzzy_factory", ("orders", "refunds"), "datasets/maven_fuzzy_factory_iso_dates/order_item*.csv", "."),
}
SETTLED = ("products", "orders", "customers", "payments", "refunds")
SOLD = "select distinct sku from stg_order_lines where sku is not null order by sku"
LONG_AGO = 1_600_000_000  # nobody is still writing a file of that age
COMMONEST = 10


def real_map() -> IntegrationMap:
    """The sandbox merchant's map with every ready-made system live, and the shop that exports CSV."""
    shop = System.model_validate(read_map_file(Path(__file__).parent / "systems/fuzzy_factory.yaml", "system"))
    return with_systems(load_map(), [*load_library().values(), shop])


class RealWorld:
    """A world in which everything real was said and settled, and which messages each source said."""

    def __init__(self, world: World, folder: Path, drops: Path) -> None:
        self.world, self.folder, self.drops = world, folder, drops
        self.told: dict[str, tuple[Source, range]] = {}  # the inbox ids of its messages
        self.newest = 0

    def rows_of(self, history: str, name: str = "*") -> list[dict[str, str]]:
        """The rows of a history, straight from its files."""
        rows: list[dict[str, str]] = []
        for path in self.files_of(history, name):
            with path.open(newline="", encoding="utf-8") as opened:
                rows += csv.DictReader(opened)
        return rows

    def files_of(self, history: str, name: str = "*") -> list[Path]:
        return sorted(path for path in self.folder.glob(HISTORIES[history][2]) if path.match(name))

    def say(self, source: Source) -> None:
        """Let the source say everything, in the way in which its system does."""
        if source.by == "file":
            self._drop(source)
        else:
            with self.world.store.transaction() as connection:
                keep(connection, system=source.system, arrived_by=source.by, messages=source.messages)
        self._remember(source)

    def take(self, history: str) -> None:
        """Let a history's own files lie in its system's drop folder, and take them."""
        system, entities, _, place = HISTORIES[history]
        for path in self.files_of(history):
            self._lay(system, f"{place}/{path.name}", path.read_bytes())
        self._poll(system)
        self._remember(Source(history, system, [], entities, by="file"))

    def _remember(self, source: Source) -> None:
        (newest,) = select(self.world.store, "select coalesce(max(inbox_id), 0) from inbox")
        self.told[source.name] = source, range(self.newest + 1, newest + 1)
        self.newest = newest

    def _drop(self, source: Source) -> None:
        """One file a stream, written as the map says that its files are."""
        for name, stream in self.world.the_map.systems[source.system].streams.items():
            told: Any = [json.loads(message.body) for message in source.messages if message.stream == name]
            assert stream.file
            assert stream.arrives.file
            for step in reversed(stream.file.row.strip("/").split("/") if stream.file.row else []):
                told = {step: told}
            file = stream.arrives.file.replace("*", source.name.replace(" ", "_"))
            self._lay(source.system, file, json.dumps(told).encode())
        self._poll(source.system)

    def _lay(self, system: str, name: str, content: bytes) -> None:
        path = self.drops / system / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (LONG_AGO, LONG_AGO))

    def _poll(self, system: str) -> None:
        told = self.world.the_map.systems[system]
        connector = connector_for(told)
        for stream, how in told.streams.items():
            if how.arrives.file:
                (self.drops / system / how.arrives.file).parent.mkdir(parents=True, exist_ok=True)
            for _ in range(2):  # the first look remembers, the second takes
                poll(self.world.store, self.world.the_map, system, stream, connector)


@contextmanager
def shops(server: Server, scratch: Path, folder: Path) -> Iterator[RealWorld]:
    """Everything but the wholesaler: what is sold is told by the ERP as soon as it is known."""
    the_map, project = real_map(), scratch / "dbt_project"
    scratch.mkdir(parents=True, exist_ok=True)
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("logs", "target"))
    generate.write(the_map, project)
    with _real(server, scratch, folder, the_map, project) as real:
        for source in sources(folder):
            real.say(source)
        real.world.sync("products", "orders")
        items = {f"FUZZY-P{row['product_id']}" for row in real.rows_of(MAVEN, "order_items.csv")}
        real.world.products(*sorted(items | {row["sku"] for row in real.world.rows(SOLD)}))
        real.take(MAVEN)
        real.world.sync(*SETTLED)
        yield real


@contextmanager
def wholesaler(server: Server, scratch: Path, folder: Path) -> Iterator[RealWorld]:
    """Half a year of a wholesaler's files, taken by the sandbox merchant's own map at once."""
    with _real(server, scratch, folder, load_map(), PROJECT) as real:
        real.take(UCI)
        real.world.products(*sorted({row["StockCode"] for row in real.rows_of(UCI)}))
        real.world.sync("orders")
        yield real


@contextmanager
def _real(server: Server, scratch: Path, folder: Path, the_map: IntegrationMap, project: Path) -> Iterator[RealWorld]:
    with new_world(server, scratch / "lake", the_map, project) as world, pytest.MonkeyPatch.context() as patch:
        for system in the_map.systems.values():
            for setting, source in (
                system.settings.items() if system.connector == "resources.connectors.files.connector.Drop" else ()
            ):
                patch.setenv(source.env, f"file://{scratch / 'drops' / system.system}" if setting == "url" else "none")
        yield RealWorld(world, folder, scratch / "drops")


# -- what became of it -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Became:
    """What became of the messages of one source about one entity."""

    source: str
    entity: str
    messages: int
    records: int  # that the messages name
    canonical: int
    warned: int  # canonical, with a warning
    waiting: int  # not sent on until what they refer to is known, or until who begins such records tells of them
    quarantined: int  # messages with a broken field, or broken as a whole
    reasons: Counter[str]


def became(real: RealWorld) -> list[Became]:
    """A row for each source and entity."""
    return [
        _became(real.world, source.name, ids, entity)
        for source, ids in real.told.values()
        for entity in source.entities
    ]


def _became(world: World, source: str, ids: range, entity: str) -> Became:
    key = world.the_map.entities[entity].key[0]
    mine = f"inbox_id between {ids.start} and {ids.stop - 1}"
    (counts,) = world.rows(
        f"""
        with told as (
            select inbox_id, coalesce(links.key, stg.{key}) as key, verdict
            from stg_{entity} as stg
            left join links_{entity} as links using (system, remote_id)
            join {entity}_verdicts as books using (inbox_id)
            where stg.{mine}
        )
        select
            count(*) as messages, count(distinct told.key) as records,
            count(distinct settled.{key}) as canonical,
            count(distinct settled.{key}) filter (len(settled.warnings) > 0) as warned,
            count(distinct told.key) filter (verdict = 'pending') as waiting,
            count(*) filter (verdict = 'quarantined') as quarantined
        from told left join {entity} as settled on settled.{key} = told.key
        """
    )
    reasons = Counter(
        _kind_of(row["reason"])
        for row in world.rows(
            f"select reason from {entity}_quarantine where {mine} "
            f"union all select unnest(warnings) from {entity} semi join stg_{entity} as stg "
            f"on stg.{key} = {entity}.{key} and stg.{mine}"
        )
    )
    return Became(source=source, entity=entity, **counts, reasons=reasons)


def _kind_of(reason: str) -> str:
    """The reason without what is this record's own: numbers, values, and which line it is."""
    reason = re.sub(r"^line \d+ \(.*?\) ", "line … ", reason)
    return re.sub(r"(?<![A-Za-z])-?\d[\d.]*", "…", re.sub("«[^»]*»", "«…»", reason))


def show(rows: list[Became], refused: dict[str, list[str]]) -> None:
    """The table, and the commonest reasons of each source."""
    console = Console(width=None if sys.stdout.isatty() else 150)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    columns = ("messages", "records", "canonical", "warned", "waiting", "quarantined")
    for name in ("source", "entity"):
        table.add_column(name)
    for name in columns:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(row.source, row.entity, *(f"{getattr(row, name):,}" for name in columns))
    console.print(table)
    for source in dict.fromkeys(row.source for row in rows):
        reasons = Counter(
            {f"{row.entity}: {why}": n for row in rows if row.source == source for why, n in row.reasons.items()}
        )
        reasons.update(_kind_of(sentence) for sentence in refused.get(source, []))
        if reasons:
            console.print(f"\n{source}", style="bold")
        for reason, count in reasons.most_common(COMMONEST):
            console.print(f"{count:>7,}  {reason}", highlight=False, markup=False)


def main() -> None:
    folder = os.environ.get("CONCORD_REALDATA")
    if not folder:
        sys.exit("CONCORD_REALDATA does not name a folder of real payloads; set it and type the command again")
    rows: list[Became] = []
    refused: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(prefix="real-input-") as scratch:
        server = Server(Path(scratch) / "postgres", free_port(), is_fast=True)
        server.ensure()
        try:
            migrate(server.url(TEMPLATE))
            for kind in (shops, wholesaler):
                with kind(server, Path(scratch) / kind.__name__, Path(folder)) as real:
                    rows += became(real)
                    refused |= {source.name: source.refused for source, _ in real.told.values()}
        finally:
            server.stop()
    show(rows, refused)


if __name__ == "__main__":
    main()
