"""The webhook door over real HTTP with the real database: what is kept, what is refused, and what is never lost."""

import asyncio
import base64
import hmac
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import requests
import sqlalchemy as sa

from pipelines.runtime.door import Door, listen, server_of
from resources.host import http_server
from resources.host.embedded_postgres import Server
from resources.host.settings import ROOT
from resources.store import group_commit
from resources.store.migrate import migrate
from resources.store.store import Store, engine_for, in_order
from resources.store.webhook_health import Tally
from tests.fixtures_postgres import free_port, fresh_database
from tests.signed_shop import SECRET, shop_door, signature

ORDER = b'{"id": 1, "updated_at": "2026-05-04T10:00:00+02:00", "total_price": "19.90"}'


@dataclass
class Running:
    """A door that serves, and the sender's side of it."""

    door: Door
    port: int

    def url(self, topic: str = "orders/create", system: str = "shop") -> str:
        return f"http://127.0.0.1:{self.port}/webhooks/{system}/{topic}"

    def post(
        self, body: bytes, topic: str = "orders/create", event_id: str | None = None, secret: str = SECRET
    ) -> requests.Response:
        headers = {"X-Signature": signature(body, secret), "Content-Type": "application/json"}
        if event_id:
            headers["X-Event-Id"] = event_id
        return requests.post(self.url(topic), data=body, headers=headers, timeout=20)

    def health(self) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{self.port}/healthz", timeout=20)

    def talk(self, *parts: bytes, pause: float = 0.0, patience: float = 10.0) -> bytes:
        """Send raw bytes, and bring what is answered until the door closes or falls silent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=patience) as line:
            said = b""
            try:
                for part in parts:
                    line.sendall(part)
                    time.sleep(pause)
                while chunk := line.recv(65536):
                    said += chunk
            except TimeoutError:
                pass
            except OSError as problem:
                return said + f" [{type(problem).__name__}]".encode()
            return said


@contextmanager
def running(door: Door) -> Iterator[Running]:
    port = free_port()
    server = server_of(door)
    listener = listen(port)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield Running(door, port)
    finally:
        server.should_exit = True
        thread.join(15)
        listener.close()
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def shared_store(database_server: Server) -> Iterator[Store]:
    with fresh_database(database_server) as url:
        yield Store(url=url)


@pytest.fixture(scope="module")
def shared_door(shared_store: Store) -> Iterator[Running]:
    with running(shop_door(shared_store)) as served:
        yield served


@pytest.fixture(scope="module")
def shared_hasty_door(shared_store: Store) -> Iterator[Running]:
    with running(shop_door(shared_store, largest_body=10_000, read_seconds=0.4)) as served:
        yield served


@pytest.fixture
def store(shared_store: Store) -> Store:
    """The database behind the doors, empty."""
    with shared_store.transaction() as connection:
        connection.execute(sa.text("truncate inbox, webhook_health"))
    return shared_store


@pytest.fixture
def door(shared_door: Running, store: Store) -> Running:
    shared_door.door.tally = Tally()
    return shared_door


@pytest.fixture
def hasty_door(shared_hasty_door: Running, store: Store, monkeypatch: pytest.MonkeyPatch) -> Running:
    """A door that takes 10,000 bytes and waits for 0.4 s."""
    monkeypatch.setattr("pipelines.runtime.door.LINGER_SECONDS", 0.5)
    return shared_hasty_door


@contextmanager
def inbox_held(store: Store) -> Iterator[None]:
    """Another writer has the inbox's turn."""
    with store.transaction() as connection:
        in_order(connection)
        yield


def inbox(store: Store) -> list[sa.Row]:
    with store.transaction() as connection:
        return list(connection.execute(sa.text("select * from inbox order by inbox_id")))


def in_background(call: Callable[..., requests.Response], *arguments: object) -> "Future[requests.Response]":
    answer: Future[requests.Response] = Future()
    threading.Thread(target=lambda: answer.set_result(call(*arguments)), daemon=True).start()
    return answer


def head(size: int | str, topic: str = "orders/create", more: str = "", method: str = "POST") -> bytes:
    length = f"Content-Length: {size}\r\n" if size != "chunked" else "Transfer-Encoding: chunked\r\n"
    return f"{method} /webhooks/shop/{topic} HTTP/1.1\r\nHost: door\r\n{length}{more}\r\n".encode()


# What is kept


def test_a_signed_post_is_kept_byte_for_byte_and_answered_as_new(door: Running, store: Store) -> None:
    answer = door.post(ORDER, event_id="e-1")
    assert (answer.status_code, answer.json()) == (200, {"status": "new"})
    [row] = inbox(store)
    assert (row.system, row.stream, row.arrived_by, row.event_id) == ("shop", "orders/create", "webhook", "e-1")
    assert bytes(row.body) == ORDER


def test_the_same_event_twice_is_kept_once_and_answered_as_known(door: Running, store: Store) -> None:
    assert [door.post(ORDER, event_id="e-1").json()["status"] for _ in range(2)] == ["new", "known"]
    assert len(inbox(store)) == 1


def test_the_same_versioned_body_under_another_event_id_is_known(door: Running, store: Store) -> None:
    assert [door.post(ORDER, event_id=event).json()["status"] for event in ("e-1", "e-2")] == ["new", "known"]
    assert len(inbox(store)) == 1


def test_the_same_body_without_a_version_is_another_message(door: Running, store: Store) -> None:
    assert [door.post(b'{"gift": true}', "notes", event).json()["status"] for event in ("e-1", "e-2")] == ["new", "new"]
    assert len(inbox(store)) == 2


def test_identical_posts_at_the_same_instant_are_one_row_and_one_is_told_that_it_is_new_symptom_8(
    door: Running, store: Store
) -> None:
    with ThreadPoolExecutor(20) as senders:
        answers = list(senders.map(lambda _: door.post(ORDER, "orders/create", "e-1"), range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20
    assert sorted(answer.json()["status"] for answer in answers) == ["known"] * 19 + ["new"]
    assert len(inbox(store)) == 1


def test_a_trailing_slash_and_an_escaped_one_are_the_same_address(door: Running, store: Store) -> None:
    for place, address in enumerate(("orders/create/", "orders%2Fcreate")):
        assert door.post(ORDER.replace(b"19.90", b"%d" % place), address).status_code == 200
    assert {row.stream for row in inbox(store)} == {"orders/create"}


def test_a_byte_order_mark_is_read_over_and_stays_in_the_body(door: Running, store: Store) -> None:
    assert door.post(b"\xef\xbb\xbf" + ORDER).status_code == 200
    [row] = inbox(store)
    assert json.loads(row.payload)["id"] == "1"
    assert bytes(row.body).startswith(b"\xef\xbb\xbf")


def test_numbers_keep_their_digits(door: Running, store: Store) -> None:
    door.post(b'{"id": 12345678901234567890, "price": 10.00, "rate": 0.1000000000000000000001, "tiny": 1E-400}')
    payload = json.loads(inbox(store)[0].payload)
    assert payload == {
        "id": "12345678901234567890",
        "price": "10.00",
        "rate": "0.1000000000000000000001",
        "tiny": "1E-400",
    }


@pytest.mark.parametrize("text", [rb"a\u0000b", rb"half a pair \ud83d", rb"backslash \\u0000", "Größe 42 🎁".encode()])
def test_text_that_a_database_may_refuse_is_kept(door: Running, store: Store, text: bytes) -> None:
    body = b'{"note": "' + text + b'"}'
    assert door.post(body).status_code == 200
    [row] = inbox(store)
    assert bytes(row.body) == body
    assert json.loads(row.payload)["note"]


# What is refused


def test_a_forged_signature_is_refused_and_its_body_is_not_logged(
    door: Running, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    answer = door.post(ORDER, secret="wrong")
    assert answer.status_code == 401
    assert inbox(store) == []
    [line] = caplog.messages
    assert line.startswith("rejected shop orders/create from 127.0.0.1: its signature")
    assert "19.90" not in line
    assert SECRET not in line


def test_a_missing_signature_is_refused(door: Running, store: Store) -> None:
    assert requests.post(door.url(), data=ORDER, timeout=5).status_code == 401
    assert inbox(store) == []


def test_a_system_and_a_topic_that_the_map_does_not_name_are_unknown(door: Running, store: Store) -> None:
    assert door.post(ORDER, "orders/paid").status_code == 404
    assert requests.post(door.url(system="bank"), data=ORDER, timeout=5).status_code == 404
    assert requests.post(f"http://127.0.0.1:{door.port}/webhooks/", data=ORDER, timeout=5).status_code == 404
    assert inbox(store) == []


def test_topics_that_nobody_takes_are_counted_by_name_up_to_a_number(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.runtime.door.STRANGE_TOPICS", 2)
    with running(shop_door(store)) as door:
        answers = [door.post(ORDER, topic) for topic in ("a", "b", "c", "a", "x" * 101)]
    assert {(answer.status_code, answer.text) for answer in answers} == {(404, answers[0].text)}
    counted = {topic: n for (_, topic, _), n in _recorded(store).items()}
    assert counted == {"a": 2, "b": 1, "": 2}
    assert inbox(store) == []


def test_a_topic_forged_in_a_header_changes_nothing(door: Running, store: Store) -> None:
    headers = {"X-Signature": signature(ORDER), "X-Shopify-Topic": "orders/updated", "X-Topic": "orders/updated"}
    assert requests.post(door.url("orders/create"), data=ORDER, headers=headers, timeout=5).status_code == 200
    assert inbox(store)[0].stream == "orders/create"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_cannot_be_read_is_told_so(door: Running, store: Store, body: bytes) -> None:
    answer = door.post(body)
    assert answer.status_code == 400
    assert inbox(store) == []


def test_a_fault_in_a_connector_fails_one_post_and_tells_nothing_of_its_body(
    door: Running, caplog: pytest.LogCaptureFixture
) -> None:
    assert door.post(b'{"private": "x"}', "faulty").status_code == 500
    assert door.post(ORDER).status_code == 200
    assert "KeyError at signed_shop.py" in caplog.text
    assert "private" not in caplog.text


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_only_post_is_taken(door: Running, method: str) -> None:
    answer = requests.request(method, door.url(), timeout=5)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_a_head_request_is_answered_without_a_body_and_its_connection_lives_on(door: Running) -> None:
    said = door.talk(head(0, method="HEAD") + head(0, method="GET"), patience=0.5)
    assert said.count(b"HTTP/1.1 405") == 2
    assert said.split(b"\r\n\r\n")[1].startswith(b"HTTP/1.1 405")


def test_a_line_break_in_an_address_does_not_forge_a_line_of_the_log(
    door: Running, caplog: pytest.LogCaptureFixture
) -> None:
    door.post(ORDER, "orders%0Arejected%20nothing")
    assert [message.count("\n") for message in caplog.messages] == [0]


# Size


def test_a_body_announced_too_large_is_refused_before_it_is_sent(hasty_door: Running) -> None:
    said = hasty_door.talk(head(10_001, more="Expect: 100-continue\r\n"), patience=5)
    assert said.startswith(b"HTTP/1.1 413")


def test_an_endless_chunked_body_is_refused_while_it_is_read(hasty_door: Running, store: Store) -> None:
    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    said = hasty_door.talk(head("chunked"), *[chunk] * 5, pause=0.02)
    assert said.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in said
    assert hasty_door.door.bytes_in_flight == 0
    assert inbox(store) == []


def test_a_large_body_sent_at_once_hears_413_and_not_a_reset_connection(hasty_door: Running) -> None:
    body = b"x" * 3_000_000
    assert hasty_door.talk(head(len(body)), body).startswith(b"HTTP/1.1 413")


def test_a_chunked_body_within_the_limit_is_kept(hasty_door: Running, store: Store) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (ORDER[:20], ORDER[20:])) + b"0\r\n\r\n"
    said = hasty_door.talk(head("chunked", more=f"X-Signature: {signature(ORDER)}\r\n") + chunks, patience=1)
    assert said.startswith(b"HTTP/1.1 200")
    assert bytes(inbox(store)[0].body) == ORDER


def test_a_length_that_lies_low_keeps_nothing(hasty_door: Running, store: Store) -> None:
    said = hasty_door.talk(head(len(ORDER) - 5, more=f"X-Signature: {signature(ORDER)}\r\n") + ORDER, patience=1)
    assert said.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401"))  # the rest is no request, the body is not signed
    assert inbox(store) == []


def test_a_length_that_lies_high_runs_into_the_time_limit(hasty_door: Running, store: Store) -> None:
    said = hasty_door.talk(head(len(ORDER) + 5, more=f"X-Signature: {signature(ORDER)}\r\n") + ORDER)
    assert said.startswith(b"HTTP/1.1 408")
    assert inbox(store) == []


def test_five_megabytes_are_taken_by_default(door: Running, store: Store) -> None:
    body = json.dumps({"note": "x" * 4_999_980}).encode()
    assert door.post(body).status_code == 200
    assert door.post(body + b" " * 100).status_code == 413


# Slow and broken senders


def test_slow_senders_are_cut_off_and_do_not_hold_up_others(hasty_door: Running) -> None:
    def drip() -> bytes:
        return hasty_door.talk(head(5_000), *[b"x"] * 6, pause=0.05)

    with ThreadPoolExecutor(10) as slow:
        drips = [slow.submit(drip) for _ in range(10)]
        assert hasty_door.post(ORDER).status_code == 200
        assert not all(answer.done() for answer in drips)
        assert all(answer.result().startswith(b"HTTP/1.1 408") for answer in drips)


def test_a_head_that_never_ends_is_cut_off(door: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "HEAD_SECONDS", 0.3)
    began = time.monotonic()
    assert door.talk(b"POST /webhooks/shop/orders/create HTTP/1.1\r\nHost: d\r\n").startswith(b"HTTP/1.1 408")
    assert door.talk(b"") == b""  # an idle connection is closed without a word
    assert time.monotonic() - began < 2


def test_a_head_without_bounds_is_cut_off(door: Running) -> None:
    said = door.talk(b"POST /webhooks/shop/orders/create HTTP/1.1\r\n", *[b"X-More: " + b"y" * 30_000 + b"\r\n"] * 5)
    assert b"431" in said or b"Error" in said
    assert door.post(ORDER).status_code == 200


def test_a_sender_that_hangs_up_in_the_middle_leaves_nothing(door: Running, store: Store) -> None:
    with socket.create_connection(("127.0.0.1", door.port)) as line:
        line.sendall(head(len(ORDER), more=f"X-Signature: {signature(ORDER)}\r\n") + ORDER[:-1])
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close with a reset
    assert door.post(b'{"id": 2}').status_code == 200
    assert [bytes(row.body) for row in inbox(store)] == [b'{"id": 2}']
    assert door.door.tally.totals["gone"] == 1


def test_what_is_not_http_is_refused_and_the_door_stands(door: Running) -> None:
    assert door.talk(b"\x16\x03\x01 hello\r\n\r\n").startswith(b"HTTP/1.1 400")
    both = head(5, more="Transfer-Encoding: chunked\r\n")
    assert door.talk(both + b"0\r\n\r\n", patience=1).startswith(b"HTTP/1.1 400")  # two lengths smuggle requests
    assert door.post(ORDER).status_code == 200


def test_a_connection_serves_again_after_a_refusal(door: Running) -> None:
    with requests.Session() as line:
        refused = line.post(door.url("orders/paid"), data=ORDER, timeout=5)
        kept = line.post(door.url(), data=ORDER, headers={"X-Signature": signature(ORDER)}, timeout=5)
    assert (refused.status_code, kept.status_code) == (404, 200)
    assert "Connection" not in refused.headers


# Commit before the answer


def test_nothing_is_answered_before_the_commit_symptom_13(door: Running, store: Store) -> None:
    with inbox_held(store):
        answer = in_background(door.post, ORDER)
        time.sleep(0.4)
        assert not answer.done()
    assert answer.result(5).status_code == 200
    assert len(inbox(store)) == 1


def test_a_sender_that_hangs_up_before_our_answer_finds_its_post_known(door: Running, store: Store) -> None:
    with inbox_held(store), socket.create_connection(("127.0.0.1", door.port)) as line:
        line.sendall(head(len(ORDER), more=f"X-Signature: {signature(ORDER)}\r\n") + ORDER)
        time.sleep(0.2)
    assert door.post(ORDER).json() == {"status": "known"}


def test_a_kill_of_the_door_loses_nothing_that_it_answered(store: Store) -> None:
    port = free_port()
    answered: list[str] = []
    with subprocess.Popen([sys.executable, "-m", "tests.signed_shop", store.url, str(port)], cwd=ROOT) as process:
        served = Running(shop_door(store), port)
        while not _is_open(port):
            time.sleep(0.02)
        stop = threading.Event()

        def stream(sender: int) -> None:
            number = 0
            while not stop.is_set():
                event = f"{sender}-{number}"
                number += 1
                try:
                    if served.post(b'{"id": "%s"}' % event.encode(), event_id=event).status_code == 200:
                        answered.append(event)
                except requests.RequestException:
                    return

        senders = [threading.Thread(target=stream, args=(n,)) for n in range(8)]
        for sender in senders:
            sender.start()
        while len(answered) < 200:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        stop.set()
        for sender in senders:
            sender.join()
    assert set(answered) <= {row.event_id for row in inbox(store)}


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_thousand_posts_at_once_are_all_kept(door: Running, store: Store) -> None:
    async def post(number: int) -> bytes:
        body = b'{"id": %d}' % number
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(head(len(body), more=f"X-Signature: {signature(body)}\r\nConnection: close\r\n") + body)
        answer = await reader.read()
        writer.close()
        return answer

    async def all_at_once() -> list[bytes]:
        return await asyncio.gather(*(post(number) for number in range(1_000)))

    answers = asyncio.run(all_at_once())
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    assert len(inbox(store)) == 1_000


def test_posts_that_wait_together_are_committed_together(door: Running, store: Store) -> None:
    with inbox_held(store):
        answers = _posts_that_wait(door, 30)
    assert all(answer.result(10).status_code == 200 for answer in answers)
    assert len({row.received_at for row in inbox(store)}) <= 3  # the first, and then all that came meanwhile


def test_one_bad_message_does_not_fail_its_neighbours(door: Running, store: Store) -> None:
    with inbox_held(store):
        answers = _posts_that_wait(door, 10)
        # No index takes an entry of this size: the database refuses the statement that holds it.
        bad = in_background(door.post, b'{"id": "bad"}', "orders/create", secrets.token_hex(6_000))
        _wait_until(lambda: door.door.commits.queue_length >= 10)
    assert bad.result(10).status_code == 400
    assert [answer.result(10).status_code for answer in answers] == [200] * 10
    assert len(inbox(store)) == 10


def _posts_that_wait(door: Running, many: int) -> "list[Future[requests.Response]]":
    """One that is being committed, and the others queued behind it."""
    first = in_background(door.post, b'{"id": 0}')
    _wait_until(lambda: door.door.in_flight == 1 and door.door.commits.queue_length == 0)
    rest = [in_background(door.post, b'{"id": %d}' % number) for number in range(1, many)]
    _wait_until(lambda: door.door.commits.queue_length >= many - 1)
    return [first, *rest]


def _wait_until(is_so: Callable[[], bool], patience: float = 5.0) -> None:
    deadline = time.monotonic() + patience
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


# When the database cannot commit


def test_a_full_queue_is_told_with_a_time_to_come_back(
    door: Running, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "QUEUE", 3)
    with inbox_held(store):
        answers = _posts_that_wait(door, 4)
        refused = door.post(b'{"id": "one too many"}')
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    assert [answer.result(10).status_code for answer in answers] == [200] * 4
    assert len(inbox(store)) == 4


def test_a_database_that_does_not_answer_in_time_is_told_while_the_sender_still_listens(
    door: Running, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.runtime.door.ANSWER_SECONDS", 0.3)
    with inbox_held(store):
        began = time.monotonic()
        answer = door.post(ORDER)
        assert (answer.status_code, time.monotonic() - began < 1.5) == (503, True)
    _wait_until(lambda: len(inbox(store)) == 1)
    assert door.post(ORDER).json() == {"status": "known"}


def test_a_database_that_goes_and_comes_back(
    tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(tmp_path_factory.mktemp("gone") / "postgres", free_port(), is_fast=True)
    server.ensure()
    store = Store(url=server.url("concord"))
    try:
        migrate(store.url)
        with running(shop_door(store)) as door:
            assert door.post(ORDER).status_code == 200
            assert door.health().status_code == 200
            server.stop()
            refused = door.post(b'{"id": 2}')
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
            _wait_until(lambda: door.health().status_code == 503)
            assert door.health().json()["database"] == "cannot be reached"
            server.ensure()
            assert door.post(b'{"id": 2}').status_code == 200
            _wait_until(lambda: door.health().status_code == 200)
        assert len(inbox(store)) == 2
    finally:
        engine_for(store.url).dispose()
        server.stop()
    assert [line for line in caplog.messages if "commit" in line and "rejected" not in line][-1] == (
        "the database commits again"
    )


def test_a_door_before_a_dead_database_opens_and_says_so() -> None:
    with running(shop_door(Store(url=f"postgresql://postgres@127.0.0.1:{free_port()}/none"))) as door:
        assert door.post(ORDER).status_code == 503
        assert door.health().status_code == 503


def test_a_database_without_our_tables_is_told_to_the_operator(database_server: Server) -> None:
    with running(shop_door(Store(url=database_server.url("postgres")))) as door:
        assert door.post(ORDER).status_code == 503
        assert "not prepared" in door.health().json()["database"]


# Health


def test_health_tells_the_queue_the_last_commit_and_the_answers(door: Running) -> None:
    door.post(ORDER, event_id="e-1")
    door.post(ORDER, event_id="e-1")
    told = door.health().json()
    assert (told["status"], told["queue_length"], told["answers"]) == ("up", 0, {"new": 1, "known": 1})
    assert 0 <= told["last_commit_age_s"] < 5
    assert requests.head(f"http://127.0.0.1:{door.port}/healthz", timeout=5).status_code == 200
    assert requests.post(f"http://127.0.0.1:{door.port}/healthz", timeout=5).status_code == 405


def test_health_is_recorded_for_good_by_system_topic_and_outcome(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.runtime.door.RECORD_SECONDS", 0.2)
    with running(shop_door(store)) as door:
        door.post(ORDER)
        door.post(ORDER)
        door.post(ORDER, secret="wrong")
        _wait_until(lambda: _recorded(store) != {})
        door.post(ORDER, "no/such/topic")
        door.post(ORDER, "no/other/topic", secret="wrong")
        requests.get(door.url("no/such/topic"), timeout=5)
    assert _recorded(store) == {
        ("shop", "orders/create", "new"): 1,
        ("shop", "orders/create", "known"): 1,
        ("shop", "orders/create", "bad signature"): 1,
        ("shop", "no/such/topic", "unknown topic"): 1,
        ("", "", "unknown address"): 2,
    }


def _recorded(store: Store) -> dict[tuple[str, str, str], int]:
    statement = "select system, topic, outcome, sum(answers), bool_and(p50_ms <= p99_ms and max_ms > 0) from webhook_health group by 1, 2, 3"
    with store.transaction() as connection:
        rows = connection.execute(sa.text(statement)).all()
    assert all(row[4] for row in rows)
    return {(row[0], row[1], row[2]): row[3] for row in rows}


# The door of the map


@contextmanager
def door_of_the_map(**variables: str) -> Iterator["subprocess.Popen[str]"]:
    program = [sys.executable, "-m", "pipelines.runtime.door"]
    known = {name: value for name, value in os.environ.items() if not name.startswith("SHOPIFY_")}
    process = subprocess.Popen(
        program, cwd=ROOT, env=known | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()


def test_the_door_takes_what_a_storefront_of_the_map_posts(store: Store) -> None:
    port, secret = free_port(), "of the bench"
    variables = {
        "SHOPIFY_URL": "http://127.0.0.1:9",
        "SHOPIFY_SHOP": "a-shop.myshopify.com",
        "SHOPIFY_TOKEN": "none",
        "SHOPIFY_WEBHOOK_SECRETS": secret,
        "STRIPE_API_KEY": "none",
        "STRIPE_WEBHOOK_SECRETS": "of nobody",
        "CONCORD_DATABASE_URL": store.url,
        "CONCORD_DOOR_PORT": str(port),
    }
    headers = {
        "X-Shopify-Topic": "orders/create",
        "X-Shopify-Shop-Domain": "a-shop.myshopify.com",
        "X-Shopify-Event-Id": "e-1",
        "X-Shopify-Hmac-Sha256": base64.b64encode(hmac.digest(secret.encode(), ORDER, "sha256")).decode(),
    }
    with door_of_the_map(**variables) as process:
        _wait_until(lambda: process.poll() is not None or _is_open(port), 20)
        address = f"http://127.0.0.1:{port}/webhooks/shopify"
        kept = requests.post(f"{address}/orders/create", data=ORDER, headers=headers, timeout=10)
        replayed = requests.post(f"{address}/orders/cancelled", data=ORDER, headers=headers, timeout=10)
        process.terminate()
        assert process.wait(15) in (0, -signal.SIGTERM)
        log = process.stdout.read() if process.stdout else ""
    assert (kept.status_code, replayed.status_code) == (200, 401)  # the signature covers the body alone
    assert [(row.system, row.stream) for row in inbox(store)] == [("shopify", "orders")]
    assert "rejected shopify orders/cancelled from 127.0.0.1: a webhook of topic" in log
    assert _recorded(store)["shopify", "orders/create", "new"] == 1


def test_a_missing_setting_is_told_in_one_sentence() -> None:
    with door_of_the_map() as process:
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "SHOPIFY_URL" in said
    assert "Traceback" not in said


def test_a_port_in_use_is_told_with_the_next_step() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(SystemExit, match="CONCORD_DOOR_PORT"):
        listen(other.getsockname()[1])
