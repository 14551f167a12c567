"""Records out of CSV files. What makes one row doubtful makes that row a record that says so: no row is lost."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

from resources.connectors.files.spec import SEPARATORS, BadFile, FileSpec, Record, gathered
from resources.host.text import BOM, dump_payload

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


def read_csv(spec: FileSpec, file: IO[bytes]) -> Iterator[Record]:
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
        yield from gathered(spec.one_message_per, said, lambda row: _key_of(row, str(spec.one_message_per), position))


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
