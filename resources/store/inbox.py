"""Keeping: what a system said is committed to the inbox once, before anyone is told "got it"."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from resources.connectors.connector import Message, Page
from resources.host.text import hash_of
from resources.store.store import Store, in_order, query


def keep(connection: sa.Connection, *, system: str, arrived_by: str, messages: Sequence[Message]) -> int:
    """Insert what is new, in one statement; how many were.

    A webhook is new by its event id (and its body, where that carries a version or time), a poll or snapshot when it
    differs from the record's last message, a file's row by the file's occurrence and the row.
    """
    if not messages:
        return 0
    in_order(connection)
    name = "keep_what_differs" if arrived_by in ("poll", "snapshot") else "keep_what_is_new"
    values = {"system": system, "arrived_by": arrived_by, **_columns(messages)}
    return connection.exec_driver_sql(_in_binary(name), values).rowcount


def keep_each(connection: sa.Connection, *, system: str, messages: Sequence[Message]) -> list[bool]:
    """Insert what is new of webhook messages, in one statement; of each message whether it was."""
    if not messages:
        return []
    columns = _columns(messages)
    in_order(connection)
    statement = _in_binary("keep_what_is_new") + " returning stream, event_id, body_hash"
    kept = connection.exec_driver_sql(statement, {"system": system, "arrived_by": "webhook", **columns})
    new = Counter(tuple(row) for row in kept)
    told = []
    for identity in zip(columns["streams"], columns["event_ids"], columns["body_hashes"], strict=True):
        told.append(new[identity] > 0)  # of equal messages in one statement the first is the new one
        new[identity] -= 1
    return told


@cache
def _in_binary(name: str) -> str:
    """The named query, its values sent in binary: quoting arrays of payloads as text takes ten times as long."""
    return re.sub(r"(?<![:\w]):(\w+)", r"%(\1)b", query(name).text)


def _columns(messages: Sequence[Message]) -> dict[str, list[Any]]:
    return {
        "streams": [m.stream for m in messages],
        "remote_ids": [m.remote_id for m in messages],
        "event_ids": [m.event_id for m in messages],
        "body_hashes": [hash_of(m.body) for m in messages],
        "versioned": [m.is_versioned for m in messages],
        "file_names": [m.file_name for m in messages],
        "file_occurrences": [m.file_occurrence for m in messages],
        "row_numbers": [m.row_number for m in messages],
        "payloads": [m.payload for m in messages],
        "bodies": [m.body for m in messages],
    }


def keep_page(store: Store, *, system: str, stream: str, page: Page) -> int:
    """Keep a polled page and its cursor in one transaction; how many messages were new."""
    with store.transaction() as connection:
        kept = keep(connection, system=system, arrived_by="poll", messages=page.messages)
        connection.execute(query("set_cursor"), {"system": system, "stream": stream, "cursor": page.cursor})
    return kept


def cursor_of(store: Store, *, system: str, stream: str) -> str | None:
    """Where the last poll of this stream ended."""
    row = store.one("get_cursor", system=system, stream=stream)
    return row["cursor"] if row else None
