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

from resources.host import settings
from resources.lake.json_paths import key_of, place_of
from resources.lake.macros import teach
from resources.store.store import Store

PIECE = 20_000  # messages that are in our memory at once
PIECE_BYTES = 32_000_000  # of payloads
SLICE_CHARACTERS = 2_000_000  # of payloads that DuckDB parses at once: it takes 25 times as much memory
DEEPEST = 40  # levels of a payload that are looked at

Kind = Literal["object", "list", "text", "boolean", "null", "any"]  # any: an empty object, or a list of unlike things
KINDS: dict[str, Kind] = {"VARCHAR": "text", "BOOLEAN": "boolean", "NULL": "null", "JSON": "any"}
UNFIT = {  # texts that are not of their type; an empty one says nothing
    "a number": "not is_decimal({0})",
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
    paths, unfit = _unfit(typed)
    db.execute(
        """
        create or replace temp table heard (inbox_id bigint, structure varchar, unfit boolean[], writer varchar);
        create or replace temp table shapes (structure varchar, unfit boolean[], number bigint)
        """
    )
    for some in _slices(inbox_ids, payloads):
        db.register("told", some)
        db.execute(
            f"""
            insert into heard
            select inbox_id, json_structure(payload), {unfit}, told({writer or "null"})
            from told
            """
        )
        db.unregister("told")
    db.execute(
        """
        insert into shapes
        select structure, unfit, row_number() over (order by min(inbox_id)) - 1
        from heard
        group by structure, unfit
        """
    )
    found = db.execute("select structure, unfit from shapes order by number").fetchall()
    which = db.execute(
        "select inbox_id, number from heard join shapes using (structure, unfit) order by inbox_id"
    ).fetchnumpy()
    shapes = [
        Shape(_kinds(json.loads(structure)), frozenset(path for path, is_so in zip(paths, bad, strict=True) if is_so))
        for structure, bad in found
    ]
    return Piece(np.asarray(which["inbox_id"]), np.asarray(which["number"]), shapes, _writers(db))


def _slices(inbox_ids: list[int], payloads: list[str]) -> Iterator[pa.Table]:
    """So many messages at once as DuckDB can parse in its memory."""
    start, size = 0, 0
    for position, payload in enumerate(payloads):
        size += len(payload)
        if size > SLICE_CHARACTERS or position + 1 == len(payloads):
            ids, texts = inbox_ids[start : position + 1], payloads[start : position + 1]
            yield pa.table({"inbox_id": pa.array(ids, pa.int64()), "payload": pa.array(texts, pa.string())})
            start, size = position + 1, 0


def _writers(db: duckdb.DuckDBPyConnection) -> dict[str, npt.NDArray[np.int64]]:
    """The messages of each writer."""
    rows = db.execute(
        "select writer, list(inbox_id order by inbox_id) from heard where writer is not null group by writer order by writer"
    ).fetchall()
    return {name: np.asarray(ids, dtype=np.int64) for name, ids in rows}


def _unfit(typed: Mapping[str, str]) -> tuple[list[str], str]:
    """The paths in the order of the expression, and the expression: of each whether any text there is not of its type.

    DuckDB looks up all paths without a list at once, and those in lists one by one.
    """
    paths: list[str] = []
    parts = ["cast([] as boolean[])"]
    for kind, condition in UNFIT.items():
        is_unfit = f"one is not null and {condition.format('one')}"
        plain = [path for path, expected in typed.items() if expected == kind and "*" not in place_of(path)]
        if plain:
            paths += plain
            texts = f"json_extract_string(payload, [{', '.join(_quoted(path) for path in plain)}])"
            parts.append(f"list_transform(list_transform({texts}, lambda one: told(one)), lambda one: {is_unfit})")
        for path in (path for path, expected in typed.items() if expected == kind and path not in plain):
            paths.append(path)
            texts = f"json_extract_string(payload, {_quoted(path)})"
            found = f"list_filter(list_transform({texts}, lambda one: told(one)), lambda one: {is_unfit})"
            parts.append(f"[len({found}) > 0]")
    return paths, " || ".join(parts)


def _quoted(path: str) -> str:
    return "'" + place_of(path).replace("'", "''") + "'"


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
