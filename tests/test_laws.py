"""The laws by which orders are judged, settled and wanted. Each speaks of order numbers of its own; all share each build."""

from collections.abc import Generator
from typing import Any

import pytest

from tests.fixtures_world import World, at, line, order
from tests.lockstep import laws_of, play

Steps = Generator[None]


def settled(world: World, number: int) -> dict[str, Any]:
    return world.row(f"select * from orders where order_number = 'SHOP-{number}'")


def verdict_of(world: World, number: int) -> list[str]:
    """The verdicts of an order's messages, in the order in which they came."""
    rows = world.rows(f"select verdict from orders_verdicts where key = 'SHOP-{number}' order by inbox_id")
    return [row["verdict"] for row in rows]


def reasons_of(world: World, number: int) -> list[str]:
    rows = world.rows(f"select reason from orders_quarantine where key = 'SHOP-{number}' order by inbox_id, reason")
    return [row["reason"] for row in rows]


def births(world: World, number: int) -> list[tuple[str, str]]:
    """(action, reason) of every version that the ERP was to get."""
    return [(row["action"], row["reason"]) for row in world.outbox("orders_to_erp") if row["key"] == f"SHOP-{number}"]


def law_an_order_arrives_with_its_lines_and_is_wanted_by_the_erp(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n))
    yield
    assert settled(world, n)["status"] == "paid"
    assert str(settled(world, n)["total"]) == "20.0000000000"
    assert world.row(f"select sku from order_lines where order_number = 'SHOP-{n}'")["sku"] == "TEE"
    assert verdict_of(world, n) == ["applied"]
    assert births(world, n) == [("upsert", "new")]


def law_a_late_message_does_not_undo_a_newer_one(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n, 10, current_total_price="30.00"))
    yield
    world.say("shopify", "orders", order(n, 5, current_total_price="25.00"))
    yield
    assert str(settled(world, n)["total"]).startswith("30.00")
    assert verdict_of(world, n) == ["applied", "superseded"]
    assert births(world, n) == [("upsert", "new")]


def law_the_same_body_twice_changes_nothing(world: World, n: int) -> Steps:
    assert world.say("shopify", "orders", order(n), is_versioned=True) == 1
    assert world.say("shopify", "orders", order(n), is_versioned=True) == 0
    yield
    assert world.say("shopify", "orders", order(n), is_versioned=True) == 0
    yield
    assert verdict_of(world, n) == ["applied"]
    assert len(births(world, n)) == 1


def law_a_removed_line_keeps_its_row_and_leaves_what_is_wanted(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n, 0, [line(n, "TEE"), line(n + 1, "MUG")]))
    yield
    world.say("shopify", "orders", order(n, 5, [line(n, "TEE")]))
    yield
    lines = world.rows(f"select sku, removed_at from order_lines where order_number = 'SHOP-{n}'")
    assert {row["sku"]: row["removed_at"] is not None for row in lines} == {"TEE": False, "MUG": True}
    assert births(world, n) == [("upsert", "new"), ("upsert", "changed")]
    (changed,) = [row for row in world.outbox("orders_to_erp") if row["key"] == f"SHOP-{n}" and row["version"] == 2]
    assert "MUG" not in changed["payload"]


def law_the_last_line_can_be_removed(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n, 0, [line(n, "TEE")]))
    yield
    world.say("shopify", "orders", order(n, 5, []))
    yield
    assert world.row(f"select removed_at from order_lines where order_number = 'SHOP-{n}'")["removed_at"] is not None


def law_an_absent_key_is_not_said_and_a_null_is_a_value(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n, 0, phone="+33 1 44 55 66 77"))
    yield
    without_email = order(n, 5, phone=None)
    del without_email["email"]
    world.say("shopify", "orders", without_email)
    yield
    assert settled(world, n)["email"] == f"customer{n}@example.com"
    assert settled(world, n)["phone"] is None


def law_a_guest_order_has_no_email_and_is_no_problem(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n, email=None, shipping_address=None))
    yield
    assert settled(world, n)["email"] is None
    assert verdict_of(world, n) == ["applied"]


def law_a_broken_field_rejects_only_itself_and_holds_what_takes_it(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n, 0))
    yield
    world.say("shopify", "orders", order(n, 5, email="not an address", current_total_price="44.00"))
    yield
    assert settled(world, n)["email"] == f"customer{n}@example.com"
    assert str(settled(world, n)["total"]).startswith("44.00")
    assert settled(world, n)["flags"] == ["email «not an address» is no e-mail address"]
    assert verdict_of(world, n) == ["applied", "quarantined"]
    assert len(births(world, n)) == 1
    world.say("shopify", "orders", order(n, 9, email="mended@example.com", current_total_price="44.00"))
    yield
    assert settled(world, n)["flags"] == []
    assert births(world, n)[-1] == ("upsert", "changed")


def law_a_cancellation_passes_a_hold(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n, 0))
    yield
    with world.store.transaction() as connection:
        connection.exec_driver_sql(f"update outbox set status = 'applied', attempts = 1 where key = 'SHOP-{n}'")
    world.say("shopify", "orders", order(n, 5, phone="12", cancelled_at=at(5)))
    yield
    assert settled(world, n)["flags"] == ["phone «12» is no telephone number"]
    assert settled(world, n)["status"] == "cancelled"
    assert births(world, n)[-1] == ("cancel", "withdrawn")


def law_a_cancellation_before_the_first_delivery_sends_nothing(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n, 5, cancelled_at=at(5)))
    yield
    world.say("shopify", "orders", order(n, 0))
    yield
    assert settled(world, n)["status"] == "cancelled"
    assert births(world, n) == []


def law_an_unpaid_order_waits_for_its_condition(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n, 0, financial_status="pending"))
    yield
    assert births(world, n) == []
    world.say("shopify", "orders", order(n, 5))
    yield
    assert births(world, n) == [("upsert", "new")]


def law_a_broken_line_rejects_the_message_and_holds_the_order(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n, 0))
    yield
    world.say("shopify", "orders", order(n, 5, [line(n, quantity="1.5")], current_total_price="99.00"))
    yield
    assert str(settled(world, n)["total"]).startswith("20.00")
    assert reasons_of(world, n) == ["line 1 (TEE) quantity «1.5» is not a whole quantity"]
    assert "1.5" in settled(world, n)["rejected_since"]
    assert len(births(world, n)) == 1


def law_lines_that_are_no_list_reject_their_message_and_no_other(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n, 0, [line(n)]))
    yield
    world.say("shopify", "orders", order(n, 5, [line(n)]) | {"line_items": {"nodes": [line(n)]}})
    world.say("shopify", "orders", order(n + 1, 0, [line(n + 1)]))
    yield
    reasons = world.rows(f"select reason from orders_quarantine where key = 'SHOP-{n}'")
    assert "line 1 line_id is missing" in {row["reason"] for row in reasons}
    assert world.row(f"select quantity from order_lines where order_number = 'SHOP-{n}'")["quantity"] == 2
    assert settled(world, n + 1)["status"] == "paid"


def law_an_unknown_currency_rejects_the_message(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n, 0, currency="EURO"))
    yield
    assert reasons_of(world, n) == ["currency «EURO» is no ISO 4217 currency"]
    assert world.rows(f"select * from orders where order_number = 'SHOP-{n}'") == []


def law_money_has_the_decimals_of_its_currency(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n, 0, currency="JPY", current_total_price="2000.5"))
    world.say("shopify", "orders", order(n + 1, 0, currency="JPY", current_total_price="2000", current_total_tax="182"))
    world.say("shopify", "orders", order(n + 2, 0, current_total_price="10.005"))
    yield
    assert "total «2000.5» has more decimals than JPY" in reasons_of(world, n)
    assert reasons_of(world, n + 2) == ["total «10.005» has more decimals than EUR"]
    assert settled(world, n + 2)["total"] is None


def law_numbers_keep_every_digit(world: World, n: int) -> Steps:
    world.say("shopify", "orders", b'{"id": %d, "name": "#1", "created_at": "2026-11-20T10:00:00Z", "currency": "EUR", '
              b'"updated_at": "2026-11-20T10:00:00Z", "financial_status": "paid", "current_total_price": 10.10, '
              b'"line_items": [{"id": 7, "sku": "TEE", "quantity": 1, "price": 10.1000000001}]}' % n)  # fmt: skip
    yield
    assert str(settled(world, n)["total"]) == "10.1000000000"
    price = world.row(f"select unit_price from order_lines where order_number = 'SHOP-{n}'")["unit_price"]
    assert str(price) == "10.1000000001"


def law_a_message_without_a_clock_is_quarantined(world: World, n: int) -> Steps:
    told = order(n)
    del told["updated_at"]
    world.say("shopify", "orders", told)
    yield
    assert reasons_of(world, n) == ["the message does not say when it happened"]


def law_a_time_in_the_future_is_quarantined(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n, updated_at="2126-01-01T00:00:00Z"))
    yield
    assert reasons_of(world, n) == ["«2126-01-01T00:00:00Z» lies in the future"]


def law_an_impossible_offset_is_no_time(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n, updated_at="2026-11-20T10:00:00-25:00"))
    yield
    assert reasons_of(world, n) == ["«2026-11-20T10:00:00-25:00» is not a time"]


def law_offsets_are_kept(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n, created_at="2026-11-20T00:30:00+02:00"))
    yield
    assert settled(world, n)["placed_at"].astimezone().isoformat().startswith("2026-11-19T22:30")


def law_an_unknown_status_is_a_verdict(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n, financial_status="sort_of_paid"))
    yield
    assert reasons_of(world, n) == ["status «sort_of_paid» is no status that the map knows"]
    assert births(world, n) == []


def law_an_order_with_an_unknown_sku_waits_and_goes_on(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n, 0, [line(n, f"NEW-{n}")]))
    yield
    assert verdict_of(world, n) == ["pending"]
    assert births(world, n) == []
    wanted = world.row(f"select distinct held_because from wanted_orders where order_number = 'SHOP-{n}'")
    assert wanted["held_because"] == f"waits for NEW-{n}, which no one has told us of"
    world.products(f"NEW-{n}")
    world.say("shopify", "orders", order(n + 1))
    yield
    assert verdict_of(world, n) == ["applied"]
    assert births(world, n) == [("upsert", "new")]


def law_what_the_erp_says_of_a_field_it_does_not_own_is_no_vote(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n))
    yield
    sale = {"id": n, "number": "S1", "reference": f"SHOP-{n}", "state": "confirmed", "currency": "EUR"}
    world.say("tryton", "sales", {**sale, "total_amount": "999.00", "write_date": at(3)}, by="poll", remote_id=str(n))
    yield
    assert str(settled(world, n)["total"]).startswith("20.00")
    assert settled(world, n)["erp_number"] == "S1"
    assert len(births(world, n)) == 1


def law_a_foreign_write_is_restored(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n))
    yield
    sale = {"id": n, "number": "S1", "reference": f"SHOP-{n}", "state": "confirmed", "currency": "EUR"}
    world.say("tryton", "sales", {**sale, "total_amount": "20.00", "write_date": at(3)}, by="poll", remote_id=str(n))
    yield
    assert world.rows(f"select * from orders_conflicts where order_number = 'SHOP-{n}'") == []
    world.say("tryton", "sales", {**sale, "total_amount": "15.00", "write_date": at(6)}, by="poll", remote_id=str(n))
    yield
    conflict = world.row(f"select * from orders_conflicts where order_number = 'SHOP-{n}'")
    assert (conflict["system"], conflict["field"], conflict["value_now"][:5]) == ("tryton", "total", "15.00")
    assert births(world, n)[-1] == ("upsert", "restore")


def law_a_decision_wins_until_it_is_revoked(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n))
    yield
    world.note("orders", f"SHOP-{n}", "decided", field="total", value="18.00")
    yield
    assert str(settled(world, n)["total"]).startswith("18.00")
    world.note("orders", f"SHOP-{n}", "revoked", field="total")
    yield
    assert str(settled(world, n)["total"]).startswith("20.00")


def law_a_linked_record_belongs_to_its_key(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n))
    sale = {"id": n, "number": f"S{n}", "reference": "typed by hand", "state": "confirmed", "currency": "EUR"}
    world.say("tryton", "sales", {**sale, "total_amount": "20.00", "write_date": at(3)}, by="poll", remote_id=str(n))
    yield
    assert settled(world, n)["erp_number"] is None
    world.note("orders", f"SHOP-{n}", "linked", system="tryton", remote_id=str(n))
    yield
    assert settled(world, n)["erp_number"] == f"S{n}"
    world.note("orders", f"SHOP-{n}", "unlinked", system="tryton", remote_id=str(n))
    yield
    assert settled(world, n)["erp_number"] is None


def law_a_repair_is_a_new_version_of_the_same(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n))
    yield
    world.note("orders", f"SHOP-{n}", "repair", flow="orders_to_erp")
    yield
    assert births(world, n) == [("upsert", "new"), ("upsert", "repair")]


def law_a_repair_of_what_was_cancelled_cancels_it_again(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n))
    yield
    with world.store.transaction() as connection:
        connection.exec_driver_sql(f"update outbox set status = 'applied', attempts = 1 where key = 'SHOP-{n}'")
    world.say("shopify", "orders", order(n, 5, cancelled_at=at(4)))
    yield
    world.note("orders", f"SHOP-{n}", "repair", flow="orders_to_erp")
    yield
    assert births(world, n) == [("upsert", "new"), ("cancel", "withdrawn"), ("cancel", "repair")]


def law_a_deleted_order_stays_with_its_time_of_death(world: World, n: int) -> Steps:
    world.say("shopify", "orders", order(n))
    yield
    world.say("shopify", "orders_deleted", {"id": n})
    yield
    assert settled(world, n)["deleted_at"] is not None


def law_what_the_storefront_reads_back_is_the_same_order(world: World, n: int) -> Steps:
    money = {"shopMoney": {"amount": "31.00", "currencyCode": "EUR"}}
    node = {
        "id": f"gid://shopify/Order/{n}", "name": f"#{1000 + n}", "createdAt": at(-60), "updatedAt": at(7),
        "currencyCode": "EUR", "displayFinancialStatus": "PAID", "cancelledAt": None, "currentTotalPriceSet": money,
        "email": None, "lineItems": {"nodes": [{"id": f"gid://shopify/LineItem/{n}", "sku": "TEE", "title": "Tee",
        "currentQuantity": 3, "originalUnitPriceSet": money, "discountAllocations": [], "taxLines": []}]},
    }  # fmt: skip
    world.say("shopify", "orders", order(n, 0, [line(n)]))
    world.say("shopify", "orders_read", node, by="poll", remote_id=str(n))
    yield
    assert str(settled(world, n)["total"]).startswith("31.00")
    assert settled(world, n)["email"] is None
    assert world.row(f"select quantity from order_lines where order_number = 'SHOP-{n}'")["quantity"] == 3


def law_equal_times_are_settled_by_the_body(world: World, n: int) -> Steps:
    one, other = order(n, 0, current_total_price="1.00"), order(n, 0, current_total_price="2.00")
    same_other_way = [{**one, "id": n + 1}, {**other, "id": n + 1}]
    world.say("shopify", "orders", one, other)
    yield
    world.say("shopify", "orders", *reversed(same_other_way))
    yield
    assert verdict_of(world, n).count("applied") == 1


LAWS = laws_of(globals())


@pytest.fixture(scope="module")
def died(world: World) -> dict[str, BaseException]:
    world.products("TEE", "MUG")
    return play(world, LAWS, "products", "orders")


@pytest.mark.parametrize("law", LAWS)
def test_law(law: str, died: dict[str, BaseException]) -> None:
    if law in died:
        raise died[law]


def test_the_books_balance(world: World, died: dict[str, BaseException]) -> None:
    landed = {row["inbox_id"] for row in world.rows("select inbox_id from landing_orders")}
    judged = [row["inbox_id"] for row in world.rows("select inbox_id from orders_verdicts")]
    assert len(judged) == len(set(judged))
    assert set(judged) == landed


def test_a_full_refresh_gives_the_same_rows(world: World, died: dict[str, BaseException]) -> None:
    tables = ("orders", "order_lines", "orders_verdicts", "stg_orders", "stg_order_lines", "orders_conflicts")
    before = {table: world.rows(f"select * from {table} order by all") for table in tables}
    world.sync("orders", full=True)
    for table in tables:
        for was, now in zip(before[table], world.rows(f"select * from {table} order by all"), strict=True):
            assert now == was, table
