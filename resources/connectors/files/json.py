"""Records out of JSON and JSONL files; every number becomes a string."""

import json
from collections.abc import Iterator
from typing import IO, Any

from resources.connectors.files.spec import BadFile, FileSpec, Record, gathered
from resources.host.text import as_payload, dump_payload


def read_json(spec: FileSpec, file: IO[bytes]) -> Iterator[Record]:
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


def read_jsonl(spec: FileSpec, file: IO[bytes]) -> Iterator[Record]:
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
    yield from gathered(column, rows, lambda row: str(row[column]) if row.get(column) is not None else None)
