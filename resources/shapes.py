"""Which keys messages carry and what they hold: the shapes of a stream's messages, found by DuckDB piece by piece."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from resources import settings
from resources.json_paths import key_of, place_of
from resources.store import Store
from resources.words import teach

PIECE = 20_000  # messages that are in our memory at once
PIECE_BYTES = 32_000_000  # of payloads
DEEPEST = 40  # levels of a payload that are looked at

Kind = Literal["object", "list", "text", "boolean", "null", "any"]  # any: an empty object, or a list of unlike things
KINDS: dict[str, Kind] = {"VARCHAR": "text", "BOOLEAN": "boolean", "NULL": "null", "JSON": "any"}
UNFIT = {  # texts that are not of their type; an empty one says nothing
    "a number": "as_decimal({0}) is null",
    "a time": "as_instant({0}, 'UTC') is null and try_cast({0} as date) is null",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What messages of one shape carry."""

    kinds: Mapping[str, Kind]  # by path
    unfit: frozenset[str]  # paths with a text that is not of the type that the map expects


@dataclass(frozen=True, slots=True)
class Piece:
    """Some messages of a stream in the order in which they came, and the shape of each."""

    inbox_ids: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64]  # of the shape in `shapes`
    shapes: list[Shape]
    writers: Mapping[str, npt.NDArray[np.int64]]  # the messages of each writer, where the map says who that is


@contextmanager
def looking() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database of its own that speaks our words."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": "300MB",
        "threads": 1,  # nobody waits for it
        "temp_directory": str(settings.state_dir() / "spill"),
    }
    with duckdb.connect(config=config) as db:
        teach(db)
        yield db


def pieces(
    store: Store,
    db: duckdb.DuckDBPyConnection,
    *,
    system: str,
    stream: str,
    after: int,
    typed: Mapping[str, str],
    writer: str | None,
) -> Iterator[Piece]:
    """The stream's messages after that one, oldest first.

    `typed` are the paths of `UNFIT`, each with its type; `writer` is the expression that says who wrote a message.
    """
    while True:
        values = {"system": system, "stream": stream, "after": after}
        bound = store.one("bound_of_piece", most=PIECE, bytes=PIECE_BYTES, **values)
        if bound is None or bound["upto"] is None:
            return
        rows = store.rows("messages_of_piece", upto=bound["upto"], **values)
        yield shapes_of(db, [row["inbox_id"] for row in rows], [row["payload"] for row in rows], typed, writer)
        after = bound["upto"]


def shapes_of(
    db: duckdb.DuckDBPyConnection,
    inbox_ids: list[int],
    payloads: list[str],
    typed: Mapping[str, str],
    writer: str | None = None,
) -> Piece:
    """The shapes of these messages, few as they are, and which message has which."""
    told = pa.table({"inbox_id": pa.array(inbox_ids, pa.int64()), "payload": pa.array(payloads, pa.string())})
    db.register("told", told)
    unfit = ", ".join(_is_unfit(path, kind) for path, kind in typed.items())
    db.execute(
        f"""
        create or replace temp table heard as
        select inbox_id, cast(json_structure(payload) as varchar) as structure, cast([{unfit}] as boolean[]) as unfit
        from told;
        create or replace temp table shapes as
        select structure, unfit, row_number() over (order by min(inbox_id)) - 1 as number
        from heard
        group by structure, unfit
        """
    )
    writers = _writers(db, writer) if writer else {}
    db.unregister("told")
    found = db.execute("select structure, unfit from shapes order by number").fetchall()
    which = db.execute(
        "select inbox_id, number from heard join shapes using (structure, unfit) order by inbox_id"
    ).fetchnumpy()
    paths = list(typed)
    shapes = [
        Shape(_kinds(json.loads(structure)), frozenset(path for path, is_so in zip(paths, bad, strict=True) if is_so))
        for structure, bad in found
    ]
    return Piece(np.asarray(which["inbox_id"]), np.asarray(which["number"]), shapes, writers)


def _writers(db: duckdb.DuckDBPyConnection, writer: str) -> dict[str, npt.NDArray[np.int64]]:
    """The messages of each writer."""
    rows = db.execute(
        f"""
        select writer, list(inbox_id order by inbox_id)
        from (select told({writer}) as writer, inbox_id from told)
        where writer is not null group by writer order by writer
        """
    ).fetchall()
    return {name: np.asarray(ids, dtype=np.int64) for name, ids in rows}


def _is_unfit(path: str, kind: str) -> str:
    """Whether any text at the path is not of its type, as DuckDB asks it."""
    place = place_of(path).replace("'", "''")
    found = f"json_extract_string(payload, '{place}')"
    texts = found if "*" in place else f"[{found}]"
    return f"len(list_filter({texts}, lambda one: told(one) is not null and {UNFIT[kind].format('told(one)')})) > 0"


def _kinds(structure: Any) -> dict[str, Kind]:
    """What stands at every path of a structure as DuckDB tells it."""
    kinds: dict[str, Kind] = {}

    def walk(node: Any, path: str, depth: int) -> None:
        kind: Kind = (
            "object" if isinstance(node, dict) else "list" if isinstance(node, list) else KINDS.get(node, "text")
        )
        if kinds.get(path) not in ("object", "list"):
            kinds[path] = kind
        if depth == DEEPEST:
            return
        if isinstance(node, dict):
            for key, inner in node.items():
                walk(inner, f"{path}.{key_of(key)}", depth + 1)
        elif isinstance(node, list) and node[0] != "NULL":  # an empty list tells nothing of its elements
            walk(node[0], f"{path}[]", depth + 1)

    walk(structure, "$", 0)
    return kinds
