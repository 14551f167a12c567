"""The settled state in Postgres: a table per model in the schema `settled`, written by keys within the sync's transaction."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

SCHEMA = "settled"
BATCH = "batch_id"  # which batch wrote a row
POSTGRES = {
    "VARCHAR": "text", "JSON": "text", "BOOLEAN": "boolean", "BIGINT": "bigint", "INTEGER": "integer", "DOUBLE": "double precision",
    "HUGEINT": "numeric(39)", "UHUGEINT": "numeric(39)", "DATE": "date", "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "VARCHAR[]": "text[]", "BIGINT[]": "bigint[]",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """A kept table as it stands: its columns with DuckDB's types, and what it was made of."""

    name: str
    entity: str
    columns: Mapping[str, str]
    fingerprint: str
    query: str | None = None  # of a view


def kind_in_postgres(kind: str) -> str:
    """The type in which Postgres keeps a column of that type in DuckDB; what it has none for is JSON."""
    if kind.startswith("DECIMAL"):
        return kind.replace("DECIMAL", "numeric")
    return POSTGRES.get(kind, "text")


def is_nested(kind: str) -> bool:
    """Whether Postgres keeps a column of that type in DuckDB as JSON: everything but plain values and lists of them."""
    return kind.startswith(("STRUCT", "MAP")) or (kind.endswith("[]") and kind not in POSTGRES)


def stored(column: str, kind: str) -> str:
    """DuckDB's expression for a column as it is kept. A struct of forty answers yes or no is forty letters, and one in which
    nothing stands is nothing: as JSON they would be half of a row."""
    members = _members(kind)
    if members and set(members.values()) == {"BOOLEAN"}:
        letters = ", ".join(f"""if("{column}".{name}, '1', '0')""" for name in members)
        return f'concat({letters}) as "{column}"'
    if members and set(members.values()) == {"VARCHAR"}:
        parts = ", ".join(f'"{column}".{name}' for name in members)
        return f'if(coalesce({parts}) is null, null, cast(to_json("{column}") as varchar)) as "{column}"'
    return f'cast(to_json("{column}") as varchar) as "{column}"' if is_nested(kind) else f'"{column}"'


def typed(column: str, kind: str) -> str:
    """DuckDB's expression for a kept column as what it was."""
    members = _members(kind)
    if members and set(members.values()) == {"BOOLEAN"}:
        told = ", ".join(f"""{name} := "{column}"[{place}] = '1'""" for place, name in enumerate(members, 1))
        return f'struct_pack({told}) as "{column}"'
    if is_nested(kind):
        return f'cast(cast("{column}" as json) as {kind}) as "{column}"'
    return f'cast("{column}" as {kind}) as "{column}"'


def _members(kind: str) -> dict[str, str]:
    """The names and types of a struct of plain values, as DuckDB spells them; nothing of any other type."""
    flat = re.fullmatch(r"STRUCT\(([^()]*)\)", kind)
    return dict(member.rsplit(" ", 1) for member in flat[1].split(", ")) if flat else {}


def tables(connection: sa.Connection) -> dict[str, Table]:
    """Every kept table, by its name."""
    rows = connection.execute(sa.text("select name, entity, columns, fingerprint, query from settled_tables"))
    return {row.name: Table(row.name, row.entity, dict(row.columns), row.fingerprint, row.query) for row in rows}


def columns_of(connection: sa.Connection, name: str) -> list[str]:
    """The columns of one kept table; none of one that was never made."""
    told = connection.execute(sa.text("select columns from settled_tables where name = :name"), {"name": name})
    return [column for column, _ in told.scalar() or []]


def driver(connection: sa.Connection) -> psycopg.Connection[Any]:
    """The connection beneath, which speaks COPY."""
    found = connection.connection.driver_connection
    assert isinstance(found, psycopg.Connection)
    return found


NEXT = "__next"  # behind the name of a table that is made beside the one that stands


def make(
    connection: sa.Connection,
    *,
    name: str,
    entity: str,
    columns: Mapping[str, str],
    indexes: Sequence[str],
    fingerprint: str,
    batch_id: int,
) -> None:
    """Make a table anew, empty; what stood there goes with this transaction's commit. `indexes` are columns and conditions as
    SQL."""
    create(connection, name, columns)
    index(connection, name, indexes)
    _register(connection, Table(name, entity, columns, fingerprint), batch_id)


def create(connection: sa.Connection, name: str, columns: Mapping[str, str]) -> None:
    """A table without any index, in place of the one of that name."""
    cursor, table = driver(connection), sql.Identifier(SCHEMA, name)
    told = [sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(kind_in_postgres(k))) for n, k in columns.items()]
    told.append(sql.SQL("{} bigint not null").format(sql.Identifier(BATCH)))
    cursor.execute(sql.SQL("drop table if exists {}").format(table))
    cursor.execute(sql.SQL("create table {} ({})").format(table, sql.SQL(", ").join(told)))


def index(connection: sa.Connection, name: str, indexes: Sequence[str]) -> None:
    """The indexes of a table, unless it has them already, and its statistics."""
    has = "select from pg_indexes where schemaname = %s and tablename = %s"
    is_indexed = driver(connection).execute(has, [SCHEMA, name]).fetchone() is not None
    for one in () if is_indexed else indexes:
        told = one.replace("{table}", f'{SCHEMA}."{name}"')
        driver(connection).execute(sql.SQL("create {}").format(sql.SQL(told)))
    driver(connection).execute(sql.SQL("analyze {}").format(sql.Identifier(SCHEMA, name)))


def swap(connection: sa.Connection, table: Table, batch_id: int) -> int:
    """Put a table that was made beside in the place of the one that stands; how many rows it has."""
    own, beside = sql.Identifier(SCHEMA, table.name), sql.Identifier(SCHEMA, table.name + NEXT)
    driver(connection).execute(sql.SQL("drop table if exists {}").format(own))
    driver(connection).execute(sql.SQL("alter table {} rename to {}").format(beside, sql.Identifier(table.name)))
    counted = driver(connection).execute(sql.SQL("select count(*) from {}").format(own)).fetchone()
    _register(connection, table, batch_id)
    return int(counted[0]) if counted else 0


def make_view(
    connection: sa.Connection, *, name: str, entity: str, query: str, fingerprint: str, batch_id: int
) -> None:
    """Note a view over kept tables, for whoever reads them with DuckDB."""
    _register(connection, Table(name, entity, {}, fingerprint, query), batch_id)


def _register(connection: sa.Connection, table: Table, batch_id: int) -> None:
    connection.execute(
        sa.text(
            """
            insert into settled_tables (name, entity, columns, query, fingerprint, batch_id)
            values (:name, :entity, :columns, :query, :fingerprint, :batch_id)
            on conflict (name) do update set
                entity = excluded.entity, columns = excluded.columns, query = excluded.query,
                fingerprint = excluded.fingerprint, batch_id = excluded.batch_id
            """
        ),
        {
            "name": table.name, "entity": table.entity, "columns": json.dumps(list(table.columns.items())),
            "query": table.query, "fingerprint": table.fingerprint, "batch_id": batch_id,
        },
    )  # fmt: skip


def count(connection: sa.Connection, more: Mapping[str, int], *, anew: bool) -> dict[str, int]:
    """Note how many rows tables gained, or have where they were made anew; how many each has now."""
    counted = connection.execute(
        sa.text(
            """
            update settled_tables as known set rows = case when :anew then 0 else known.rows end + gained.more
            from unnest(cast(:names as text[]), cast(:more as bigint[])) as gained (name, more)
            where known.name = gained.name
            returning known.name, known.rows
            """
        ),
        {"names": list(more), "more": list(more.values()), "anew": anew},
    )
    return {row.name: row.rows for row in counted}


def read(
    connection: sa.Connection, name: str, columns: Sequence[str], by: Sequence[str], values: Collection[Sequence[Any]]
) -> list[tuple[Any, ...]]:
    """The rows whose columns `by` are one of the values."""
    if not values:
        return []
    chosen = sql.SQL(", ").join(map(sql.Identifier, columns))
    where, given = _is_one_of(by, values)
    asked = sql.SQL("select {} from {} where ").format(chosen, sql.Identifier(SCHEMA, name)) + where
    return driver(connection).execute(asked, given).fetchall()


def delete(connection: sa.Connection, name: str, by: Sequence[str], values: Collection[Sequence[Any]]) -> int:
    """Delete the rows whose columns `by` are one of the values; how many there were."""
    if not values:
        return 0
    where, given = _is_one_of(by, values)
    return (
        driver(connection)
        .execute(sql.SQL("delete from {} where ").format(sql.Identifier(SCHEMA, name)) + where, given)
        .rowcount
    )


def write(
    connection: sa.Connection, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], batch_id: int
) -> None:
    """Add rows."""
    if not rows:
        return
    told = sql.SQL(", ").join(map(sql.Identifier, [*columns, BATCH]))
    asked = sql.SQL("copy {} ({}) from stdin").format(sql.Identifier(SCHEMA, name), told)
    with driver(connection).cursor() as cursor, cursor.copy(asked) as copy:
        for row in rows:
            copy.write_row([*row, batch_id])


def _is_one_of(by: Sequence[str], values: Collection[Sequence[Any]]) -> tuple[sql.Composable, list[list[Any]]]:
    given = [list(column) for column in zip(*values, strict=True)]
    if len(by) == 1:
        return sql.SQL("{} = any(%s)").format(sql.Identifier(by[0])), given
    names = sql.SQL(", ").join(map(sql.Identifier, by))
    places = sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(by))
    return sql.SQL("({}) in (select * from unnest({}))").format(names, places), given


def chunks(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """The values in pieces."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
