"""The Shopify connector against the sandbox shop, whose answers are executed on Shopify's own Admin schema."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from graphql import GraphQLSchema, build_schema, parse, validate
from shopify_app import RequestInput, verify_webhook_req

from resources.connectors.connector import BadMessage, BadSignature, Delivery, Outcome, Page, Result, Unreachable
from resources.connectors.shopify.admin_api import OPERATIONS, operation
from resources.connectors.shopify.connector import REMEMBERED, STREAMS
from resources.host import settings
from resources.sandbox import shopify_schema
from resources.sandbox.shopify_orders import graphql_order, rest_order
from resources.sandbox.shopify_schema import EXTRACT, load
from resources.sandbox.traffic import order_content, traits
from tests.fixtures_postgres import free_port
from tests.fixtures_shopify import ShopifyMock

ORDER = json.dumps(
    {"id": 7, "name": "#1007", "updated_at": "2026-11-21T22:00:00+01:00", "total_price": "10.00"}
).encode()


@pytest.fixture(autouse=True)
def _all_is_well(shopify_mock: ShopifyMock) -> None:
    """No test suffers from the faults or the empty bucket of the one before."""
    shopify_mock.delete("/sandbox/faults")


def signed(mock: ShopifyMock, body: bytes, topic: str = "orders/create", **changes: str) -> dict[str, str]:
    """The headers of a webhook as Shopify sends it; `changes` forges some (underscores for hyphens)."""
    digest = hmac.new(mock.secret.encode(), body, hashlib.sha256).digest()
    headers = {
        "X-Shopify-Topic": topic,
        "X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode(),
        "X-Shopify-Shop-Domain": mock.shop,
        "X-Shopify-Event-Id": "event-1",
    }
    return headers | {name.replace("_", "-"): value for name, value in changes.items()}


class Door(http.server.ThreadingHTTPServer):
    """A receiver that keeps what is posted and says what the test wants said."""

    def __init__(self, port: int) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.refuse = 0  # so many posts are answered with 503 first
        door = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                door.refuse -= 1
                if door.refuse < 0:
                    door.got.append((self.path, dict(self.headers), body))
                self.send_response(503 if door.refuse >= 0 else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        super().__init__(("127.0.0.1", port), Handler)

    def about(self, order_id: int) -> list[tuple[str, dict[str, str], bytes]]:
        return [one for one in list(self.got) if json.loads(one[2])["id"] == order_id]


@contextmanager
def door(mock: ShopifyMock) -> Iterator[Door]:
    with Door(mock.door_port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def wait_for(true: Any, seconds: float = 12) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def payloads(pages: list[Page]) -> list[dict[str, Any]]:
    return [json.loads(message.payload) for page in pages for message in page.messages]


def delivery(
    entity: str, payload: dict[str, Any], *, n: int = 1, action: str = "upsert", remote_id: str | None = None
) -> Delivery:
    key = f"{entity}/{payload.get('sku') or payload.get('fulfilment_number')}/{n}"
    return Delivery(n, entity, entity, key, 1, action, payload, remote_id, f"{key}/{time.time_ns()}")


def sellable(sku: str, quantity: Any, n: int = 1) -> Delivery:
    return delivery("sellable", {"sku": sku, "sellable": str(quantity), "quantity_name": "available"}, n=n)


def parcel(order: dict[str, Any], number: str | None, *lines: tuple[str, int], n: int = 1, **changes: Any) -> Delivery:
    payload = {
        "fulfilment_number": f"P{number}",
        "order_number": order["name"],
        "order_remote_id": str(order["id"]),
        "tracking_number": number,
        "carrier": "DHL",
        "shipped_at": "2026-11-21T10:00:00Z",
        "lines": [{"sku": sku, "quantity": str(quantity)} for sku, quantity in lines],
    }
    return delivery("fulfilments", payload, n=n, **changes)


def only(outcomes: Any) -> Outcome:
    assert len(outcomes) == 1
    return outcomes[0]


# --- the schema


@pytest.fixture(scope="module")
def real_schema(shopify_mock: ShopifyMock) -> GraphQLSchema:
    schema = load(shopify_mock.state / "sandbox" / "shopify")
    if not schema.is_real:
        pytest.skip("npm could not bring Shopify's own schema")
    return schema.graphql


def test_every_operation_that_we_send_is_valid_in_shopifys_own_schema(real_schema: GraphQLSchema) -> None:
    document = parse(OPERATIONS.read_text())
    assert validate(real_schema, document) == []
    for name in re.findall(r"^(?:query|mutation) (\w+)", OPERATIONS.read_text(), re.MULTILINE):
        cost = shopify_schema.query_cost(real_schema, parse(operation(name)), {"first": 50})
        assert cost <= 300, f"{name} costs {cost} of the 1,000 points that a request may cost"


def test_our_extract_says_nothing_that_shopifys_schema_does_not_say(real_schema: GraphQLSchema) -> None:
    ours = build_schema(EXTRACT.read_text())
    assert validate(ours, parse(OPERATIONS.read_text())) == []
    for name, kind in ours.type_map.items():
        real = real_schema.type_map[name]
        for field, definition in getattr(kind, "fields", {}).items():
            assert str(real.fields[field].type) == str(definition.type), f"{name}.{field}"  # type: ignore[attr-defined]
            for argument, what in getattr(definition, "args", {}).items():
                assert str(real.fields[field].args[argument].type) == str(what.type)  # type: ignore[attr-defined]


def test_without_npm_the_shop_runs_and_says_that_nothing_is_validated(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "npm is not installed" in shopify_schema.prepare(tmp_path)
    schema = load(tmp_path)
    assert not schema.is_real
    assert "NOT validated" in schema.note


def test_an_unknown_token_opens_nothing(shopify_mock: ShopifyMock) -> None:
    with pytest.raises(Unreachable, match="refuses our access token"):
        list(shopify_mock.connector(client_id="", token="wrong").snapshot("orders_read"))


# --- webhooks in


def test_a_signed_webhook_is_read_as_one_message(shopify_mock: ShopifyMock) -> None:
    (message,) = shopify_mock.connector().read_webhook("orders/create", signed(shopify_mock, ORDER), ORDER)
    assert (message.stream, message.remote_id, message.event_id) == ("orders", "7", "orders/create:event-1")
    assert message.is_versioned
    assert message.body == ORDER
    assert json.loads(message.payload)["total_price"] == "10.00"


def test_headers_are_read_in_any_case(shopify_mock: ShopifyMock) -> None:
    headers = {name.upper(): value for name, value in signed(shopify_mock, ORDER).items()}
    assert shopify_mock.connector().read_webhook("orders/create", headers, ORDER)


@pytest.mark.parametrize(
    "forged",
    [
        {"X_Shopify_Hmac_Sha256": base64.b64encode(b"x" * 32).decode()},
        {"X_Shopify_Hmac_Sha256": ""},
        {"X_Shopify_Hmac_Sha256": "no base64 at all: ü"},
        {"X_Shopify_Topic": "orders/cancelled"},
        {"X_Shopify_Topic": ""},
        {"X_Shopify_Shop_Domain": "another.myshopify.com"},
        {"X_Shopify_Shop_Domain": ""},
    ],
)
def test_a_forged_signature_topic_or_shop_is_refused(shopify_mock: ShopifyMock, forged: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        shopify_mock.connector().read_webhook("orders/create", signed(shopify_mock, ORDER, **forged), ORDER)


def test_a_changed_body_is_refused(shopify_mock: ShopifyMock) -> None:
    with pytest.raises(BadSignature):
        shopify_mock.connector().read_webhook("orders/create", signed(shopify_mock, ORDER), ORDER + b" ")


def test_both_secrets_hold_while_one_rotates_and_none_holds_when_none_is_set(shopify_mock: ShopifyMock) -> None:
    rotating = shopify_mock.connector(webhook_secrets=f"the-new-one, {shopify_mock.secret}")
    assert rotating.read_webhook("orders/create", signed(shopify_mock, ORDER), ORDER)
    with pytest.raises(BadSignature):
        shopify_mock.connector(webhook_secrets=" , ").read_webhook("orders/create", signed(shopify_mock, ORDER), ORDER)


def test_a_byte_order_mark_is_no_problem(shopify_mock: ShopifyMock) -> None:
    body = b"\xef\xbb\xbf" + ORDER
    (message,) = shopify_mock.connector().read_webhook("orders/create", signed(shopify_mock, body), body)
    assert message.remote_id == "7"
    assert message.body == body


@pytest.mark.parametrize("body", [b"", b"not json", b"[1]", b'"7"', b"\xff\xfe", b"[" * 100_000])
def test_a_signed_body_that_is_no_json_object_is_a_bad_message(shopify_mock: ShopifyMock, body: bytes) -> None:
    with pytest.raises(BadMessage):
        shopify_mock.connector().read_webhook("orders/create", signed(shopify_mock, body), body)


def test_an_order_replayed_to_the_address_of_deletions_deletes_nothing(shopify_mock: ShopifyMock) -> None:
    with pytest.raises(BadMessage, match="tells the id alone"):
        shopify_mock.connector().read_webhook("orders/delete", signed(shopify_mock, ORDER, "orders/delete"), ORDER)
    body = b'{"id":7}'
    (message,) = shopify_mock.connector().read_webhook(
        "orders/delete", signed(shopify_mock, body, "orders/delete"), body
    )
    assert (message.stream, message.remote_id, message.is_versioned) == ("orders_deleted", "7", False)


def test_an_order_without_an_id_is_kept_for_the_quarantine_to_name(shopify_mock: ShopifyMock) -> None:
    body = b'{"name":"#1"}'
    (message,) = shopify_mock.connector().read_webhook("orders/create", signed(shopify_mock, body), body)
    assert message.remote_id is None
    assert not message.is_versioned


def test_every_real_order_is_read_and_none_is_refused(shopify_mock: ShopifyMock) -> None:
    folder = os.environ.get("CONCORD_REALDATA")
    if not folder:
        pytest.skip("CONCORD_REALDATA names no folder of real payloads")
    read = 0
    for path in sorted(Path(folder, "shopify").glob("rest_*/*.json")):
        document = json.loads(path.read_text(encoding="utf-8-sig"))
        body = document.get("body", document) if isinstance(document, dict) else {}
        orders = (
            [*body.get("orders", []), *([body["order"]] if "order" in body else [])] if isinstance(body, dict) else []
        )
        for order in orders:
            text = json.dumps(order).encode()
            (message,) = shopify_mock.connector().read_webhook(
                "orders/updated", signed(shopify_mock, text, "orders/updated"), text
            )
            assert message.remote_id == str(order["id"])
            read += 1
    assert read > 50


# --- webhooks as the shop sends them


def test_what_the_shop_posts_is_accepted_by_shopifys_own_package_and_by_us(shopify_mock: ShopifyMock) -> None:
    with door(shopify_mock) as receiver:
        order = shopify_mock.place(("MUG-BLU", 2), ("BAG-TOT", 1))
        shopify_mock.post(f"/sandbox/orders/{order['id']}/edit", {"remove": ["BAG-TOT"]})
        shopify_mock.post(f"/sandbox/orders/{order['id']}/cancel", {"reason": "customer"})
        wait_for(lambda: len(receiver.about(order["id"])) == 4)
    topics, events = [], []
    for path, headers, body in receiver.about(order["id"]):
        topic = path.removeprefix("/webhooks/shopify/")
        request = RequestInput(method="POST", headers=headers, url=f"https://hub.example{path}", body=body.decode())
        verdict = verify_webhook_req(
            request, {"client_id": "any", "client_secret": shopify_mock.secret, "old_client_secret": ""}
        )
        assert verdict.ok
        assert verdict.shop == shopify_mock.shop.removesuffix(".myshopify.com")
        (message,) = shopify_mock.connector().read_webhook(topic, headers, body)
        assert message.remote_id == str(order["id"])
        topics.append(topic)
        events.append(headers["X-Shopify-Event-Id"])
    assert sorted(topics) == ["orders/cancelled", "orders/create", "orders/updated", "orders/updated"]
    assert len(set(events)) == 3  # one event may have several topics


def test_a_webhook_that_is_not_taken_comes_again_even_after_a_kill_symptom_12(shopify_mock: ShopifyMock) -> None:
    order = shopify_mock.place(("MUG-BLU", 1))  # nobody listens
    time.sleep(0.3)
    before = shopify_mock.stock("MUG-BLU")
    shopify_mock.process.kill()
    shopify_mock.process.wait()
    shopify_mock.start()
    assert shopify_mock.stock("MUG-BLU") == before
    assert shopify_mock.order(order["id"])["name"] == order["name"]
    with door(shopify_mock) as receiver:
        receiver.refuse = 1
        wait_for(lambda: len(receiver.about(order["id"])) == 1)


def test_a_webhook_may_come_twice_with_the_same_ids_and_an_overtaken_one_after_its_successor(
    shopify_mock: ShopifyMock,
) -> None:
    with door(shopify_mock) as receiver:
        twice = shopify_mock.place(("MUG-SND", 1), webhooks={"twice": True})
        late = shopify_mock.place(("MUG-SND", 2), webhooks={"late": 2})
        shopify_mock.post(f"/sandbox/orders/{late['id']}/pay")
        wait_for(lambda: len(receiver.about(twice["id"])) == 2 and len(receiver.about(late["id"])) == 2)
    one, other = receiver.about(twice["id"])
    assert one[2] == other[2]
    assert one[1]["X-Shopify-Event-Id"] == other[1]["X-Shopify-Event-Id"]
    assert [path.rpartition("/")[2] for path, _, _ in receiver.about(late["id"])] == ["updated", "create"]


# --- polls and snapshots


def test_a_poll_brings_each_order_with_all_its_lines_and_the_same_id_as_the_webhook(shopify_mock: ShopifyMock) -> None:
    skus = [row["sku"] for row in shopify_mock.get("/sandbox/inventory")][:30]
    order = shopify_mock.place(*[(sku, 1) for sku in [*skus, *skus]])
    page = list(shopify_mock.connector().changed_since("orders_read", None))[-1]
    message = next(one for one in page.messages if one.remote_id == str(order["id"]))
    read = json.loads(message.payload)
    assert len(read["lineItems"]["nodes"]) == 60
    assert read["lineItems"].keys() == {"nodes"}
    assert read["currentTotalPriceSet"]["shopMoney"] == {"amount": "604.9", "currencyCode": "EUR"}
    assert read["lineItems"]["nodes"][0]["currentQuantity"] == "1"  # every number is text
    assert read["lineItems"]["nodes"][0]["taxLines"][0]["rate"] == "0.19"


def test_a_poll_loses_nothing_at_equal_times_nor_when_orders_change_while_it_pages_symptom_34(
    shopify_mock: ShopifyMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.connectors.shopify.connector.PAGE", 3)
    connector = shopify_mock.connector()
    placed = [shopify_mock.place(("TEE-WHT-S", 1)) for _ in range(8)]  # several within one second
    seen, pages = {}, []
    for number, page in enumerate(connector.changed_since("orders_read", None)):
        pages.append(page)
        if number == 0:  # meanwhile: a new one, and one of the first page moves to the end
            placed.append(shopify_mock.place(("TEE-WHT-S", 1)))
            early = json.loads(page.messages[0].payload)["id"].rpartition("/")[2]
            shopify_mock.post(f"/sandbox/orders/{early}", {"note": "changed while we paged"})
    for message in (message for page in pages for message in page.messages):
        seen[message.remote_id] = json.loads(message.payload)["updatedAt"]
    assert {str(order["id"]) for order in placed} <= set(seen)
    later = list(connector.changed_since("orders_read", pages[-1].cursor))  # what moved behind the first sweep is here
    seen |= {row["id"].rpartition("/")[2]: row["updatedAt"] for row in payloads(later)}
    told = {str(order["id"]): shopify_mock.order(order["id"])["updated_at"] for order in placed}
    instant = datetime.fromisoformat
    assert {key: instant(seen[key]) for key in told} == {key: instant(moment) for key, moment in told.items()}
    shopify_mock.post(f"/sandbox/orders/{placed[0]['id']}", {"note": "later"})
    last = list(connector.changed_since("orders_read", later[-1].cursor))
    assert str(placed[0]["id"]) in {message.remote_id for page in last for message in page.messages}


def test_a_poll_that_dies_between_pages_goes_on_from_its_last_page(
    shopify_mock: ShopifyMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.connectors.shopify.connector.PAGE", 2)
    placed = {str(shopify_mock.place(("TEE-WHT-M", 1))["id"]) for _ in range(5)}
    cursor: str | None = None
    seen: set[str | None] = set()
    for _ in range(3):  # each poll reads one page and dies
        page = next(iter(shopify_mock.connector().changed_since("orders_read", cursor)))
        cursor, seen = page.cursor, seen | {message.remote_id for message in page.messages}
    for page in shopify_mock.connector().changed_since("orders_read", cursor):
        seen |= {message.remote_id for message in page.messages}
    assert placed <= seen


def test_a_probe_says_no_when_nothing_changed_and_yes_when_something_did(shopify_mock: ShopifyMock) -> None:
    connector = shopify_mock.connector()
    cursors: dict[str, str | None] = dict.fromkeys(STREAMS)
    assert all(connector.has_changed(stream, None) for stream in STREAMS)

    def is_quiet() -> bool:
        """Polls once more; what changed within the last second counts as not yet quiet."""
        for stream in STREAMS:
            cursors[stream] = list(connector.changed_since(stream, cursors[stream]))[-1].cursor
        return not any(connector.has_changed(stream, cursors[stream]) for stream in STREAMS)

    wait_for(is_quiet)
    customer = {"id": 7_300_000_000_001, "first_name": "Ada", "last_name": "Moreau", "email": "ada@example.com"}
    shopify_mock.refund(shopify_mock.place(("TEE-WHT-L", 1), customer=customer)["id"], "1.00")
    nothing_came_back = STREAMS.keys() - {"returns_read"}
    assert all(connector.has_changed(stream, cursors[stream]) for stream in nothing_came_back)


def test_a_cursor_stays_small(shopify_mock: ShopifyMock) -> None:
    cursor = list(shopify_mock.connector().changed_since("orders_read", None))[-1].cursor
    assert cursor is not None
    assert len(json.loads(cursor)["seen"]) <= REMEMBERED


def test_snapshots_tell_all_once_and_only_their_last_page_says_that_they_are_complete(
    shopify_mock: ShopifyMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shopify_mock.place(("TEE-BLK-S", 1))
    monkeypatch.setattr("resources.connectors.shopify.connector.PAGE", 15)
    for stream, expected in (
        ("orders_read", len(shopify_mock.get("/sandbox/orders?limit=1000"))),
        ("variants", len(shopify_mock.get("/sandbox/inventory"))),
        ("inventory", len(shopify_mock.get("/sandbox/inventory"))),
    ):
        pages = list(shopify_mock.connector().snapshot(stream))
        ids = [message.remote_id for page in pages for message in page.messages]
        assert len(ids) == len(set(ids)) == expected
        assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]


def test_an_order_commits_stock_and_the_levels_tell_it(shopify_mock: ShopifyMock) -> None:
    before = shopify_mock.stock("TEE-BLK-M")
    order = shopify_mock.place(("TEE-BLK-M", 3))
    rows = {row["sku"]: row for row in payloads(list(shopify_mock.connector().snapshot("inventory")))}
    level = rows["TEE-BLK-M"]
    assert level["available"] == str(before["available"] - 3)
    assert level["committed"] == str(before["committed"] + 3)
    assert level["on_hand"] == str(before["on_hand"])
    assert level["id"] == f"{level['inventoryItemId']}@{level['locationId']}"
    shopify_mock.post(f"/sandbox/orders/{order['id']}/cancel")
    assert shopify_mock.stock("TEE-BLK-M")["available"] == before["available"]


def test_levels_are_told_of_the_location_that_is_written(shopify_mock: ShopifyMock) -> None:
    place = payloads(list(shopify_mock.connector().snapshot("inventory")))[0]["locationId"]
    told = payloads(list(shopify_mock.connector(location_id=place).snapshot("inventory")))
    assert {level["locationId"] for level in told} == {place}
    with pytest.raises(Unreachable, match="the shop has no location 12; correct the setting location_id"):
        list(shopify_mock.connector(location_id="12").snapshot("inventory"))


# --- when Shopify is not well


def test_a_throttled_question_waits_for_the_bucket_and_is_answered_symptom_42(shopify_mock: ShopifyMock) -> None:
    shopify_mock.fail("throttle")
    started = time.monotonic()
    assert list(shopify_mock.connector().snapshot("variants"))[-1].is_last
    assert time.monotonic() - started >= 0.9  # 100 points at 100 a second


def test_a_throttle_that_does_not_end_is_given_up_with_the_time_to_come_again(
    shopify_mock: ShopifyMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.connectors.shopify.admin_api.PATIENCE", 0.5)
    shopify_mock.fail("throttle", times=1)
    with pytest.raises(Unreachable, match="THROTTLED") as problem:
        list(shopify_mock.connector().snapshot("variants"))
    assert problem.value.retry_after is not None
    assert problem.value.retry_after > 0.5


def test_429_is_answered_by_waiting_as_long_as_it_says(
    shopify_mock: ShopifyMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shopify_mock.fail("429", retry_after="0.4")
    started = time.monotonic()
    assert list(shopify_mock.connector().snapshot("variants"))[-1].is_last
    assert time.monotonic() - started >= 0.4
    shopify_mock.fail("429", retry_after="77")
    outcome = only(shopify_mock.connector().deliver([sellable("MUG-BLU", 5)]))
    assert (outcome.result, outcome.retry_after) == (Result.RETRY, 77.0)


def test_a_question_is_asked_again_after_a_500_and_given_up_after_three(
    shopify_mock: ShopifyMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.connectors.shopify.admin_api.BACKOFF", 0.01)
    shopify_mock.fail("500", times=2)
    assert list(shopify_mock.connector().snapshot("variants"))[-1].is_last
    shopify_mock.fail("500", times=3)
    with pytest.raises(Unreachable, match="500"):
        list(shopify_mock.connector().snapshot("variants"))


def test_a_shop_that_is_not_there_is_unreachable_and_a_delivery_to_it_comes_again(shopify_mock: ShopifyMock) -> None:
    away = shopify_mock.connector(base_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unreachable, match="cannot be reached"):
        list(away.snapshot("variants"))
    assert only(away.deliver([sellable("MUG-BLU", 5)])).result is Result.RETRY
    assert only(away.find([sellable("MUG-BLU", 5)])).result is Result.UNKNOWN


# --- sellable stock out


def test_sellable_is_written_and_the_answer_links_sku_and_item(shopify_mock: ShopifyMock) -> None:
    (outcome,) = shopify_mock.connector().deliver([sellable("CAN-FIG", "41.000")])
    stock = shopify_mock.stock("CAN-FIG")
    assert outcome.result is Result.APPLIED
    assert stock["available"] == 41
    assert outcome.held == {"sellable": "41"}
    assert (outcome.remote_id or "").startswith(f"{stock['inventory_item_id']}@")


def test_two_words_about_one_sku_are_written_in_their_order(shopify_mock: ShopifyMock) -> None:
    outcomes = shopify_mock.connector().deliver([sellable("CAN-CED", 10, 1), sellable("CAN-CED", 12, 2)])
    assert [outcome.result for outcome in outcomes] == [Result.APPLIED] * 2
    assert shopify_mock.stock("CAN-CED")["available"] == 12


def test_bad_records_are_refused_with_a_sentence_each_and_the_others_go_through(shopify_mock: ShopifyMock) -> None:
    shopify_mock.post(
        "/sandbox/variants", {"sku": "GIFT", "title": "Gift", "price": "1", "available": 0, "tracked": False}
    )
    for _ in range(2):
        shopify_mock.post("/sandbox/variants", {"sku": "TWIN", "title": "Twin", "price": "1", "available": 0})
    wishes = [
        sellable("VAS-GLA", 3, 1),
        sellable("NO-SUCH", 3, 2),
        sellable("GIFT", 3, 3),
        sellable("TWIN", 3, 4),
        sellable("LAM-TAB", "2.5", 5),
        sellable("BEA-RIB", 10**9 + 1, 6),
        sellable("SCA-WOO", 10**12, 7),
        sellable("bel-lea-90", 1, 8),
        sellable("BEL-LEA-90", 4, 9),
        delivery("sellable", {"sku": "VAS-GLA"}, n=10, action="delete"),
    ]
    outcomes = {one.delivery_id: one for one in shopify_mock.connector().deliver(wishes)}
    refused = {n: one.reason for n, one in outcomes.items() if one.result is Result.REFUSED}
    assert sorted(refused) == [2, 3, 4, 5, 6, 7, 8, 10]
    assert "no SKU 'NO-SUCH'" in str(refused[2])
    assert "does not track" in str(refused[3])
    assert "must be unique" in str(refused[4])
    assert "no whole number" in str(refused[5])
    assert "1,000,000,000" in str(refused[6])
    assert [outcomes[1].result, outcomes[9].result] == [Result.APPLIED] * 2
    assert shopify_mock.stock("VAS-GLA")["available"] == 3
    assert shopify_mock.stock("BEL-LEA-90")["available"] == 4


def test_a_sale_between_reading_and_writing_is_not_written_over_symptom_20(
    shopify_mock: ShopifyMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shopify_mock.set_stock("BOW-SET", 20)
    connector = shopify_mock.connector()
    write, read = connector.api.write, []

    def write_after_a_sale(name: str, variables: Any) -> dict[str, Any]:
        read.append([one["changeFromQuantity"] for one in variables["input"]["quantities"]])
        if len(read) == 1:
            shopify_mock.place(("BOW-SET", 1))
        return write(name, variables)

    monkeypatch.setattr(connector.api, "write", write_after_a_sale)
    outcomes = connector.deliver([sellable("BOW-SET", 15, 1), sellable("PLA-SET", 9, 2)])
    assert [outcome.result for outcome in outcomes] == [Result.APPLIED] * 2
    assert read[0][0] == 20
    assert read[1][0] == 19  # read again after the sale; nothing of the first try was applied
    assert shopify_mock.stock("BOW-SET")["available"] == 15


def test_stock_that_never_stands_still_is_left_for_later(
    shopify_mock: ShopifyMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = shopify_mock.connector()
    write = connector.api.write

    def write_after_a_sale(name: str, variables: Any) -> dict[str, Any]:
        shopify_mock.place(("THR-MOH", 1))
        return write(name, variables)

    monkeypatch.setattr(connector.api, "write", write_after_a_sale)
    outcome = only(connector.deliver([sellable("THR-MOH", 500)]))
    assert outcome.result is Result.RETRY
    assert "moved 5 times" in str(outcome.reason)


def test_a_write_without_an_answer_is_unknown_and_then_found(shopify_mock: ShopifyMock) -> None:
    shopify_mock.fail("500 after applying", on="mutation")
    wish = sellable("CUS-VEL", 33)
    outcome = only(shopify_mock.connector().deliver([wish]))
    assert outcome.result is Result.UNKNOWN
    assert only(shopify_mock.connector().find([wish])).result is Result.APPLIED
    shopify_mock.fail("500", on="mutation")
    wish = sellable("CUS-VEL", 34)
    assert only(shopify_mock.connector().deliver([wish])).result is Result.UNKNOWN
    assert only(shopify_mock.connector().find([wish])).result is Result.RETRY


def test_the_shop_keeps_to_the_idempotency_rules_of_the_real_one(shopify_mock: ShopifyMock) -> None:
    stock = shopify_mock.stock("TOW-HAN")
    place = payloads(list(shopify_mock.connector().snapshot("inventory")))[0]["locationId"]

    def set_to(quantity: int, key: str | None, **change: Any) -> dict[str, Any]:
        wish = {
            "inventoryItemId": f"gid://shopify/InventoryItem/{stock['inventory_item_id']}",
            "locationId": f"gid://shopify/Location/{place}",
            "quantity": quantity,
            **change,
        }
        text = operation("SetQuantities")
        if key is None:
            text = text.replace("@idempotent(key: $key)", "").replace(", $key: String!", "")
        wish_ = {"input": {"name": "available", "reason": "correction", "quantities": [wish]}, "key": key}
        return shopify_mock.ask(text, wish_)

    def code(answer: dict[str, Any]) -> str:
        return answer["data"]["inventorySetQuantities"]["userErrors"][0]["code"]

    assert "@idempotent directive is required" in set_to(7, None, changeFromQuantity=None)["errors"][0]["message"]
    assert "must include the following argument" in set_to(7, "k1")["errors"][0]["message"]
    assert set_to(7, "k2", changeFromQuantity=None)["data"]["inventorySetQuantities"]["userErrors"] == []
    shopify_mock.set_stock("TOW-HAN", 50)
    assert set_to(7, "k2", changeFromQuantity=None)["data"]["inventorySetQuantities"]["userErrors"] == []
    assert shopify_mock.stock("TOW-HAN")["available"] == 50  # the same request is not executed twice
    assert code(set_to(8, "k2", changeFromQuantity=None)) == "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"
    assert code(set_to(8, "k3", changeFromQuantity=1)) == "CHANGE_FROM_QUANTITY_STALE"
    assert code(set_to(8, "k3", changeFromQuantity=1)) == "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"


# --- parcels out


def test_a_partial_parcel_is_a_partial_fulfilment_and_the_rest_completes_it(shopify_mock: ShopifyMock) -> None:
    connector = shopify_mock.connector()
    order = shopify_mock.place(("SHI-OXF-39", 2), ("SHI-LIN-M", 1))
    before = shopify_mock.stock("SHI-OXF-39")
    first = only(connector.deliver([parcel(order, "T1", ("SHI-OXF-39", 1))]))
    assert first.result is Result.APPLIED
    assert first.held == {"tracking_number": "T1", "carrier": "DHL"}
    read = shopify_mock.order(order["id"])
    assert read["fulfillment_status"] == "partial"
    assert read["fulfillments"][0]["tracking_number"] == "T1"
    assert shopify_mock.stock("SHI-OXF-39")["on_hand"] == before["on_hand"] - 1
    rest = only(connector.deliver([parcel(order, "T2", ("SHI-OXF-39", 1), ("SHI-LIN-M", 1))]))
    assert rest.result is Result.APPLIED
    assert shopify_mock.order(order["id"])["fulfillment_status"] == "fulfilled"


def test_the_same_parcel_twice_is_one_fulfilment(shopify_mock: ShopifyMock) -> None:
    order = shopify_mock.place(("JEA-SLM-30", 2))
    outcomes = [only(shopify_mock.connector().deliver([parcel(order, "T3", ("JEA-SLM-30", 1))])) for _ in range(2)]
    assert [outcome.result for outcome in outcomes] == [Result.APPLIED] * 2
    assert outcomes[0].remote_id == outcomes[1].remote_id
    assert len(shopify_mock.order(order["id"])["fulfillments"]) == 1


def test_how_far_a_parcel_has_come_is_told_once_a_step(shopify_mock: ShopifyMock) -> None:
    order = shopify_mock.place(("JEA-SLM-34", 1))
    connector = shopify_mock.connector()
    seen = []
    for status in ("dispatched", "in_transit", "in_transit", "delivered"):
        wish = parcel(order, "T33", ("JEA-SLM-34", 1))
        wish = replace(wish, payload={**wish.payload, "status": status})
        assert only(connector.deliver([wish])).result is Result.APPLIED
        assert only(connector.find([wish])).result is Result.APPLIED
        (told,) = shopify_mock.order(order["id"])["fulfillments"]
        seen.append((told["shipment_status"], told["updated_at"]))
    assert [status for status, _ in seen] == [None, "in_transit", "in_transit", "delivered"]
    assert seen[1] == seen[2], "the same word again writes nothing"
    asked = replace(wish, payload={**wish.payload, "status": "returned"})
    assert only(connector.find([asked])).result is Result.RETRY


def test_a_corrected_tracking_number_corrects_the_fulfilment_that_is_there(shopify_mock: ShopifyMock) -> None:
    order = shopify_mock.place(("JEA-SLM-32", 1))
    made = only(shopify_mock.connector().deliver([parcel(order, "WRONG", ("JEA-SLM-32", 1))]))
    wish = parcel(order, "RIGHT", ("JEA-SLM-32", 1), remote_id=made.remote_id)
    assert only(shopify_mock.connector().deliver([wish])).held["tracking_number"] == "RIGHT"
    assert [one["tracking_number"] for one in shopify_mock.order(order["id"])["fulfillments"]] == ["RIGHT"]


def test_a_parcel_that_the_shop_cannot_take_is_refused_with_a_sentence(shopify_mock: ShopifyMock) -> None:
    connector = shopify_mock.connector()
    order, cancelled = shopify_mock.place(("CHI-SAN-32", 1)), shopify_mock.place(("CHI-SAN-32", 1))
    shopify_mock.post(f"/sandbox/orders/{cancelled['id']}/cancel")
    nowhere = {"id": 1, "name": "#0"}
    wishes = [
        parcel(order, "T4", ("CHI-SAN-32", 2), n=1),
        parcel(order, "T5", ("JAC-RAI-M", 1), n=2),
        parcel(cancelled, "T6", ("CHI-SAN-32", 1), n=3),
        parcel(nowhere, "T7", ("CHI-SAN-32", 1), n=4),
        parcel(order, "T8", n=5),
        parcel({"id": "", "name": "W-1"}, "T9", ("CHI-SAN-32", 1), n=6),
    ]
    outcomes = connector.deliver(wishes)
    assert [outcome.result for outcome in outcomes] == [Result.REFUSED] * 6
    reasons = [str(outcome.reason) for outcome in outcomes]
    assert "only 1 of it to ship" in reasons[0]
    assert "only 0 of it to ship" in reasons[1]
    assert "is cancelled in the shop" in reasons[2]
    assert "is not in the shop" in reasons[3]
    assert "at least one piece" in reasons[4]
    assert "is not linked" in reasons[5]
    assert shopify_mock.order(order["id"])["fulfillments"] == []


def test_user_errors_of_an_answer_200_are_failures(shopify_mock: ShopifyMock, monkeypatch: pytest.MonkeyPatch) -> None:
    order = shopify_mock.place(("JAC-RAI-L", 1))
    connector = shopify_mock.connector()
    ask = connector.api.ask

    def ask_and_then_cancel(name: str, variables: Any) -> Any:
        answer = ask(name, variables)
        shopify_mock.post(f"/sandbox/orders/{order['id']}/cancel")
        return answer

    monkeypatch.setattr(connector.api, "ask", ask_and_then_cancel)
    outcome = only(connector.deliver([parcel(order, "T10", ("JAC-RAI-L", 1))]))
    assert outcome.result is Result.REFUSED
    assert "unfulfillable status" in str(outcome.reason)


def test_a_parcel_that_was_applied_before_the_line_broke_is_found(
    shopify_mock: ShopifyMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.connectors.shopify.admin_api.TIMEOUT", (1, 0.5))
    order = shopify_mock.place(("KNI-MER-M", 1))
    wish = parcel(order, "T11", ("KNI-MER-M", 1))
    assert only(shopify_mock.connector().find([wish])).result is Result.RETRY
    shopify_mock.fail("hang", on="mutation", seconds=1)
    assert only(shopify_mock.connector().deliver([wish])).result is Result.UNKNOWN
    found = only(shopify_mock.connector().find([wish]))
    assert found.result is Result.APPLIED
    assert found.held["tracking_number"] == "T11"
    without = parcel(order, None, ("KNI-MER-M", 1))
    assert only(shopify_mock.connector().find([without])).result is Result.UNKNOWN


# --- traffic


def test_an_order_is_a_pure_function_of_seed_and_number() -> None:
    here = json.dumps([order_content(4, n) for n in range(1, 30)])
    assert here == json.dumps([order_content(4, n) for n in range(1, 30)])
    assert here != json.dumps([order_content(5, n) for n in range(1, 30)])
    code = "import json; from resources.sandbox.traffic import order_content as o; print(json.dumps([o(4, n) for n in range(1, 30)]))"
    elsewhere = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=settings.ROOT
    )
    assert elsewhere.stdout.strip() == here


def test_a_morning_of_orders_has_every_lifelike_trait() -> None:
    seen = set().union(*(traits(order_content(1, n)) for n in range(1, 500)))
    assert seen >= {
        "guest", "regular customer", "no email", "order in EUR", "order in USD", "order in GBP", "order in JPY",
        "order in SEK", "shown in another currency", "line discount", "order discount", "several tax lines",
        "taxes included", "taxes on top", "no tax", "shipping", "free shipping", "removed line", "lowered quantity",
        "paid later", "cancelled within seconds", "cancelled minutes later", "webhook twice", "webhook late",
        "webhook overtaken", "unknown SKU", "note", "custom attributes", "line properties", "name beyond ASCII",
        "address beyond Latin",
    }  # fmt: skip


def test_the_amounts_of_an_order_add_up_in_both_shapes() -> None:
    for n in range(1, 200):
        order = rest_order(order_content(2, n), n=n, placed_at=datetime(2026, 11, 21, tzinfo=UTC))
        cents = {name: round(float(order[name]) * 100) for name in ("total_price", "subtotal_price", "total_tax")}
        shipping = round(float(order["total_shipping_price_set"]["shop_money"]["amount"]) * 100)
        tax = 0 if order["taxes_included"] else cents["total_tax"]
        assert cents["total_price"] == cents["subtotal_price"] + shipping + tax
        lines = sum(round(float(line["price"]) * 100) * line["quantity"] for line in order["line_items"])
        off = sum(
            round(float(part["amount"]) * 100) for line in order["line_items"] for part in line["discount_allocations"]
        )
        assert cents["subtotal_price"] == lines - off
        answer = graphql_order(order)
        assert float(answer["currentTotalPriceSet"]["shopMoney"]["amount"]) == float(order["current_total_price"])


def test_a_posted_order_lives_through_its_fate(shopify_mock: ShopifyMock) -> None:
    content = next(order_content(3, n) for n in range(1, 999) if "removed line" in traits(order_content(3, n)))
    removed = next(step["line"] for step in content["then"] if step["do"] == "edit")
    content["then"] = [
        {"after": 0, "do": "edit", "line": removed, "quantity": 0},
        {"after": 1, "do": "cancel", "reason": "customer"},
    ]
    order = shopify_mock.post("/sandbox/orders", content)
    wait_for(lambda: shopify_mock.order(order["id"])["cancelled_at"])
    read = shopify_mock.order(order["id"])
    assert read["financial_status"] in ("refunded", "voided")
    assert float(read["current_total_price"]) == 0
    assert read["line_items"][removed]["quantity"] > 0  # a removed line stays, with nothing left of it
    assert read["line_items"][removed]["current_quantity"] == 0


def test_a_planted_change_tells_nobody(shopify_mock: ShopifyMock) -> None:
    order = shopify_mock.place(("TOW-BAT", 1))
    waiting = shopify_mock.get("/sandbox/webhooks")["waiting"]
    shopify_mock.post(f"/sandbox/orders/{order['id']}", {"email": "foreign@example.com"})
    shopify_mock.delete(f"/sandbox/orders/{order['id']}?webhook=0")
    assert shopify_mock.get("/sandbox/webhooks")["waiting"] == waiting
    answer = requests.get(f"{shopify_mock.base_url}/sandbox/orders/{order['id']}", timeout=5)
    assert answer.status_code == 409
