"""The inbox: what counts as new, in which order it becomes visible, and that a page and its cursor go together."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from resources.connectors.connector import Message, Page
from resources.store import inbox
from resources.store.inbox import cursor_of, keep, keep_each, keep_page
from resources.store.store import Store


def said(body: str, remote_id: str | None = "1", **more: object) -> Message:
    return Message("stock", f'"{body}"', body.encode(), remote_id=remote_id, **more)  # type: ignore[arg-type]


def kept(store: Store) -> list[str]:
    """The bodies in the order of their ids."""
    with store.transaction() as connection:
        rows = connection.execute(sa.text("select body from inbox order by inbox_id"))
        return [bytes(row.body).decode() for row in rows]


def keep_by(store: Store, arrived_by: str, *messages: Message) -> int:
    with store.transaction() as connection:
        return keep(connection, system="shop", arrived_by=arrived_by, messages=messages)


# What counts as new


def test_a_poll_that_tells_5_4_5_is_three_messages(store: Store) -> None:
    assert keep_by(store, "poll", said("5"), said("4"), said("5")) == 3
    assert kept(store) == ["5", "4", "5"]


def test_5_4_5_told_by_three_polls_is_three_messages(store: Store) -> None:
    assert [keep_by(store, "poll", said(body)) for body in "545"] == [1, 1, 1]


def test_a_poll_that_tells_the_same_again_is_nothing_new(store: Store) -> None:
    assert [keep_by(store, "poll", said("5"), said("5")) for _ in range(2)] == [1, 0]


def test_what_a_record_said_last_is_its_own_matter(store: Store) -> None:
    assert keep_by(store, "poll", said("5", "1"), said("5", "2"), said("4", "1"), said("5", "2")) == 3


def test_a_snapshot_that_agrees_with_the_last_poll_is_nothing_new(store: Store) -> None:
    keep_by(store, "poll", said("5"))
    assert keep_by(store, "snapshot", said("5")) == 0
    assert keep_by(store, "snapshot", said("4")) == 1


def test_a_page_is_kept_in_its_own_order(store: Store) -> None:
    bodies = [str(number) for number in range(200)]
    keep_by(store, "poll", *(said(body, str(int(body) % 3)) for body in bodies))
    assert kept(store) == bodies


def test_a_webhook_is_new_by_its_event_id(store: Store) -> None:
    assert keep_by(store, "webhook", said("a", event_id="1"), said("b", event_id="1")) == 1
    assert keep_by(store, "webhook", said("a", event_id="2")) == 1  # no version in its body: it may be true again


def test_a_webhook_whose_body_carries_a_version_is_new_by_its_body(store: Store) -> None:
    assert keep_by(store, "webhook", said("a", event_id="1", is_versioned=True)) == 1
    assert keep_by(store, "webhook", said("a", event_id="2", is_versioned=True)) == 0


def test_another_system_may_say_the_same(store: Store) -> None:
    keep_by(store, "webhook", said("a", event_id="1", is_versioned=True))
    with store.transaction() as connection:
        assert keep(connection, system="till", arrived_by="webhook", messages=[said("a", event_id="1")]) == 1


def test_a_file_is_new_by_its_content_and_place_and_each_of_its_rows_counts(store: Store) -> None:
    def row(occurrence: str, number: int) -> Message:
        return said("x", None, file_name="a.csv", file_occurrence=occurrence, row_number=number)

    assert keep_by(store, "file", row("o1", 1), row("o1", 2)) == 2  # a row that repeats another exactly is still a row
    assert keep_by(store, "file", row("o1", 1), row("o1", 2)) == 0
    assert keep_by(store, "file", row("o2", 1)) == 1


def test_of_webhooks_kept_together_each_is_told_whether_it_was_new(store: Store) -> None:
    keep_by(store, "webhook", said("old", event_id="1", is_versioned=True))
    messages = [
        said("new", event_id="2", is_versioned=True),
        said("new", event_id="2", is_versioned=True),
        said("old", event_id="3", is_versioned=True),
        said("unversioned"),
        said("unversioned"),
    ]
    with store.transaction() as connection:
        assert keep_each(connection, system="shop", messages=messages) == [True, False, False, True, True]


def test_nothing_said_is_nothing_kept(store: Store) -> None:
    assert keep_by(store, "poll") == 0
    with store.transaction() as connection:
        assert keep_each(connection, system="shop", messages=[]) == []


# Commit order


@contextmanager
def a_slow_and_a_quick_writer(store: Store) -> Iterator[threading.Thread]:
    """The slow one has inserted and not committed; the quick one begins after it. Inside, the quick one had its time."""
    with store.transaction() as slow:
        keep(slow, system="shop", arrived_by="poll", messages=[said("slow", "1")])
        quick = threading.Thread(target=keep_by, args=(store, "poll", said("quick", "2")))
        quick.start()
        quick.join(0.5)
        yield quick
    quick.join(5)


def test_a_slow_writer_cannot_be_overtaken_symptom_38(store: Store) -> None:
    with a_slow_and_a_quick_writer(store):
        assert kept(store) == []
    assert kept(store) == ["slow", "quick"]


def test_without_the_lock_a_slow_writer_is_overtaken(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proof that the test above can fail: a reader whose watermark is the quick one's id never sees the slow one."""
    monkeypatch.setattr(inbox, "in_order", lambda connection: None)
    with a_slow_and_a_quick_writer(store):
        assert kept(store) == ["quick"]
    assert kept(store) == ["slow", "quick"]


def test_a_reader_with_a_watermark_sees_every_message_of_many_writers(store: Store) -> None:
    def write(writer: int) -> None:
        for number in range(40):
            keep_by(store, "poll", said(f"{writer}-{number}", f"{writer}"))

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(5)]
    for writer in writers:
        writer.start()
    seen: list[int] = []
    statement = sa.text("select inbox_id from inbox where inbox_id > :after order by inbox_id")
    are_writing = True
    while are_writing:
        are_writing = any(writer.is_alive() for writer in writers)
        with store.transaction() as connection:
            seen += connection.execute(statement, {"after": seen[-1] if seen else 0}).scalars()
    assert len(seen) == len(set(seen)) == 200


# Page and cursor


def test_a_page_and_its_cursor_are_kept_together(store: Store) -> None:
    assert keep_page(store, system="shop", stream="stock", page=Page([said("5")], "c1")) == 1
    assert cursor_of(store, system="shop", stream="stock") == "c1"
    assert keep_page(store, system="shop", stream="stock", page=Page([], "c2")) == 0
    assert cursor_of(store, system="shop", stream="stock") == "c2"


def test_a_page_that_cannot_be_kept_does_not_move_the_cursor(store: Store) -> None:
    keep_page(store, system="shop", stream="stock", page=Page([said("5")], "c1"))
    with pytest.raises(sa.exc.DBAPIError):
        keep_page(store, system="shop", stream="stock", page=Page([said("4"), said("bad", "\0")], "c2"))
    assert (kept(store), cursor_of(store, system="shop", stream="stock")) == (["5"], "c1")


def test_a_cursor_that_cannot_be_set_takes_its_page_back(store: Store) -> None:
    with pytest.raises(sa.exc.DBAPIError):
        keep_page(store, system="shop", stream="stock", page=Page([said("5")], "\0"))
    assert (kept(store), cursor_of(store, system="shop", stream="stock")) == ([], None)
