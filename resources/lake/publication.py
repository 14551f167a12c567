"""The published copy: what is settled, as tables of the lake that are all of one moment. Whoever compares whole tables reads it."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
from psycopg import sql

from resources.lake import lake
from resources.store import settled
from resources.store.settled import Table
from resources.store.store import Store, query

# The newest word on each remote record, of couriers and of people, up to the ledger's entry that is settled.
LINKS = """
    select system, remote_id, case when kind = 'linked' then key end as key, by_whom
    from (
        select distinct on (system, remote_id) system, remote_id, kind, key, by_whom
        from ({ledger}) as told
        where kind in ('linked', 'unlinked')
        order by system, remote_id, ledger_id desc
    ) as newest"""

# Of each kind of entry about a key the newest: a stock keeper's key has thousands of deliveries.
NEWEST = """
    select distinct on (key, kind, system, remote_id, field, flow) * from ({ledger}) as told
    order by key, kind, system, remote_id, field, flow, {by} desc"""

# The ledger of an entity, up to the entry that is settled; what hangs on another record goes where that is linked.
LEDGER = """
    select ledger_id, key, kind, system, remote_id, field, value, flow, by_whom, happened_at
    from concord.ledger
    where entity = {entity} and ledger_id <= {upto_ledger_id}
    union all
    select ledger_id, key || part, kind, system, remote_id || part, field, value, flow, by_whom, happened_at
    from concord.ledger
    cross join unnest({parts}::text[]) as part
    where entity = {of} and kind in ('linked', 'unlinked') and ledger_id <= {upto_ledger_id}"""

# The newest look at each system of which all messages are settled. The message that a look found may have a newer one of its
# kind by now, and is kept no longer: then the record's newest word stands in for it.
LOOKS = """
    with complete as (
        select
            snapshot_id, system, stream, finished_at,
            (select max(inbox_id) from concord.snapshot_records as records where records.snapshot_id = snapshots.snapshot_id) as newest
        from concord.snapshots
        where finished_at is not null and system || '/' || stream = any({streams}::text[])
    ),
    looks as (
        select distinct on (system, stream) * from complete
        where coalesce(newest, 0) <= {upto_inbox_id}
        order by system, stream, snapshot_id desc
    ),
    held as (
        select system, stream, finished_at, records.remote_id, inbox_id
        from looks
        left join concord.snapshot_records as records using (snapshot_id)
    ),
    replaced as (
        select held.*, told.remote_id || part as told_as
        from held
        join {verdicts} as told using (inbox_id)
        cross join unnest({parts}::text[]) as part
        where not exists (select from {said} as said where said.inbox_id = held.inbox_id and said.remote_id = told.remote_id || part)
    )
    select system, stream, finished_at, remote_id, inbox_id from held
    union all
    select distinct replaced.system, replaced.stream, replaced.finished_at, replaced.remote_id, newest.inbox_id
    from replaced
    cross join lateral (
        select inbox_id from {said} as said
        where said.system = replaced.system and said.stream = replaced.stream and said.remote_id = replaced.told_as
        order by is_deletion, order_key desc nulls last, inbox_id desc
        limit 1
    ) as newest"""


@dataclass(frozen=True, slots=True)
class Published:
    """What stands in the lake now as it was settled at that moment."""

    moment: datetime
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Told:
    """What the map says of an entity: who tells of it, and on which other's records it hangs, part by part."""

    streams: Sequence[str]  # system/stream
    of: str | None = None
    each: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """How far an entity is settled."""

    batch_id: int
    upto_inbox_id: int
    upto_ledger_id: int


@dataclass(frozen=True, slots=True)
class Copy:
    """One table of the lake: where its rows are, as Postgres is asked for them, and as what DuckDB reads each column."""

    name: str
    entity: str
    asked: sql.Composable
    columns: str = "*"
    is_always_new: bool = False  # it follows what no batch settles


def publish(store: Store, lake_folder: str, names: Collection[str], entities: Mapping[str, Told]) -> Published:
    """Copy those of the named tables that are settled into the lake, out of one Postgres snapshot, in one commit of the lake.

    A table is left as it is while its entity's newest settled batch was published already. `stg_<entity>` is the newest word of
    each remote record. What is no settled table is left out. Raises LakeProblem.
    """
    with store.turn("publication"), lake.writing(store.url, lake_folder) as db:
        db.execute("begin")
        (moment,) = _ask(db, sql.SQL("select now() as moment"))[0]
        standing = _standing(db)
        known = dict(_ask(db, sql.SQL("select name, batch_id from concord.publications")))
        batches = _batches(db)
        copies = [copy for copy in _copies(db, batches, entities) if copy.name in names]
        new = [
            copy
            for copy in copies
            if copy.is_always_new
            or standing.get(copy.name) != "table"
            or known.get(copy.name) != batches[copy.entity].batch_id
        ]
        for copy in new:
            if standing.get(copy.name) == "view":
                db.execute(f'drop view lake.main."{copy.name}"')
            rows = f"select {copy.columns} from {_rows(copy.asked)}"
            db.execute(f'create or replace table lake.main."{copy.name}" as {rows}')
        db.execute("commit")
        _note(store, moment, {copy.name: batches[copy.entity].batch_id for copy in new})
    return Published(moment, frozenset(copy.name for copy in copies))


def _note(store: Store, moment: datetime, batches: Mapping[str, int]) -> None:
    """Of which batch and moment tables are now. A note that is lost costs a copy that was not needed."""
    with store.transaction() as connection:
        connection.execute(
            query("note_publication"),
            {"names": list(batches), "batch_ids": list(batches.values()), "moment": moment},
        )


def _standing(db: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """What stands in the lake: name -> table or view."""
    found = db.execute(
        "select table_name, 'table' from duckdb_tables() where database_name = 'lake' "
        "union all select view_name, 'view' from duckdb_views() where database_name = 'lake' and not internal"
    )
    return dict(found.fetchall())


def _batches(db: duckdb.DuckDBPyConnection) -> dict[str, Settled]:
    """The newest settled batch of each entity."""
    newest = sql.SQL(
        "select distinct on (entity) entity, batch_id, upto_inbox_id, upto_ledger_id from concord.batches "
        "where settled_at is not null order by entity, batch_id desc"
    )
    return {row[0]: Settled(*row[1:]) for row in _ask(db, newest)}


def _copies(
    db: duckdb.DuckDBPyConnection, batches: Mapping[str, Settled], entities: Mapping[str, Told]
) -> Iterator[Copy]:
    """Every table that can be published."""
    told = sql.SQL("select name, entity, columns::text, fingerprint, query from concord.settled_tables")
    rows = _ask(db, told)
    tables = {row[0]: Table(row[0], row[1], dict(json.loads(row[2])), *row[3:]) for row in rows}
    for table in tables.values():
        if table.query is None and table.entity in batches:
            yield _kept(table)
    for entity in entities.keys() & batches.keys():
        yield from _asked(entity, entities[entity], batches[entity], tables)


def _kept(table: Table) -> Copy:
    """A settled table. DuckDB reads a number of 39 digits as a float, unless it travels as text."""
    chosen = [
        sql.SQL("{0}::text as {0}" if kind in ("HUGEINT", "UHUGEINT") else "{0}").format(sql.Identifier(column))
        for column, kind in table.columns.items()
    ]
    return Copy(
        name=table.name.replace("said_", "stg_", 1) if table.name.startswith("said_") else table.name,
        entity=table.entity,
        asked=sql.SQL("select {} from {}").format(sql.SQL(", ").join(chosen), _table(table.name)),
        columns=", ".join(settled.typed(column, kind) for column, kind in table.columns.items()),
    )


def _asked(entity: str, told: Told, batch: Settled, tables: Mapping[str, Table]) -> Iterator[Copy]:
    """What is no settled table, and is read beside them: the ledger, its links, and the looks at systems."""
    values = {
        "entity": sql.Literal(entity), "of": sql.Literal(told.of), "upto_ledger_id": sql.Literal(batch.upto_ledger_id),
        "upto_inbox_id": sql.Literal(batch.upto_inbox_id), "streams": sql.Literal(list(told.streams)),
        "parts": sql.Literal([f"/{part}" for part in told.each] if told.of else [""]),
    }  # fmt: skip
    ledger = sql.SQL(LEDGER).format(**values)
    yield Copy(f"links_{entity}", entity, sql.SQL(LINKS).format(ledger=ledger))
    newest = [sql.SQL(NEWEST).format(ledger=ledger, by=sql.Identifier(by)) for by in ("ledger_id", "happened_at")]
    yield Copy(f"ledger_{entity}", entity, sql.SQL("({}) union ({})").format(*newest))
    said, verdicts = f"said_{entity}", f"{entity}_verdicts"
    if {said, verdicts} <= tables.keys() and {"remote_id", "is_deletion"} <= tables[said].columns.keys():
        looks = sql.SQL(LOOKS).format(said=_table(said), verdicts=_table(verdicts), **values)
        yield Copy(f"snapshots_{entity}", entity, looks, is_always_new=True)


def _table(name: str) -> sql.Identifier:
    return sql.Identifier(settled.SCHEMA, name)


def _ask(db: duckdb.DuckDBPyConnection, asked: sql.Composable) -> list[tuple[Any, ...]]:
    return db.execute(f"from {_rows(asked)}").fetchall()


def _rows(asked: sql.Composable) -> str:
    """A query to Postgres as a table of DuckDB: all of a transaction's see the same snapshot."""
    text = asked.as_string().replace("'", "''")
    return f"postgres_query('store', '{text}')"
