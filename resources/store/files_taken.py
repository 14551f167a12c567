"""Keeping what files say: their messages, the books of which files were taken, and the cursor, in one transaction."""

from typing import Any

from resources.connectors.connector import Page
from resources.store.inbox import keep
from resources.store.store import Store, query


def keep_file_page(store: Store, *, system: str, stream: str, page: Page) -> int:
    """Keep a page of a file, its cursor and, with a file's last page, the file itself; how many messages were new."""
    with store.transaction() as connection:
        kept = keep(connection, system=system, arrived_by="file", messages=page.messages)
        if page.file is not None:
            taken = {
                "file_occurrence": page.file.occurrence,
                "file_name": page.file.name,
                "size_bytes": page.file.size_bytes,
                "messages": page.file.messages,
                "problem": page.file.problem,
            }
            connection.execute(query("keep_file"), {"system": system, "stream": stream, **taken})
        connection.execute(query("set_cursor"), {"system": system, "stream": stream, "cursor": page.cursor})
    return kept


def open_file_problems(store: Store, *, system: str, stream: str) -> list[dict[str, Any]]:
    """The files that could not be read and that no later file of the same name has made good, oldest first."""
    return store.rows("open_file_problems", system=system, stream=stream)
