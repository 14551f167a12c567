"""Which places of a stream's payload the map reads, as paths such as `$.line_items[].tax_lines[].rate`, and as what."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from pipelines.language.schema import EntityField, IntegrationMap, Stream
from resources.lake.json_paths import around, path_of

Expected = Literal["a value", "a number", "a time", "a list", "an object"]

PLACE = re.compile(r"\b(payload|item)\s*(->>?)\s*'(\$[^']*)'")  # where a spelling looks something up
LITERAL = re.compile(r"(?<!>)\s'(\$[^']*)'|\('(\$[^']*)'|,\s*'(\$[^']*)'")  # a place that no arrow precedes
NUMBERS = ("money", "unit_price", "quantity", "integer", "number", "rate")
TIMES = ("timestamp", "date")


@dataclass(slots=True)
class Read:
    """A path that the map reads."""

    path: str
    expected: Expected
    readers: list[str] = field(default_factory=list)  # orders.total; or a key of the stream: occurred_at
    is_whole: bool = False  # everything beneath it is read with it


def reads_of(told: IntegrationMap, stream: Stream) -> dict[str, Read]:
    """Every path of the stream's payload that some expression of the map reads, with the objects and lists around it."""
    found: dict[str, Read] = {}
    for reader, expression, scope, expected in _expressions(told, stream):
        for path, kind, is_whole in _places(expression, scope, expected):
            _add(found, path, kind, reader, is_whole=is_whole)
            inside = path
            for outer in around(path)[:-1]:
                _add(found, outer, "a list" if inside.endswith("[]") else "an object", reader, is_whole=False)
                inside = outer
    return found


def _add(found: dict[str, Read], path: str, expected: Expected, reader: str, *, is_whole: bool) -> None:
    read = found.setdefault(path, Read(path, expected))
    if read.expected != expected and "a value" in (read.expected, expected):
        read.expected = "a value"  # one reader takes it as it is
    read.is_whole = read.is_whole or is_whole
    if reader not in read.readers:
        read.readers.append(reader)


def _expressions(told: IntegrationMap, stream: Stream) -> Iterator[tuple[str, str, str, Expected]]:
    """(who reads, expression, path of its `item`, what it must be)."""
    yield "remote_id", stream.remote_id, "$", "a value"
    yield "occurred_at", stream.occurred_at or "", "$", "a time"
    yield "sequence", stream.sequence or "", "$", "a value"
    yield "deleted_at", stream.deleted_at or "", "$", "a value"
    yield "writer", stream.writer or "", "$", "a value"
    for entity, says in stream.says.items():
        fields = told.entities[entity].fields if entity in told.entities else {}
        item = "$"
        if says.unfold and (place := PLACE.search(says.unfold)):
            item = path_of(place[3]) + "[]"
            yield entity, says.unfold, "$", "a list"
        for expression in [*says.key, says.originates, says.line or ""]:
            yield f"{entity}.key", expression, item, "a value"
        for part in says.parts():
            yield f"{entity}.occurred_at", part.occurred_at or "", item, "a time"
            for name, expression in part.fields.items():
                yield f"{entity}.{name}", expression, item, _expected(fields.get(name))


def _expected(told: EntityField | None) -> Expected:
    kind = told.type if told else "text"
    return "a number" if kind in NUMBERS else "a time" if kind in TIMES else "a value"


def _places(expression: str, item: str, expected: Expected) -> Iterator[tuple[str, Expected, bool]]:
    """(path, what it must be, whether all beneath it is read) of every place that the expression looks up."""
    lookups = list(PLACE.finditer(expression))
    literals = [(match.start(), str(match[1] or match[2] or match[3])) for match in LITERAL.finditer(expression)]
    starts = [lookup.start() for lookup in lookups] + [len(expression)]
    for start, told in literals:
        if start < starts[0]:  # as in json_extract(payload, '$.note')
            yield path_of(told), "a value", True
    for lookup, until in zip(lookups, starts[1:], strict=True):
        scope, arrow, place = lookup.groups()
        base = path_of(place, "$" if scope == "payload" else item)
        elements = [told for start, told in literals if arrow == "->" and lookup.end() <= start < until]
        if arrow == "->" and (elements or expected == "a list"):
            yield base, "a list", False
            for told in elements:
                yield path_of(told, base + "[]"), expected, True
        else:
            yield base, "a value" if arrow == "->" else expected, True


def is_read(reads: dict[str, Read], path: str) -> bool:
    """Whether the map reads the path, something beneath it, or the whole of something in which it lies."""
    if path in reads:
        return True
    return any(outer in reads and reads[outer].is_whole for outer in around(path))
