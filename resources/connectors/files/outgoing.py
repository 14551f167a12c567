"""A delivery as a file for a partner who takes files: its name, and what stands in it."""

import csv
import io
import json
import re
from collections.abc import Mapping
from typing import Any

from resources.connectors.connector import Delivery


def name_of(delivery: Delivery, folder: str, format: str) -> str:
    """The file's path: the same for the same version of the same record, and its versions in order."""
    key = re.sub(r"[^\w.-]", "_", delivery.key)
    return f"{folder}/{key}_{delivery.version:04}_{delivery.action}.{format}"


def names_in(folder: str, format: str) -> str:
    """What all such paths look like, as a glob."""
    return f"{folder}/*_[0-9][0-9][0-9][0-9]_*.{format}"


def content_of(delivery: Delivery, format: str, delimiter: str) -> bytes:
    """The record with what is asked for: a JSON document, or a CSV row for each of its lines (one without lines has one)."""
    head = {"key": delivery.key, "version": str(delivery.version), "action": delivery.action}
    payload = dict(delivery.payload)
    if format == "json":
        return (json.dumps({**head, **payload}, ensure_ascii=False, indent=1) + "\n").encode()
    lines: list[Mapping[str, Any]] = payload.pop("lines", None) or [{}]
    rows = [{**head, **payload, **{f"line_{name}": value for name, value in line.items()}} for line in lines]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), delimiter=delimiter, restval="")
    writer.writeheader()
    writer.writerows({name: _plain(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _plain(value: Any) -> Any:
    """Text that a spreadsheet cannot take for a formula; numbers stay numbers."""
    if isinstance(value, str) and value[:1] in "=+-@\t\r" and not re.fullmatch(r"[+-]?[\d.]+", value):
        return "'" + value
    return value
