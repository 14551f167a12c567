"""Records out of CSV, XML, JSON and JSONL files, as JSON text in which every number is a string.

A file is read whole or not at all: what makes all of it doubtful raises BadFile before its first record is handed out.
What makes one row doubtful makes that row a record whose payload says so under `problem`: no row is lost.
"""

import codecs
import csv
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, NamedTuple
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import XMLParser

from resources.text import BOM, as_payload, dump_payload

CHUNK = 1 << 16
LARGEST_IN_MEMORY = 1 << 26  # bytes: JSON, and rows that `one_message_per` gathers, are read as a whole


class BadFile(Exception):
    """The file as a whole cannot be read as what the map says it is."""


class Record(NamedTuple):
    """One record of a file: the number of its first row as a spreadsheet shows it, what it says, and its own bytes."""

    row_number: int
    payload: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSpec:
    """How the files of a stream are named and written."""

    glob: str  # below the drop folder, such as counts/*.csv
    format: str  # csv, xml, json, jsonl
    encoding: str  # of csv, json and jsonl; XML says it of itself, and a UTF-8 byte order mark wins
    delimiter: str
    decimal: str  # the decimal mark of the columns in `numbers`
    numbers: tuple[str, ...]
    columns: tuple[str, ...]  # a CSV without one of these is refused
    row: str | None  # XML: the path of one record; JSON: the path of the list of records
    lists: tuple[str, ...]  # XML: elements that are lists even when they hold one item
    one_message_per: str | None

    @classmethod
    def of(cls, stream: str, said: Mapping[str, Any]) -> "FileSpec":
        """The spec as the map says it. Raises ValueError that names the stream and the key."""
        spec = cls(
            glob=said.get("glob", ""),
            format=said.get("format", ""),
            encoding=said.get("encoding") or "utf-8",
            delimiter=said.get("delimiter") or ",",
            decimal=said.get("decimal") or ".",
            numbers=tuple(said.get("numbers") or ()),
            columns=tuple(said.get("columns") or ()),
            row=said.get("row"),
            lists=tuple(said.get("lists") or ("lines",)),
            one_message_per=said.get("one_message_per"),
        )
        steps = spec.glob.split("/")
        if not spec.glob or spec.glob.startswith("/") or ".." in steps or "" in steps:
            raise ValueError(
                f"stream {stream}: glob {spec.glob!r} must name files below the drop folder, as counts/*.csv"
            )
        if spec.format not in READERS:
            raise ValueError(f"stream {stream}: format {spec.format!r} is not one of {', '.join(READERS)}")
        if spec.decimal not in SEPARATORS:
            raise ValueError(f"stream {stream}: decimal {spec.decimal!r} is neither '.' nor ','")
        if len(spec.delimiter) != 1:
            raise ValueError(f"stream {stream}: delimiter {spec.delimiter!r} is not one character")
        if spec.format == "xml" and not (spec.row or "").startswith("/"):
            raise ValueError(f"stream {stream}: row {spec.row!r} must be a path from the root, as /despatch/parcel")
        try:
            codecs.lookup(spec.encoding)
        except LookupError:
            raise ValueError(
                f"stream {stream}: encoding {spec.encoding!r} is unknown; name one that Python knows"
            ) from None
        return spec


def read_records(spec: FileSpec, file: IO[bytes]) -> Iterator[Record]:
    """The records of one file, in its order. Raises BadFile."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size > LARGEST_IN_MEMORY and (spec.format == "json" or spec.one_message_per):
        raise BadFile(f"the file has {size} bytes, more than {LARGEST_IN_MEMORY}; send it in parts")
    if not size:
        raise BadFile("the file is empty")
    try:
        yield from READERS[spec.format](spec, file)
    except RecursionError:
        raise BadFile("the file is nested too deep") from None


# -- CSV -------------------------------------------------------------------------------------------------------------


class _Lines:
    """Lines on their way to the CSV reader, kept until the row that they make up is taken."""

    def __init__(self, spec: FileSpec, file: IO[bytes]) -> None:
        file.seek(0)
        has_bom = file.read(len(BOM)) == BOM
        self.encoding = "utf-8" if has_bom else spec.encoding.lower()
        file.seek(len(BOM) if has_bom else 0)
        # newline="" leaves line ends as they are, so that a quoted cell keeps its own
        self.text = io.TextIOWrapper(file, encoding=self.encoding, newline="")
        self.pending: list[str] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = next(self.text)
        self.pending.append(line)
        return line

    def take(self) -> str:
        raw = "".join(self.pending)
        self.pending.clear()
        return raw


class _Row(NamedTuple):
    """A row: its cells, or what is wrong with its quotes, and the text from which it was read."""

    number: int
    cells: list[str]
    fault: str | None
    raw: bytes


def _csv_rows(spec: FileSpec, file: IO[bytes]) -> Iterator[_Row]:
    """Every row that is not blank, the header first. Raises BadFile."""
    lines = _Lines(spec, file)
    reader = csv.reader(lines, delimiter=spec.delimiter, strict=True)
    number = 0
    try:
        while True:
            number += 1
            try:
                cells, fault = next(reader), None
            except StopIteration:
                return
            except csv.Error as error:
                if "expected after" not in str(error):  # end of data, or the limit of a cell: a quote that never closes
                    raise BadFile(
                        f"a quote that opens in row {number} is not closed, so that the rows after it cannot be told apart"
                    ) from None
                cells, fault = [], "has text right after a closing quote"
            raw = lines.take()
            if cells or fault:
                yield _Row(number, cells, fault, raw.encode(lines.encoding))
    except UnicodeDecodeError as error:
        raise BadFile(
            f"the file is not {lines.encoding}: byte 0x{error.object[error.start]:02x} about row {number};"
            " correct the encoding in the map, or the file"
        ) from None
    finally:
        lines.text.detach()


def _header(spec: FileSpec, rows: Iterator[_Row]) -> list[str]:
    """The names of the columns. Raises BadFile."""
    first = next(rows, None)
    if first is None:
        raise BadFile("the file is empty")
    names = [cell.strip() or f"column_{position}" for position, cell in enumerate(first.cells, 1)]
    if first.fault:
        raise BadFile(f"the header {first.fault}")
    needed = {*spec.columns, *spec.numbers, *([spec.one_message_per] if spec.one_message_per else [])}
    if missing := sorted(needed - set(names)):
        raise BadFile(
            f"the header has no column {', '.join(map(repr, missing))}; split at {spec.delimiter!r} it has"
            f" {', '.join(map(repr, names[:50]))}"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadFile(f"the header names {', '.join(map(repr, twice))} twice")
    return names


def _read_csv(spec: FileSpec, file: IO[bytes]) -> Iterator[Record]:
    for _ in _csv_rows(spec, file):  # whole or not at all: half of a broken file would pass for a short one
        pass
    rows = _csv_rows(spec, file)
    names = _header(spec, rows)
    said = ((row.number, _say_row(spec, names, row), row.raw) for row in rows)
    if spec.one_message_per is None:
        for number, row, raw in said:
            yield Record(number, dump_payload(row), raw)
    else:
        position = names.index(spec.one_message_per)
        yield from _gathered(spec.one_message_per, said, lambda row: _key_of(row, str(spec.one_message_per), position))


def _say_row(spec: FileSpec, names: list[str], row: _Row) -> dict[str, Any]:
    if row.fault:
        return {"problem": f"row {row.number} {row.fault}", "text": row.raw.decode("utf-8", "replace")}
    if len(row.cells) != len(names):
        return {
            "problem": f"row {row.number} has {len(row.cells)} columns where the header has {len(names)}",
            "cells": row.cells,
        }
    said: dict[str, Any] = dict(zip(names, row.cells, strict=True))
    for column in spec.numbers:
        said[column] = plain_number(said[column], spec.decimal)
    return said


def _key_of(row: Mapping[str, Any], column: str, position: int) -> str | None:
    """To which message a row belongs. A row of the wrong width is held with the key that stands in its place,

    so that an order is never complete without its broken line.
    """
    if column in row:
        return str(row[column])
    cells = row.get("cells", [])
    return cells[position] if position < len(cells) else None


def _gathered(column: str, rows: Iterator[tuple[int, dict[str, Any], bytes]], key_of: Any) -> Iterator[Record]:
    """One record for the rows that share a key, wherever they stand in the file; a row without a key stands alone."""
    groups: dict[str | tuple[int], tuple[int, list[str], list[bytes]]] = {}
    names: dict[str | tuple[int], str | None] = {}
    for number, row, raw in rows:
        key = key_of(row)
        group = key if key is not None else (number,)
        first, texts, raws = groups.setdefault(group, (number, [], []))
        names[group] = key
        texts.append(dump_payload({**row, "row_number": str(number)}))
        raws.append(raw)
    for group, (first, texts, raws) in groups.items():
        key = names[group]
        start = dump_payload({column: key})[:-1] + "," if key is not None else "{"
        yield Record(first, f'{start}"rows":[{",".join(texts)}]}}', b"".join(raws))


SEPARATORS = {",": r"[.'\u2019 \u00a0\u202f]", ".": r"[,'\u2019 \u00a0\u202f]"}  # of thousands, by decimal mark
NUMBER = {
    mark: re.compile(
        rf"\s*([+-]?)(\d{{1,3}}(?:({between})\d{{3}})(?:\3\d{{3}})*|\d+)?(?:[{mark}](\d+))?(-?)\s*", re.ASCII
    )
    for mark, between in SEPARATORS.items()
}


def plain_number(text: str, decimal: str) -> str:
    """A number as its file writes it (1.234,50 or 12,5-) with a decimal point and nothing between its digits.

    What is no number in that spelling keeps its text with a remark behind it, so that no rule takes it for one.
    """
    match = NUMBER[decimal].fullmatch(text)
    if not match or (match[2] is None and match[4] is None):
        return f"{text} (no number with decimal mark {decimal!r})" if text.strip() else text
    sign, whole, _, fraction, trailing = match.groups()
    if sign and trailing:
        return f"{text} (no number with decimal mark {decimal!r})"
    sign = "-" if "-" in (sign, trailing) else ""
    return sign + re.sub(r"\D", "", whole or "0") + (f".{fraction}" if fraction else "")


# -- XML -------------------------------------------------------------------------------------------------------------


class _Element:
    __slots__ = ("attributes", "children", "name", "start", "text")

    def __init__(self, name: str, attributes: Mapping[str, str], start: int) -> None:
        self.name = name
        self.attributes = {_local(key): value for key, value in attributes.items()}
        self.children: list[_Element] = []
        self.text: list[str] = []
        self.start = start


def _local(tag: str) -> str:
    """A name without its namespace."""
    return tag.rpartition("}")[2]


class _Rows:
    """What the parser tells of the elements on the row's path; all else is let go, so that memory stays flat."""

    def __init__(self, spec: FileSpec) -> None:
        self.steps = (spec.row or "").strip("/").split("/")
        self.depth = 0
        self.on_path = 0  # how many of the open elements follow the path
        self.stack: list[_Element] = []
        self.done: list[tuple[_Element, int]] = []
        self.parser: Any = None

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = _local(tag)
        self.depth += 1
        if self.depth == 1 and name != self.steps[0]:
            raise BadFile(f"the root element is <{name}> where the map expects <{self.steps[0]}>")
        if self.stack:
            child = _Element(name, attributes, 0)
            self.stack[-1].children.append(child)
            self.stack.append(child)
        elif self.on_path == self.depth - 1 and self.depth <= len(self.steps) and name == self.steps[self.depth - 1]:
            self.on_path = self.depth
            if self.depth == len(self.steps):
                self.stack.append(_Element(name, attributes, self.parser.CurrentByteIndex))

    def data(self, text: str) -> None:
        if self.stack:
            self.stack[-1].text.append(text)

    def end(self, tag: str) -> None:
        if self.stack:
            element = self.stack.pop()
            if not self.stack:
                self.done.append((element, self.parser.CurrentByteIndex))
        self.depth -= 1
        self.on_path = min(self.on_path, self.depth)

    def close(self) -> None:
        pass


class _Nothing:
    """A target that wants to hear nothing: parsing for well-formedness alone, at the speed of C."""

    def close(self) -> None:
        pass


def _read_xml(spec: FileSpec, file: IO[bytes]) -> Iterator[Record]:
    for _ in _parsed(file, XMLParser(target=_Nothing())):
        pass
    rows = _Rows(spec)
    parser = XMLParser(target=rows)
    rows.parser = parser.parser
    number = 0
    for _ in _parsed(file, parser):
        done, rows.done = rows.done, []
        for element, end in done:
            number += 1
            yield Record(number, dump_payload(_say_element(element, spec.lists)), _slice(file, element.start, end))


def _parsed(file: IO[bytes], parser: Any) -> Iterator[None]:
    """Feed the file to the parser; a pause after each chunk. Raises BadFile."""
    position, chunk = 0, b"-"
    try:
        while chunk:
            file.seek(position)
            chunk = file.read(CHUNK)
            position += len(chunk)
            if chunk:
                parser.feed(chunk)
                yield
        parser.close()
    except ParseError as error:
        raise BadFile(f"the XML is malformed: {error}") from None
    except DefusedXmlException as error:
        raise BadFile(f"the XML declares entities, which are refused: {type(error).__name__}") from None
    except (LookupError, ValueError) as error:  # an encoding that expat does not speak
        raise BadFile(f"the XML cannot be read: {error}") from None


def _slice(file: IO[bytes], start: int, end: int) -> bytes:
    """The bytes of an element, from the start of its first tag to the end of its last one, which begins at `end`."""
    file.seek(start)
    raw = file.read(end - start)
    while b">" not in (chunk := file.read(256)):
        if not chunk:
            return raw
        raw += chunk
    return raw + chunk[: chunk.index(b">") + 1]


def _say_element(element: _Element, lists: tuple[str, ...]) -> Any:
    """An element as JSON: text, or an object of its children; attributes as @name, repeated children as lists."""
    text = "".join(element.text).strip()
    if not element.children and not element.attributes:
        return text
    if element.attributes.get("nil") == "true" and not element.children:
        return None
    said: dict[str, Any] = {f"@{name}": value for name, value in element.attributes.items()}
    named: dict[str, list[_Element]] = {}
    for child in element.children:
        named.setdefault(child.name, []).append(child)
    for name, children in named.items():
        if name in lists:
            items = [item for child in children for item in (child.children if _is_container(child) else [child])]
            said[name] = [_say_element(item, lists) for item in items if item.children or item.attributes or item.text]
        else:
            values = [_say_element(child, lists) for child in children]
            said[name] = values if len(values) > 1 else values[0]
    if text:
        said["#text"] = text
    return said


def _is_container(element: _Element) -> bool:
    """Whether an element only holds the items of a list, as <lines> holds <line>s."""
    names = {child.name for child in element.children}
    return (
        len(names) == 1
        and not element.attributes
        and (
            len(element.children) > 1
            or bool(element.children[0].children)
            or element.name == element.children[0].name + "s"
        )
    )


# -- JSON ------------------------------------------------------------------------------------------------------------


def _read_json(spec: FileSpec, file: IO[bytes]) -> Iterator[Record]:
    body = file.read()
    try:
        value = json.loads(as_payload(body.decode(spec.encoding).encode()))
    except UnicodeDecodeError as error:
        raise BadFile(f"the file is not {spec.encoding}: {error.reason} at byte {error.start}") from None
    except ValueError as error:
        raise BadFile(f"the JSON is malformed: {error}") from None
    if spec.row is None and isinstance(value, dict):
        yield from _said_records(spec, iter([(1, value, body)]))
        return
    for step in (spec.row or "").strip("/").split("/") if spec.row else ():
        if not isinstance(value, dict) or step not in value:
            raise BadFile(f"the JSON has no list at {spec.row}")
        value = value[step]
    if not isinstance(value, list):
        raise BadFile(f"the JSON has no list at {spec.row or 'its top'}")
    items = ((number, item, dump_payload(item).encode()) for number, item in enumerate(value, 1))
    yield from _said_records(spec, items)


def _read_jsonl(spec: FileSpec, file: IO[bytes]) -> Iterator[Record]:
    def lines() -> Iterator[tuple[int, Any, bytes]]:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield number, json.loads(as_payload(line.decode(spec.encoding).encode())), line
                except ValueError as error:
                    said = {"problem": f"line {number} is not JSON: {error}", "text": line.decode("utf-8", "replace")}
                    yield number, said, line

    yield from _said_records(spec, lines())


def _said_records(spec: FileSpec, items: Iterator[tuple[int, Any, bytes]]) -> Iterator[Record]:
    if spec.one_message_per is None:
        for number, item, raw in items:
            yield Record(number, dump_payload(item), raw)
        return
    column = spec.one_message_per
    rows = ((n, item if isinstance(item, dict) else {"value": item}, raw) for n, item, raw in items)
    yield from _gathered(column, rows, lambda row: str(row[column]) if row.get(column) is not None else None)


READERS = {"csv": _read_csv, "xml": _read_xml, "json": _read_json, "jsonl": _read_jsonl}
