"""What hand-written models say of themselves: by which key their rows are known, and by which columns their inputs are sliced.

It stands in the `meta` of their `config`:

    key         the columns that make a row unique
    sliced_by   the column whose values are settled together: all rows of such a value are written together
    inputs      by table: `by`, the columns by which its rows are found; `reads`, what of them counts as a change; `of`, another
                input whose rows name the values of `by`, instead of the slice itself; `since`, a column of the input that must lie
                after a column of that other
    previous    what it reads of its own rows as they stood, with their types
    turns_at    the column that says when a row becomes another by itself
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment

CAUSES = {"last_inbox_id": "bigint", "last_received_at": "timestamptz"}  # what moved a row is no change of it
REF = re.compile(r"""\bref\(\s*["'](\w+)["']""")


@dataclass(frozen=True, slots=True)
class Input:
    """A table that a hand-written model reads, and which of its rows: those that the slice names."""

    table: str
    by: tuple[str, ...]
    reads: tuple[str, ...] = ()  # empty: all that it has
    of: str | None = None
    since: tuple[str, str] | None = None  # its column, and the one of `of` after which it must lie


@dataclass(frozen=True, slots=True)
class ByHand:
    """A hand-written model, as it describes itself."""

    name: str
    text: str
    key: tuple[str, ...]
    sliced_by: str
    inputs: tuple[Input, ...]
    previous: Mapping[str, str]
    turns_at: str | None

    @property
    def refs(self) -> set[str]:
        """The tables that it reads."""
        return set(REF.findall(self.text))


class Unsliced(Exception):
    """A hand-written model does not say how it is sliced. The message names the model and what to add."""


def family(model: str, project: Path) -> list[ByHand]:
    """The model and those that it is made of, each after the ones that it reads. Raises Unsliced."""
    files = written(project)
    found: dict[str, ByHand] = {}

    def add(name: str) -> None:
        one = described(name, files[name].read_text(encoding="utf-8"))
        for read in one.inputs:
            if read.table in files and read.table not in found:
                add(read.table)
        found[name] = one

    if model in files:
        add(model)
    return list(found.values())


def texts(model: str, project: Path) -> Iterator[str]:
    """The texts of the model and of all that it is made of."""
    files = written(project)
    left, seen = [model], set[str]()
    while left:
        name = left.pop()
        if name in files and name not in seen:
            seen.add(name)
            yield (text := files[name].read_text(encoding="utf-8"))
            left += sorted(REF.findall(text))


def written(project: Path) -> dict[str, Path]:
    """The models that nobody generates, by name."""
    return {path.stem: path for path in sorted((project / "models").rglob("*.sql")) if "generated" not in path.parts}


@cache
def described(name: str, text: str) -> ByHand:
    """A hand-written model, as its `meta` describes it. Raises Unsliced."""
    meta = meta_of(text)
    missing = [word for word in ("key", "sliced_by", "inputs") if word not in meta]
    if missing:
        raise Unsliced(f"{name} does not say its {' and '.join(missing)}; add them to the meta of its config")
    inputs = tuple(_input(table, told) for table, told in meta["inputs"].items())
    return ByHand(
        name, text, _names(meta["key"]), meta["sliced_by"], inputs, meta.get("previous", {}), meta.get("turns_at")
    )


def meta_of(text: str) -> dict[str, Any]:
    """The `meta` of a model's config."""
    told: dict[str, Any] = {}

    def config(**words: Any) -> str:
        told.update(words)
        return ""

    head = re.search(r"\{\{\s*config\(.*?\)\s*\}\}", text, re.DOTALL)
    if head:
        Environment().from_string(head[0]).render(config=config)  # noqa: S701  (it writes SQL, not HTML)
    return dict(told.get("meta", {}))


def _input(table: str, told: Mapping[str, Any]) -> Input:
    since = next(iter(told.get("since", {}).items()), None)
    return Input(table, _names(told["by"]), _names(told.get("reads", "")), told.get("of"), since)


def _names(told: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in told.split(",") if name.strip())


def problems(model: ByHand, others: Collection[str], given: Collection[str]) -> Iterator[str]:
    """What is wrong with how a model says that it is sliced. `others` are tables that have rows of their own, `given` what is loaded
    for it in any case."""
    said = {read.table: read for read in model.inputs}
    for table in sorted(model.refs - said.keys() - set(given)):
        yield f"does not say by which column {table} is sliced; add it to the inputs"
    for table, read in said.items():
        if table not in others:
            yield f"slices {table}, which there is not; mend the name"
        if table not in model.refs:
            yield f"slices {table}, which it does not read; leave it out"
        if read.of is not None and read.of not in said:
            yield f"finds {table} by the rows of {read.of}, which is no input of it; mend the name"
        if read.of is None and read.by != (model.sliced_by,):
            yield f"finds {table} by {', '.join(read.by)}, which its slice does not name; say `of` which input does"
        if read.since is not None and read.of is None:
            yield f"finds {table} since a time that no input tells; say `of` which one does"
