"""The ERP connector, on a real Tryton."""

import itertools
import json
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from resources.connectors.connector import Delivery, Outcome, Page, Result, Unreachable
from resources.connectors.tryton import streams
from resources.connectors.tryton.connector import Tryton
from resources.connectors.tryton.rpc import Rpc
from resources.sandbox.catalogue import CATALOGUE
from resources.sandbox.tryton_desk import add_products, sale_of, ship
from tests.fixtures_postgres import free_port
from tests.fixtures_tryton import RunningTryton

numbers = itertools.count(1)
TEE, MUG, SCARF = "TEE-WHT-M", "MUG-BLU", "SCA-WOO"


def order(**said: Any) -> dict[str, Any]:
    """Two T-shirts and a mug with 20 % tax for a customer of her own, as `wanted_orders` would say it."""
    number = said.pop("order_number", f"T-{next(numbers)}")
    plain = {
        "order_number": number,
        "number": f"#{number}",
        "placed_at": "2026-03-01T10:00:00+01:00",
        "currency": "EUR",
        "email": f"{number.lower()}@example.com",
        "phone": None,
        "name": "Zoé L'Hôpital",
        "street": "7 bis, rue de l'Échiquier",
        "city": "Paris",
        "postcode": "75010",
        "country": "FR",
        "status": "paid",
        "lines": [line("1", TEE, "2", "24.90"), line("2", MUG, "1", "16.50")],
    }
    return plain | said


def line(line_id: str, sku: str, quantity: str, unit_price: str, tax_rate: str = "0.20", **said: Any) -> dict[str, Any]:
    return {"line_id": line_id, "sku": sku, "quantity": quantity, "unit_price": unit_price, "tax_rate": tax_rate} | said


def delivery(payload: dict[str, Any], action: str = "upsert") -> Delivery:
    number = next(numbers)
    key = payload["order_number"]
    return Delivery(number, "orders_to_erp", "orders", key, 1, action, payload, None, f"orders_to_erp/{key}/1")


def apply(connector: Tryton, payload: dict[str, Any], action: str = "upsert") -> Outcome:
    (outcome,) = connector.deliver([delivery(payload, action)])
    return outcome


def test_a_customer_of_the_shop_is_one_party_under_the_shops_number_with_or_without_email(
    tryton: RunningTryton,
) -> None:
    connector, n = tryton.connector, str(next(numbers))
    _, cursor = poll(connector, "parties", None)
    assert apply(connector, order(customer=n, shop_number=n, email=None)).result is Result.APPLIED
    assert apply(connector, order(customer=n, shop_number=n)).result is Result.APPLIED, "an address of a later order"
    (party,) = poll(connector, "parties", cursor)[0].values()
    assert party["shop_number"] == n
    assert apply(connector, order(customer=n, email=None)).result is Result.APPLIED, (
        "another channel counts its own way"
    )
    assert len(poll(connector, "parties", cursor)[0]) == 2


def test_a_customer_and_the_guest_with_the_same_email_in_one_batch_are_one_party(tryton: RunningTryton) -> None:
    connector, n = tryton.connector, str(next(numbers))
    _, cursor = poll(connector, "parties", None)
    known = [
        order(customer=n, shop_number=n, email=email) for email in (f"a{n}@example.com", f"b{n}@example.com", None)
    ]
    guest = order(email=f"a{n}@example.com")
    outcomes = connector.deliver([delivery(one) for one in (*known, guest)])
    assert [one.result for one in outcomes] == [Result.APPLIED] * 4
    (party,) = poll(connector, "parties", cursor)[0].values()
    assert party["shop_number"] == n


def test_customers_of_the_shop_whose_orders_tell_one_email_stay_the_parties_that_they_are(
    tryton: RunningTryton,
) -> None:
    connector = tryton.connector
    two = [str(next(numbers)) for _ in range(2)]
    before = [order(customer=n, shop_number=n, email=f"own{n}@example.com") for n in two]
    after = [order(customer=n, shop_number=n, email=f"office{two[0]}@example.com") for n in two]
    for batch in (before, after):
        assert {one.result for one in connector.deliver([delivery(one) for one in batch])} == {Result.APPLIED}
    first, second = (
        [sale_of(tryton.rpc, one["order_number"], "party")["party"] for one in batch] for batch in (before, after)
    )
    assert first == second


def test_an_hour_before_midnight_in_utc_is_the_next_day_where_the_books_are_kept_symptom_40(
    tryton: RunningTryton,
) -> None:
    late = order(placed_at="2026-06-30T22:30:00Z")  # half an hour past midnight in Berlin
    assert apply(tryton.connector, late).result is Result.APPLIED
    assert sale_of(tryton.rpc, late["order_number"], "sale_date")["sale_date"].isoformat() == "2026-07-01"


def sales_of(server: RunningTryton, number: str) -> list[dict[str, Any]]:
    fields = ["number", "state", "shipment_state", "total_amount", "lines.product.code", "lines.quantity", "write_date"]
    found: list[dict[str, Any]] = server.rpc.call(
        "sale.sale.search_read", [("reference", "=", number)], 0, None, None, fields
    )
    return found


def held_lines(server: RunningTryton, number: str) -> dict[str, float]:
    return {
        each["product."]["code"]: float(each["quantity"])
        for each in sale_of(server.rpc, number, "lines.product.code", "lines.quantity")["lines."]
    }


def payloads(pages: Iterator[Page]) -> dict[str, dict[str, Any]]:
    """What the pages tell, by remote id; the last word counts."""
    return {str(message.remote_id): json.loads(message.payload) for page in pages for message in page.messages}


def poll(connector: Tryton, stream: str, cursor: str | None) -> tuple[dict[str, dict[str, Any]], str | None]:
    pages = list(connector.changed_since(stream, cursor))
    return payloads(iter(pages)), pages[-1].cursor if pages else cursor


@contextmanager
def silent_after(server: RunningTryton, method: str) -> Iterator[str]:
    """A way to the server on which the answer to the first call of that method is lost after it was worked off."""
    lost: list[bytes] = []

    class Way(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name: self.headers[name] for name in ("Authorization", "Content-Type") if self.headers[name]}
            answer = requests.post(server.base_url + self.path, data=body, headers=headers, timeout=60)
            if f'"model.{method}"'.encode() in body and not lost:
                lost.append(body)
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Way) as way:
        threading.Thread(target=way.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{way.server_port}"
            assert lost, f"{method} was never called"
        finally:
            way.shutdown()


def test_an_order_becomes_a_confirmed_sale_with_party_address_lines_and_tax(tryton: RunningTryton) -> None:
    payload = order(total="79.56", shipping_total="0", phone="+33 6 12 34 56 78")
    outcome = apply(tryton.connector, payload)
    assert outcome.result is Result.APPLIED
    fields = [
        "party.name",
        "party.contact_mechanisms.value",
        "currency.code",
        "sale_date",
        "total_amount",
        "untaxed_amount",
    ]
    fields += [
        f"{which}_address.{part}" for which in ("invoice", "shipment") for part in ("street", "city", "postal_code")
    ]
    fields += ["invoice_address.country.code", "description", "shipments.state"]
    fields += [f"lines.{name}" for name in ("product.code", "quantity", "unit.symbol", "unit_price", "taxes.rate")]
    sale = sale_of(tryton.rpc, payload["order_number"], *fields)
    assert str(sale["id"]) == outcome.remote_id
    assert sale["state"] == "processing"
    assert [shipment["state"] for shipment in sale["shipments."]] == ["waiting"]
    assert sale["description"] == f"Order {payload['number']}"
    assert sale["sale_date"].isoformat() == "2026-03-01"
    assert sale["currency."]["code"] == "EUR"
    assert (sale["untaxed_amount"], sale["total_amount"]) == (Decimal("66.30"), Decimal("79.56"))
    assert sale["party."]["name"] == "Zoé L'Hôpital"
    assert {each["value"] for each in sale["party."]["contact_mechanisms."]} == {payload["email"], "+33 6 12 34 56 78"}
    assert sale["invoice_address."]["country."]["code"] == "FR"
    for which in ("invoice_address.", "shipment_address."):
        assert (sale[which]["street"], sale[which]["city"], sale[which]["postal_code"]) == (
            payload["street"],
            "Paris",
            "75010",
        )
    assert sorted(
        (
            each["product."]["code"],
            float(each["quantity"]),
            each["unit."]["symbol"],
            each["unit_price"],
            [tax["rate"] for tax in each["taxes."]],
        )
        for each in sale["lines."]
    ) == [
        (MUG, 1.0, "u", Decimal("16.5000"), [Decimal("0.20")]),
        (TEE, 2.0, "u", Decimal("24.9000"), [Decimal("0.20")]),
    ]


def test_the_same_order_twice_changes_nothing(tryton: RunningTryton) -> None:
    payload = order()
    first = apply(tryton.connector, payload)
    (before,) = sales_of(tryton, payload["order_number"])
    again = apply(tryton.connector, payload)
    (after,) = sales_of(tryton, payload["order_number"])
    assert (first.result, again.result, again.remote_id) == (Result.APPLIED, Result.APPLIED, first.remote_id)
    assert before == after


def test_of_thirty_orders_with_a_bad_one_twenty_nine_go_through_and_one_is_refused_with_a_sentence(
    tryton: RunningTryton,
) -> None:
    orders = [order() for _ in range(30)]
    orders[17]["lines"][0]["quantity"] = "1.5"  # only Tryton itself knows that nobody sells half a T-shirt
    outcomes = tryton.connector.deliver([delivery(one) for one in orders])
    assert [outcome.result for outcome in outcomes].count(Result.APPLIED) == 29
    assert outcomes[17].result is Result.REFUSED
    assert outcomes[17].reason is not None
    assert "Quantity" in outcomes[17].reason
    assert "\n" not in outcomes[17].reason
    domain = [("reference", "in", [one["order_number"] for one in orders]), ("state", "=", "processing")]
    assert tryton.rpc.call("sale.sale.search_count", domain) == 29


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"lines": [line("1", "GIFT-CARD-25", "1", "5")]}, "Tryton sells no product GIFT-CARD-25; create it there"),
        ({"lines": [line("1", "", "1", "5")]}, "line 1 has no SKU"),
        ({"lines": [line("1", TEE, "0", "5")]}, "it has no lines left"),
        ({"lines": [line("1", TEE, "one", "5")]}, "quantity is 'one', which is no number"),
        ({"country": "XX"}, "Tryton has no country with code 'XX'"),
        ({"currency": "XTS"}, "Tryton has no currency 'XTS'"),
        ({"total": "99.00"}, "come to 79.56 EUR, but its total is 99.00"),
        ({"placed_at": "yesterday"}, "placed_at is 'yesterday', which is no time"),
    ],
)
def test_what_cannot_be_a_sale_is_refused_with_its_reason_and_leaves_nothing_behind(
    tryton: RunningTryton, wrong: dict[str, Any], sentence: str
) -> None:
    payload = order(**wrong)
    outcome = apply(tryton.connector, payload)
    assert outcome.result is Result.REFUSED
    assert sentence in str(outcome.reason)
    assert str(outcome.reason).startswith(f"order {payload['order_number']}: ")
    assert not sales_of(tryton, payload["order_number"])


def test_guests_with_one_email_are_one_party_with_an_address_each_symptom_44(tryton: RunningTryton) -> None:
    first, second = (
        order(email="Guest.One@example.com"),
        order(email="guest.one@EXAMPLE.com", street="Bäckergasse 3", city="Augsburg"),
    )
    third = order(email="guest.one@example.com", name="zoé  l'hôpital")
    tryton.connector.deliver([delivery(first), delivery(second)])
    apply(tryton.connector, third)
    sales = [sale_of(tryton.rpc, one["order_number"], "party", "shipment_address") for one in (first, second, third)]
    assert len({sale["party"] for sale in sales}) == 1
    assert sales[0]["shipment_address"] == sales[2]["shipment_address"] != sales[1]["shipment_address"]


def test_customers_without_an_email_are_told_apart_by_number_address_or_order(tryton: RunningTryton) -> None:
    nobody = {"email": None, "name": None, "street": None, "city": None, "postcode": None}
    same_address = [order(email=None), order(email=None)]
    same_number = [order(**nobody, customer="17850"), order(**nobody, customer="17850")]
    guests = [order(**nobody), order(**nobody, country=None)]
    everybody = [*same_address, *same_number, *guests]
    outcomes = tryton.connector.deliver([delivery(one) for one in everybody])
    assert {outcome.result for outcome in outcomes} == {Result.APPLIED}
    parties = [sale_of(tryton.rpc, one["order_number"], "party.name")["party."] for one in everybody]
    assert parties[0] == parties[1]
    assert parties[2] == parties[3]
    assert parties[2]["name"] == "Customer 17850"
    assert parties[4] != parties[5]
    assert parties[4]["name"] == f"Guest of order {guests[0]['order_number']}"


def test_prices_with_tax_discounts_and_shipping_come_to_the_total_to_the_cent(tryton: RunningTryton) -> None:
    gross = order(
        prices_include_tax="true",
        lines=[line("1", TEE, "3", "19.99", "0.19", discount="6.00"), line("2", MUG, "1", "9.95", "0.07")],
        shipping_total="4.90",
        discount_total="6.00",
        total="68.82",
        currency="GBP",
    )
    yen = order(currency="JPY", prices_include_tax=True, lines=[line("1", MUG, "7", "2822", "0.10")], total="19754")
    american = order(
        currency="USD", lines=[line("1", SCARF, "1", "52.20", "0.08875")], shipping_total="7.00", total="63.83"
    )
    reduced = order(  # what is taken off is taxed apart from what is charged, and rounded apart
        currency="JPY",
        prices_include_tax="true",
        lines=[line("1", MUG, "1", "15894", "0.10", discount="5")],
        shipping_total="922",
        discount_total="5",
        total="16811",
    )
    for payload in (gross, yen, american, reduced):
        assert apply(tryton.connector, payload).reason is None
        sale = sale_of(tryton.rpc, payload["order_number"], "total_amount", "currency.code")
        assert sale["total_amount"] == Decimal(payload["total"])
        assert sale["currency."]["code"] == payload["currency"]
    assert held_lines(tryton, gross["order_number"]).keys() >= {"SHIPPING", "DISCOUNT"}
    made = tryton.rpc.call("account.tax.search_read", [("rate", "=", Decimal("0.08875"))], 0, None, None, ["name"])
    assert [tax["name"] for tax in made] == ["Sales tax 8.875 %"]


def test_an_open_sale_follows_its_order_until_it_is_shipped(tryton: RunningTryton) -> None:
    payload = order()
    number = payload["order_number"]
    first = apply(tryton.connector, payload)
    changed = payload | {
        "lines": [line("1", TEE, "1", "24.90"), line("3", SCARF, "1", "45.00")],
        "street": "4, rue Neuve",
    }
    second = apply(tryton.connector, changed)
    assert (second.result, second.remote_id) == (Result.APPLIED, first.remote_id)
    assert held_lines(tryton, number) == {TEE: 1.0, SCARF: 1.0}
    sale = sale_of(
        tryton.rpc,
        number,
        "shipment_address.street",
        "shipments.outgoing_moves.product.code",
        "shipments.outgoing_moves.quantity",
    )
    assert sale["state"] == "processing"
    assert sale["shipment_address."]["street"] == "4, rue Neuve"
    moves = {
        move["product."]["code"]: float(move["quantity"])
        for shipment in sale["shipments."]
        for move in shipment["outgoing_moves."]
    }
    assert moves == {TEE: 1.0, SCARF: 1.0}
    ship(tryton.rpc, number, tracking="TRACK-1")
    assert apply(tryton.connector, changed).result is Result.APPLIED
    late = apply(tryton.connector, payload)
    assert late.result is Result.REFUSED
    assert "has been shipped already; arrange a return" in str(late.reason)
    assert held_lines(tryton, number) == {TEE: 1.0, SCARF: 1.0}


def test_an_order_is_cancelled_in_whatever_open_state_its_sale_is(tryton: RunningTryton) -> None:
    orders = {state: order() for state in ("draft", "quotation", "confirmed", "processing")}
    tryton.connector.deliver([delivery(payload) for payload in orders.values()])
    for state, payload in orders.items():
        sale = sale_of(tryton.rpc, payload["order_number"])
        tryton.rpc.call("sale.sale.write", [sale["id"]], {"state": state})
    for _ in range(2):
        outcomes = tryton.connector.deliver([delivery(payload, "cancel") for payload in orders.values()])
        assert {outcome.result for outcome in outcomes} == {Result.APPLIED}
    for payload in orders.values():
        now = sale_of(tryton.rpc, payload["order_number"], "shipments.state")
        assert now["state"] == "cancelled"
        assert {shipment["state"] for shipment in now["shipments."]} == {"cancelled"}


def test_a_cancelled_order_takes_its_draft_invoice_along_but_not_a_posted_one(tryton: RunningTryton) -> None:
    drafted, posted = order(), order()
    tryton.connector.deliver([delivery(drafted), delivery(posted)])
    for payload in (drafted, posted):
        sale = sale_of(tryton.rpc, payload["order_number"])
        tryton.rpc.call("sale.sale.manual_invoice", [sale["id"]])
    invoice = sale_of(tryton.rpc, posted["order_number"], "invoices")["invoices"]
    tryton.rpc.call("account.invoice.write", invoice, {"invoice_date": datetime.now().date()})
    tryton.rpc.call("account.invoice.post", invoice)
    assert apply(tryton.connector, drafted, "cancel").result is Result.APPLIED
    now = sale_of(tryton.rpc, drafted["order_number"], "invoices.state")
    assert (now["state"], [each["state"] for each in now["invoices."]]) == ("cancelled", ["cancelled"])
    refused = apply(tryton.connector, posted, "cancel")
    assert refused.result is Result.REFUSED
    assert "is posted already; credit it in Tryton" in str(refused.reason)


def test_cancelling_an_order_that_tryton_never_had_is_done_already(tryton: RunningTryton) -> None:
    assert apply(tryton.connector, order(), "cancel").result is Result.APPLIED


@pytest.mark.parametrize("shipped", [None, {TEE: 1}], ids=["wholly", "in part"])
def test_what_has_left_the_house_is_not_cancelled(tryton: RunningTryton, shipped: dict[str, int] | None) -> None:
    payload, innocent = order(), order()
    tryton.connector.deliver([delivery(payload), delivery(innocent)])
    ship(tryton.rpc, payload["order_number"], tracking="TRACK-2", quantities=shipped)
    refused, applied = tryton.connector.deliver([delivery(payload, "cancel"), delivery(innocent, "cancel")])
    assert (refused.result, applied.result) == (Result.REFUSED, Result.APPLIED)
    assert f"order {payload['order_number']} cannot be cancelled: its shipment" in str(refused.reason)
    assert sale_of(tryton.rpc, payload["order_number"])["state"] == "processing"


def test_an_order_that_is_wanted_again_after_its_cancellation_is_confirmed_again(tryton: RunningTryton) -> None:
    payload = order()
    first = apply(tryton.connector, payload)
    apply(tryton.connector, payload, "cancel")
    again = apply(tryton.connector, payload)
    assert (again.result, again.remote_id) == (Result.APPLIED, first.remote_id)
    (sale,) = sales_of(tryton, payload["order_number"])
    assert (sale["state"], sale["shipment_state"]) == ("processing", "waiting")


@pytest.mark.parametrize("lost", ["sale.sale.create", "sale.sale.quote", "sale.sale.confirm"])
def test_a_delivery_whose_answer_was_lost_is_looked_up_and_then_applied_exactly_once(
    tryton: RunningTryton, lost: str
) -> None:
    payloads_ = [order(), order()]
    deliveries = [delivery(payload) for payload in payloads_]
    with silent_after(tryton, lost) as base_url:
        connector = tryton.connector_at(base_url)
        assert {outcome.result for outcome in connector.deliver(deliveries)} == {Result.UNKNOWN}
        found = connector.find(deliveries)
        if lost == "sale.sale.confirm":
            assert {outcome.result for outcome in found} == {Result.APPLIED}
        else:  # it stands there, but not as it should
            assert {outcome.result for outcome in found} == {Result.RETRY}
            assert {outcome.result for outcome in connector.deliver(deliveries)} == {Result.APPLIED}
    for payload in payloads_:
        (sale,) = sales_of(tryton, payload["order_number"])
        assert sale["state"] == "processing"


def test_find_tells_an_order_that_arrived_from_one_that_did_not_or_differs(tryton: RunningTryton) -> None:
    there, missing, edited, gone = order(), order(), order(), order()
    tryton.connector.deliver([delivery(there), delivery(edited), delivery(gone)])
    apply(tryton.connector, gone, "cancel")
    asked = [delivery(there), delivery(missing), delivery(edited | {"lines": [line("1", TEE, "9", "24.90")]})]
    asked += [delivery(gone, "cancel"), delivery(there, "cancel")]
    found = tryton.connector.find(asked)
    assert [outcome.result for outcome in found] == [
        Result.APPLIED,
        Result.RETRY,
        Result.RETRY,
        Result.APPLIED,
        Result.RETRY,
    ]
    assert found[0].remote_id == str(sale_of(tryton.rpc, there["order_number"])["id"])


def test_two_couriers_with_the_same_orders_and_one_new_customer_leave_one_sale_and_one_party_symptom_7(
    tryton: RunningTryton,
) -> None:
    orders = [order(email="both@example.com") for _ in range(3)]
    barrier = threading.Barrier(2)

    def courier() -> None:
        records = Tryton(base_url=tryton.base_url + "/", database="concord", user=tryton.user, password=tryton.password)
        barrier.wait()
        records.deliver([delivery(one) for one in orders])

    threads = [threading.Thread(target=courier) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {outcome.result for outcome in tryton.connector.deliver([delivery(one) for one in orders])} == {
        Result.APPLIED
    }
    assert [[sale["state"] for sale in sales_of(tryton, one["order_number"])] for one in orders] == [["processing"]] * 3
    assert tryton.rpc.call("party.contact_mechanism.search_count", [("value", "=", "both@example.com")]) == 1


def test_a_tryton_that_does_not_run_or_does_not_know_us_is_unreachable(tryton: RunningTryton) -> None:
    nobody = tryton.connector_at(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unreachable, match="refused the connection; see that it runs"):
        nobody.deliver([delivery(order())])
    with pytest.raises(Unreachable):
        nobody.has_changed("sales", None)
    stranger = Tryton(base_url=tryton.base_url, database="concord", user="concord", password="wrong")
    with pytest.raises(Unreachable, match="does not accept the password of user 'concord'"):
        stranger.find([delivery(order())])


def test_a_session_that_tryton_forgot_is_opened_anew(tryton: RunningTryton) -> None:
    rpc = Rpc(tryton.base_url, tryton.database, tryton.user, tryton.password)
    assert rpc.call("sale.sale.search_count", []) >= 0
    rpc.http.headers["Authorization"] = "Session Y29uY29yZDoyOmZvcmdvdHRlbg=="
    assert rpc.call("sale.sale.search_count", []) >= 0


def test_what_tryton_does_not_take_is_refused(tryton: RunningTryton) -> None:
    (outcome,) = tryton.connector.deliver([Delivery(1, "f", "products", "TEE", 1, "archive", {}, None, "f/TEE/1")])
    assert (outcome.result, outcome.reason) == (Result.REFUSED, "Tryton takes no archive of products from us")


def test_a_polled_sale_says_what_tryton_holds(tryton: RunningTryton) -> None:
    _, cursor = poll(tryton.connector, "sales", None)
    payload = order()
    remote_id = str(apply(tryton.connector, payload).remote_id)
    assert tryton.connector.has_changed("sales", cursor)
    told, cursor = poll(tryton.connector, "sales", cursor)
    assert set(told) == {remote_id}
    said = told[remote_id]
    assert said.pop("write_date").endswith("Z")
    assert said.pop("number")
    assert [each.pop("id") for each in said["lines"]]
    assert said == {
        "id": remote_id,
        "reference": payload["order_number"],
        "state": "processing",
        "shipment_state": "waiting",
        "invoice_state": "none",
        "currency": "EUR",
        "total_amount": "79.56",
        "untaxed_amount": "66.3",
        "tax_amount": "13.26",
        "sale_date": "2026-03-01",
        "party": "Zoé L'Hôpital",
        "email": payload["email"],
        "lines": [
            {"sku": TEE, "quantity": "2", "unit_price": "24.9"},
            {"sku": MUG, "quantity": "1", "unit_price": "16.5"},
        ],
    }
    assert not tryton.connector.has_changed("sales", cursor)
    assert poll(tryton.connector, "sales", cursor) == ({}, cursor)


def test_a_poll_loses_neither_equal_times_nor_late_commits_nor_what_comes_while_it_pages(
    tryton: RunningTryton, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = tryton.connector
    orders = [order() for _ in range(8)]
    _, before = poll(connector, "sales", None)
    first = {str(outcome.remote_id) for outcome in connector.deliver([delivery(one) for one in orders[:5]])}
    monkeypatch.setattr(streams, "PAGE", 2)
    pages = connector.changed_since("sales", before)
    seen = [next(pages)]
    second = {
        str(outcome.remote_id) for outcome in connector.deliver([delivery(one) for one in orders[5:7]])
    }  # meanwhile
    changed = min(first, key=int)  # told already
    tryton.rpc.call("sale.sale.write", [int(changed)], {"description": "changed behind the page"})
    seen += list(pages)
    assert set(payloads(iter(seen))) >= first | second
    cursor = seen[-1].cursor
    told, cursor = poll(connector, "sales", cursor)
    assert changed in told
    assert not set(told) & (first - {changed}), "what did not change is not told again"

    # a transaction that began before the poll and commits after it carries an older stamp than the newest one told
    late = str(apply(connector, orders[7]).remote_id)
    newest = max(
        datetime.fromisoformat(json.loads(message.payload)["write_date"]) for page in seen for message in page.messages
    )
    stamp = f"{newest.replace(tzinfo=None) - timedelta(seconds=20):%Y-%m-%d %H:%M:%S.%f}"
    with sqlite3.connect(tryton.file, timeout=30) as database:
        database.execute("update sale_sale set write_date = ?, create_date = ? where id = ?", (stamp, stamp, late))
        database.execute("update sale_line set write_date = ?, create_date = ? where sale = ?", (stamp, stamp, late))
    database.close()
    assert connector.has_changed("sales", cursor)
    told, cursor = poll(connector, "sales", cursor)
    assert set(told) == {late}
    assert not connector.has_changed("sales", cursor)


def test_a_poll_that_was_killed_goes_on_at_the_page_that_it_had_not_kept(
    tryton: RunningTryton, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = tryton.connector
    _, before = poll(connector, "sales", None)
    made = {str(outcome.remote_id) for outcome in connector.deliver([delivery(order()) for _ in range(5)])}
    monkeypatch.setattr(streams, "PAGE", 2)
    first = next(connector.changed_since("sales", before))
    assert connector.has_changed("sales", first.cursor)
    rest, _ = poll(connector, "sales", first.cursor)
    assert set(payloads(iter([first]))) | set(rest) == made
    assert not set(payloads(iter([first]))) & set(rest)


def test_a_line_that_changes_without_its_sale_is_told(tryton: RunningTryton) -> None:
    payload = order()
    outcome = apply(tryton.connector, payload)
    _, cursor = poll(tryton.connector, "sales", None)
    lines = sale_of(tryton.rpc, payload["order_number"], "lines")["lines"]
    tryton.rpc.call("sale.line.write", lines[:1], {"unit_price": Decimal("1.0000")})
    assert tryton.connector.has_changed("sales", cursor)
    told, _ = poll(tryton.connector, "sales", cursor)
    assert told[str(outcome.remote_id)]["lines"][0]["unit_price"] == "1"


def test_a_partial_shipment_is_told_and_so_is_the_rest(tryton: RunningTryton) -> None:
    _, cursor = poll(tryton.connector, "shipments", None)
    payload = order()
    apply(tryton.connector, payload)
    assert not tryton.connector.has_changed("shipments", cursor)
    number = ship(tryton.rpc, payload["order_number"], tracking="1Z-PART", quantities={TEE: 1})
    told, cursor = poll(tryton.connector, "shipments", cursor)
    (parcel,) = told.values()
    assert parcel["shipped_at"][:19] == parcel["write_date"][:19]
    assert (parcel["number"], parcel["reference"], parcel["state"]) == (number, "1Z-PART", "done")
    assert parcel["order_number"] == payload["order_number"]
    assert parcel["lines"] == [{"sku": TEE, "quantity": "1"}]
    assert sales_of(tryton, payload["order_number"])[0]["shipment_state"] == "partially shipped"
    ship(tryton.rpc, payload["order_number"], tracking="1Z-REST")
    told, _ = poll(tryton.connector, "shipments", cursor)
    (rest,) = told.values()
    assert rest["lines"] == [{"sku": MUG, "quantity": "1"}, {"sku": TEE, "quantity": "1"}]
    # a correction later on does not move the time at which it left
    shipment = int(parcel["id"])
    tryton.rpc.call("stock.shipment.out.write", [shipment], {"reference": "1Z-CORRECTED"})
    corrected = payloads(tryton.connector.snapshot("shipments"))[str(shipment)]
    assert (corrected["reference"], corrected["shipped_at"]) == ("1Z-CORRECTED", parcel["shipped_at"])


def test_stock_is_told_when_goods_leave_the_shelf(tryton: RunningTryton) -> None:
    shelf = payloads(tryton.connector.snapshot("stock"))
    assert {sku for sku, *_ in CATALOGUE} <= {said["sku"] for said in shelf.values()}
    before = shelf[f"{SCARF}@MAIN"]
    told, cursor = poll(tryton.connector, "stock", None)
    assert told[f"{SCARF}@MAIN"]["quantity"] == before["quantity"]
    payload = order(lines=[line("1", SCARF, "3", "45.00")])
    apply(tryton.connector, payload)
    assert not tryton.connector.has_changed("stock", cursor), "an order moves nothing yet"
    ship(tryton.rpc, payload["order_number"], tracking="TRACK-3")
    told, _ = poll(tryton.connector, "stock", cursor)
    now = told[f"{SCARF}@MAIN"]
    assert Decimal(now["quantity"]) == Decimal(before["quantity"]) - 3
    assert (now["sku"], now["location"]) == (SCARF, "MAIN")
    assert now["as_of"] > before["as_of"]
    (parcel,) = [
        said for said in payloads(tryton.connector.snapshot("shipments")).values() if said["reference"] == "TRACK-3"
    ]
    assert now["as_of"] >= parcel["shipped_at"] > before["as_of"], "the parcel is in the later count and in no other"


def test_products_are_told_with_their_names_and_prices_also_when_only_the_template_changes(
    tryton: RunningTryton,
) -> None:
    (number,) = add_products(tryton.rpc, [("HAT-FELT", "Felt hat", "39.90")])
    told, cursor = poll(tryton.connector, "products", None)
    said = next(said for said in told.values() if said["code"] == "HAT-FELT")
    assert (said["name"], said["list_price"], said["salable"], said["active"]) == ("Felt hat", "39.9", True, True)
    tryton.rpc.call("product.template.write", [number], {"name": "Felt hat, grey", "active": False})
    told, _ = poll(tryton.connector, "products", cursor)
    (changed,) = told.values()
    assert (changed["name"], changed["active"]) == ("Felt hat, grey", False)
    assert payloads(tryton.connector.snapshot("products"))[changed["id"]] == changed


def test_customers_are_told_with_how_to_reach_them_also_when_only_that_changes(tryton: RunningTryton) -> None:
    told, cursor = poll(tryton.connector, "parties", None)
    apply(tryton.connector, order(email="zoe@example.com", phone="+33 6 12 34 56 78"))
    told, cursor = poll(tryton.connector, "parties", cursor)
    (zoe,) = told.values()
    assert (zoe["name"], zoe["email"], zoe["phone"]) == ("Zoé L'Hôpital", "zoe@example.com", "+33 6 12 34 56 78")
    (contact,) = tryton.rpc.call("party.contact_mechanism.search", [("value", "=", "zoe@example.com")])
    tryton.rpc.call("party.contact_mechanism.write", [contact], {"value": "zoe@example.org"})
    told, _ = poll(tryton.connector, "parties", cursor)
    assert {said["id"]: said["email"] for said in told.values()} == {zoe["id"]: "zoe@example.org"}
    everyone = payloads(tryton.connector.snapshot("parties"))
    assert everyone[zoe["id"]]["email"] == "zoe@example.org"
    companies = tryton.rpc.call("company.company.search_read", [], 0, None, None, ["party"])
    assert not {str(company["party"]) for company in companies} & everyone.keys()


def test_a_snapshot_holds_everything_and_says_so_on_its_last_page(
    tryton: RunningTryton, monkeypatch: pytest.MonkeyPatch
) -> None:
    tryton.connector.deliver([delivery(order()) for _ in range(3)])
    monkeypatch.setattr(streams, "PAGE", 2)
    pages = list(tryton.connector.snapshot("sales"))
    assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert len(payloads(iter(pages))) == tryton.rpc.call("sale.sale.search_count", [])


def test_a_server_that_cuts_pages_without_a_word_hides_nothing_symptom_43(
    tryton: RunningTryton, monkeypatch: pytest.MonkeyPatch
) -> None:
    tryton.connector.deliver([delivery(order()) for _ in range(5)])
    ask = tryton.connector.records.rpc.call

    def cut(method: str, *parameters: Any, **context: Any) -> Any:
        """The question as a server would take it that never answers more than three sales."""
        if method in ("sale.sale.search", "sale.sale.search_read"):
            domain, offset, limit, *others = parameters
            parameters = domain, offset, min(limit, 3), *others
        return ask(method, *parameters, **context)

    monkeypatch.setattr(tryton.connector.records.rpc, "call", cut)
    there = tryton.rpc.call("sale.sale.search_count", [])
    pages = list(tryton.connector.snapshot("sales"))
    assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert len(payloads(iter(pages))) == there
    told, _ = poll(tryton.connector, "sales", None)
    assert len(told) == there


def test_products_by_the_hundred_are_added_at_once(tryton: RunningTryton) -> None:
    made = add_products(tryton.rpc, ((f"BULK-{n:05}", f"Bulk product {n}", "1.00") for n in range(200)))
    assert len(made) == 200
    assert tryton.connector.records.products(["BULK-00199"])


def test_what_a_customer_asked_for_beside_goods_stands_in_the_sale_and_on_its_line(tryton: RunningTryton) -> None:
    def asked(ships_from: str) -> dict[str, Any]:
        lines = [line("1", MUG, "1", "16.50", properties="Stickerei: A. G.", ships_from=ships_from)]
        beside = {
            "channel": "amazon",
            "marketplace_number": "305-1",
            "attributes": "gift_wrap: yes",
            "note": "Ring twice",
        }
        return order(order_number=name, lines=lines, **beside)

    def held() -> tuple[str, list[str]]:
        sale = sale_of(tryton.rpc, name, "comment", "lines.note")
        return sale["comment"], [one["note"] for one in sale["lines."]]

    name, comment = f"T-{next(numbers)}", "Channel: amazon\nMarketplace order: 305-1\ngift_wrap: yes\nRing twice"
    assert apply(tryton.connector, asked("3PL")).result is Result.APPLIED
    assert held() == (comment, ["Ships from 3PL\nStickerei: A. G."])
    (found,) = tryton.connector.find([delivery(asked("MAIN"))])
    assert found.result is Result.RETRY, "it is shipped from elsewhere now"
    assert apply(tryton.connector, asked("MAIN")).result is Result.APPLIED
    assert held() == (comment, ["Ships from MAIN\nStickerei: A. G."])
