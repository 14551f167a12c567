"""Keeping: what a system said is committed to the inbox once, before anyone is told "got it"."""

from collections.abc import Sequence

import sqlalchemy as sa

from resources.connector import Message, Page
from resources.store import Store, in_order, query
from resources.text import hash_of


def keep(connection: sa.Connection, *, system: str, arrived_by: str, messages: Sequence[Message]) -> int:
    """Insert what is new, in one statement; how many were.

    A webhook is new by its event id (and its body, where that carries a version or time), a poll or snapshot when it
    differs from the record's last message, a file's row by the file's occurrence and the row.
    """
    if not messages:
        return 0
    columns = {
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
    in_order(connection)
    name = "keep_what_differs" if arrived_by in ("poll", "snapshot") else "keep_what_is_new"
    return connection.execute(query(name), {"system": system, "arrived_by": arrived_by, **columns}).rowcount


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
