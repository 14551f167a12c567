"""The contract of connectors: every one of them, over the real system that it speaks to, keeps the same promises."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from resources.connectors.connector import Connector, Delivery, Message, Page, Result, Unreachable
from tests.connector_adapters import ADAPTERS, TAKERS, Adapter


@pytest.fixture(params=sorted(ADAPTERS))
def adapter(request: pytest.FixtureRequest) -> Adapter:
    return ADAPTERS[request.param](request)


@pytest.fixture(params=TAKERS)
def taker(request: pytest.FixtureRequest) -> Adapter:
    return ADAPTERS[request.param](request)


def who(message: Message) -> tuple[Any, ...]:
    """Which record a message is about; a file's row is its own."""
    return (message.stream, message.remote_id or (message.file_occurrence, message.row_number))


def told(pages: list[Page]) -> set[tuple[Any, ...]]:
    return {(who(message), message.payload) for page in pages for message in page.messages}


def polled(adapter: Adapter, stream: str, cursor: str | None = None) -> list[Page]:
    return list(adapter.connector.changed_since(stream, cursor))


def first_poll(adapter: Adapter, stream: str) -> list[Page]:
    """Everything from the beginning; where there is nothing yet, a record comes first."""
    pages = polled(adapter, stream)
    if not told(pages):
        adapter.polls[stream]()
        pages = polled(adapter, stream)
    return pages


def test_a_poll_brings_what_is_there_and_from_its_cursor_nothing_new(adapter: Adapter) -> None:
    for stream in adapter.polls:
        first = first_poll(adapter, stream)
        assert adapter.connector.has_changed(stream, None), stream
        assert told(first), stream
        assert first[-1].cursor is not None, stream
        again = polled(adapter, stream, first[-1].cursor)
        assert told(again) <= told(first), stream  # an overlap may be read twice: it is kept once


def test_the_probe_comes_to_rest_when_nothing_changes(adapter: Adapter) -> None:
    for stream in adapter.polls:
        cursor = first_poll(adapter, stream)[-1].cursor
        for _ in range(10):  # a clock of whole seconds takes a while until it can tell
            if not adapter.connector.has_changed(stream, cursor):
                break
            pages = polled(adapter, stream, cursor)
            cursor = pages[-1].cursor if pages else cursor
            time.sleep(0.5)
        assert not adapter.connector.has_changed(stream, cursor), stream


def test_a_change_after_the_cursor_is_never_lost_symptom_35(adapter: Adapter) -> None:
    for stream, change in adapter.polls.items():
        first = first_poll(adapter, stream)
        for _ in range(2):
            change()
            assert adapter.connector.has_changed(stream, first[-1].cursor), stream
            second = polled(adapter, stream, first[-1].cursor)
            assert told(second) - told(first), stream
            first = [*first, *second]


def test_who_stops_after_any_page_goes_on_from_its_cursor_without_a_loss(adapter: Adapter) -> None:
    for stream in adapter.polls:
        pages = first_poll(adapter, stream)
        for number, page in enumerate(pages):
            rest = told(polled(adapter, stream, page.cursor))
            assert told(pages[number + 1 :]) <= rest | told(pages[: number + 1]), stream


def test_a_snapshot_says_that_it_is_complete_on_its_last_page_alone_and_names_each_record_once(
    taker: Adapter,
) -> None:
    for stream in taker.snapshots:
        if stream in taker.polls:
            first_poll(taker, stream)
        pages = list(taker.connector.snapshot(stream))
        assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True], stream
        ids = [message.remote_id for page in pages for message in page.messages]
        assert None not in ids, stream
        assert len(ids) == len(set(ids)) > 0, stream


def test_a_record_keeps_its_id_from_one_snapshot_to_the_next_and_in_polls(taker: Adapter) -> None:
    for stream in taker.snapshots:
        polled_pages = first_poll(taker, stream) if stream in taker.polls else []
        seen = {who(message) for page in polled_pages for message in page.messages}
        first, second = ({who(m) for page in taker.connector.snapshot(stream) for m in page.messages} for _ in range(2))
        assert seen <= first == second, stream


def test_payloads_are_json_objects_in_which_every_number_is_text(adapter: Adapter) -> None:
    def fail(number: str) -> None:
        raise AssertionError(f"{number} is a bare number")

    for stream in {*adapter.polls, *adapter.snapshots}:
        pages = first_poll(adapter, stream) if stream in adapter.polls else list(adapter.connector.snapshot(stream))
        for message in [message for page in pages for message in page.messages]:
            assert message.stream == stream
            said = json.loads(message.payload, parse_int=fail, parse_float=fail, parse_constant=fail)
            assert isinstance(said, dict)
            assert isinstance(message.body, bytes)
            assert message.body


def test_every_delivery_is_answered_once_is_found_afterwards_and_has_one_effect_however_often_it_is_sent(
    taker: Adapter,
) -> None:
    for entity, make in taker.deliveries.items():
        deliveries = make()
        ids = [delivery.delivery_id for delivery in deliveries]
        before = taker.connector.find(deliveries)
        assert {outcome.result for outcome in before} <= {Result.RETRY, Result.UNKNOWN}, entity
        for _ in range(2):
            outcomes = taker.connector.deliver(deliveries)
            assert sorted(outcome.delivery_id for outcome in outcomes) == sorted(ids), entity
            assert {outcome.result for outcome in outcomes} == {Result.APPLIED}, [one.reason for one in outcomes]
            found = taker.connector.find(deliveries)
            assert sorted(outcome.delivery_id for outcome in found) == sorted(ids), entity
            assert {outcome.result for outcome in found} == {Result.APPLIED}, [one.reason for one in found]
            assert [taker.effects(delivery) for delivery in deliveries] == [1] * len(deliveries), entity


def test_a_delivery_that_makes_no_sense_is_refused_in_a_sentence_and_holds_up_no_other(taker: Adapter) -> None:
    for entity, make in taker.deliveries.items():
        good = make()
        bad = replace(good[0], delivery_id=-1, action="archive", key="nonsense", idempotency_key="nonsense")
        outcomes = {outcome.delivery_id: outcome for outcome in taker.connector.deliver([good[0], bad, *good[1:]])}
        assert outcomes[-1].result is Result.REFUSED, entity
        assert outcomes[-1].reason, entity
        assert all(outcomes[one.delivery_id].result is Result.APPLIED for one in good), entity


def test_a_system_that_does_not_answer_is_unreachable_in_one_sentence_without_a_secret(adapter: Adapter) -> None:
    for stream in adapter.polls:
        with pytest.raises(Unreachable) as asked:
            list(adapter.unreachable.changed_since(stream, None))
        assert str(asked.value)
        assert not any(secret in str(asked.value) for secret in adapter.secrets)
        with suppress(
            Unreachable
        ):  # a probe need not ask to know that there is work, but must not say that there is none
            assert adapter.unreachable.has_changed(stream, None), stream
    for stream in adapter.snapshots:
        with pytest.raises(Unreachable):
            list(adapter.unreachable.snapshot(stream))


def test_deliveries_to_a_system_that_does_not_answer_stay_open(taker: Adapter) -> None:
    for entity, make in taker.deliveries.items():
        deliveries = make()
        try:
            outcomes = taker.unreachable.deliver(deliveries)
        except Unreachable:
            continue
        assert sorted(outcome.delivery_id for outcome in outcomes) == sorted(one.delivery_id for one in deliveries)
        assert {outcome.result for outcome in outcomes} <= {Result.RETRY, Result.UNKNOWN}, entity
        assert all(outcome.reason for outcome in outcomes), entity


class Silent(BaseHTTPRequestHandler):
    """Reads a request, hands it on, and logs nothing."""

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers["Content-Length"] or 0)).decode())

    do_GET = do_POST

    def answer(self, body: str) -> None:
        raise NotImplementedError

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@contextmanager
def off_limits() -> Iterator[str]:
    """An address to which nothing may come."""
    heard: list[str] = []

    class Stranger(Silent):
        def answer(self, body: str) -> None:
            heard.append(f"{self.requestline}\n{self.headers}{body}")
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    with serving(Stranger) as address:
        try:
            yield address
        finally:
            assert heard == []


@contextmanager
def moved_to(address: str, status: int) -> Iterator[str]:
    """An address that sends every request on to that one."""

    class Moved(Silent):
        def answer(self, body: str) -> None:
            self.send_response(status)
            self.send_header("Location", address + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with serving(Moved) as moved:
        yield moved


def reasons_to_wait(connector: Connector, deliveries: Sequence[Delivery]) -> list[str]:
    """Why these deliveries, of which none was applied, stay open."""
    try:
        outcomes = connector.deliver(deliveries)
    except Unreachable as problem:
        return [str(problem)]
    assert {outcome.result for outcome in outcomes} == {Result.RETRY}
    return [str(outcome.reason) for outcome in outcomes]


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_is_told_and_takes_no_secret_to_another_host(taker: Adapter, status: int) -> None:
    batches = [make() for make in taker.deliveries.values()]
    with off_limits() as elsewhere, moved_to(elsewhere, status) as moved:
        connector = taker.connector.model_copy(update={"base_url": moved})
        sentence = f"{moved} sends us on to {elsewhere} ({status})"
        for stream in taker.snapshots:
            with pytest.raises(Unreachable) as asked:
                list(connector.snapshot(stream))
            assert sentence in str(asked.value), stream
        for deliveries in batches:
            assert all(sentence in reason for reason in reasons_to_wait(connector, deliveries))


def test_settings_show_no_secret(adapter: Adapter) -> None:
    for connector in (adapter.connector, adapter.unreachable):
        assert not any(secret in f"{connector!r} {connector}" for secret in adapter.secrets)
