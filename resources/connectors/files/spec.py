"""How the files of a stream are named and written, and what is read out of one: records, as JSON text."""

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from resources.host.text import dump_payload

FORMATS = ("csv", "xml", "json", "jsonl")
SEPARATORS = {",": r"[.'\u2019 \u00a0\u202f]", ".": r"[,'\u2019 \u00a0\u202f]"}  # of thousands, by decimal mark


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
        if spec.format not in FORMATS:
            raise ValueError(f"stream {stream}: format {spec.format!r} is not one of {', '.join(FORMATS)}")
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


def gathered(column: str, rows: Iterator[tuple[int, dict[str, Any], bytes]], key_of: Any) -> Iterator[Record]:
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
