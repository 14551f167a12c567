"""Reconciliations find what differs between systems, say who answers and what to do, and find nothing else.

Laws as in tests/test_laws.py: each plants records of its own in the systems; all are looked at, settled and compared
together. The tests below them look by themselves.
"""

import re
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

from pipelines.compiler.reconciliation import Proof
from pipelines.language.schema import IntegrationMap
from pipelines.stages.batch import PROJECT
from pipelines.stages.prove import SnapshotIncomplete, count_differences, repair, take_snapshot
from pipelines.stages.sync import LIMITS, sync
from resources.connectors.connector import Unreachable
from tests.fixtures_world import World, at
from tests.lockstep import laws_of, play
from tests.market import Market, holding, level, missing, product, sale, shop_order
from tests.wanting import select

Steps = Generator[None]


def law_every_kind_of_difference_is_found_and_nothing_else_symptom_36(market: Market, n: int) -> Steps:
    same = range(n, n + 20)
    lacking, strange, dearer, foreign, twice = (range(n + k, n + k + 3) for k in (20, 30, 40, 50, 60))
    market.has("shopify", "orders_read", *map(shop_order, [*same, *lacking, *dearer, *foreign, *twice]))
    market.has("tryton", "sales", *map(sale, [*same[1:], *strange, *twice]), sale(n, reference="typed by hand"))
    market.has("tryton", "sales", *(sale(k, "21.50") for k in dearer), *(sale(k, currency="USD") for k in foreign))
    market.has("tryton", "sales", *(sale(k, id=f"{k} again") for k in twice))
    market.note("orders", f"SHOP-{n}", "linked", system="tryton", remote_id=f"{n}")
    yield
    assert market.differences("orders", n) == {
        *(missing(f"SHOP-{k}") for k in lacking),
        *(missing(f"SHOP-{k}", "here") for k in strange),
        *((f"SHOP-{k}", "differs", "total", "20.00", "21.50") for k in dearer),
        *((f"SHOP-{k}", "differs", "currency", "EUR", "USD") for k in foreign),
        *((f"SHOP-{k}", "duplicate", None, None, "2") for k in twice),
    }
    rows = market.found("orders", n)
    assert {row["key"]: row["repair"] for row in rows} == {
        **{f"SHOP-{k}": f"concord repair orders_to_erp SHOP-{k}" for k in (*lacking, *dearer, *foreign)},
        **{f"SHOP-{k}": "find out who made it in erp; link it with `concord link` or delete it there" for k in strange},
        **{f"SHOP-{k}": f"delete one of the copies there; `concord trace SHOP-{k}` names them" for k in twice},
    }
    assert {(row["one_side"], row["other_side"], row["steward"]) for row in rows} == {
        ("storefront", "erp", "team:finance")
    }
    assert all(row["would_be"] == row["kind"] and 3500 < row["age"].total_seconds() < 3700 for row in rows)


def law_a_cent_is_rounding_and_more_is_a_difference(market: Market, n: int) -> Steps:
    market.has("shopify", "orders_read", *map(shop_order, range(n, n + 4)))
    market.has("tryton", "sales", sale(n, "20"), sale(n + 1, "19.99"), sale(n + 2, "20.01"), sale(n + 3, "20.011"))
    yield
    total = ("total", "20.00", "20.011")
    assert market.differences("orders", n) == {(f"SHOP-{n + 3}", "differs", *total)}


def law_what_moved_within_the_promise_is_late_until_the_promise_is_over(market: Market, n: int) -> Steps:
    new, changed, delivered, after = range(n, n + 4)
    market.has("shopify", "orders_read", shop_order(changed), shop_order(delivered))
    market.has("tryton", "sales", sale(changed), sale(delivered, "25.00"))
    market.has("shopify", "orders_read", shop_order(new), shop_order(changed, "30.00", updatedAt=at(5)), told=65)
    market.has("shopify", "orders_read", shop_order(after), told=40)  # the ERP was looked at twenty minutes before
    for system, minutes in (("tryton", 65), ("wholesale", 300)):
        [moment] = select(market.store, f"select now() - interval '{minutes} minutes'")
        market.note("orders", f"SHOP-{delivered}", "delivered", system=system, happened_at=moment)
    yield
    would_be = {missing(f"SHOP-{new}"), missing(f"SHOP-{after}"),
                (f"SHOP-{changed}", "differs", "total", "30.00", "20.00"),
                (f"SHOP-{delivered}", "differs", "total", "20.00", "25.00")}  # fmt: skip
    assert market.differences("orders", n) == {(key, "late", *told) for key, _, *told in would_be}
    rows = {row["key"]: row for row in market.found("orders", n)}
    assert {key: row["would_be"] for key, row in rows.items()} == {key: kind for key, kind, *_ in would_be}
    told_after = rows[f"SHOP-{after}"]
    assert told_after["since"] > told_after["looked_at"]
    assert told_after["age"].total_seconds() == 0
    yield
    assert market.differences("orders", n) == would_be


def law_an_order_is_missing_there_once_it_is_paid(market: Market, n: int) -> Steps:
    market.has("shopify", "orders_read", shop_order(n, displayFinancialStatus="PENDING"))
    market.has("shopify", "orders_read", shop_order(n + 1, cancelledAt=at(0)), shop_order(n + 2))
    yield
    assert market.differences("orders", n) == {missing(f"SHOP-{n + 2}")}


def law_who_only_sends_is_compared_by_what_it_sent(market: Market, n: int) -> Steps:
    rows = [{"StockCode": "TEE", "Description": "Tee", "Quantity": "2", "InvoiceDate": "2026-11-19 09:00:00",
             "UnitPrice": "10.00", "CustomerID": "17850", "Country": "United Kingdom", "row_number": "1"}]  # fmt: skip
    with market.minutes_ago(120):
        for k in (n, n + 1):
            market.say("wholesale", "order_files", {"InvoiceNo": f"{k}", "rows": rows}, by="file", row_number=1,
                       file_name="orders/2026-11-20.csv", file_occurrence=f"drop of {k}")  # fmt: skip
    market.has("tryton", "sales", sale(n, currency="GBP", reference=f"WHOLE-{n}"))
    yield
    assert market.differences("orders", n) == {missing(f"WHOLE-{n + 1}")}


def law_an_order_that_both_sides_gave_up_is_no_difference(market: Market, n: int) -> Steps:
    with market.minutes_ago(130):
        market.say("shopify", "orders_read", shop_order(n), by="poll", remote_id=f"gid://shopify/Order/{n}")
        market.say("shopify", "orders_deleted", {"id": n}, remote_id=f"{n}")
    market.has("tryton", "sales", sale(n, state="cancelled"))
    yield
    assert market.differences("orders", n) == set()


def law_what_one_side_gave_up_and_the_other_did_not_is_a_difference(market: Market, n: int) -> Steps:
    given_up_there, given_up_here, deleted_here, made_anew = range(n, n + 4)
    market.has("shopify", "orders_read", shop_order(given_up_there), shop_order(made_anew))
    market.has("shopify", "orders_read", shop_order(given_up_here, cancelledAt=at(0)))
    with market.minutes_ago(130):
        gone = shop_order(deleted_here)
        market.say("shopify", "orders_read", gone, by="poll", remote_id=gone["id"])
        market.say("shopify", "orders_deleted", {"id": deleted_here}, remote_id=f"{deleted_here}")
    market.has("tryton", "sales", sale(given_up_there, state="cancelled"), sale(given_up_here), sale(deleted_here))
    market.has("tryton", "sales", sale(made_anew, state="cancelled"), sale(made_anew, id=f"{made_anew} anew"))
    yield
    assert market.differences("orders", n) == {
        missing(f"SHOP-{given_up_there}"),
        missing(f"SHOP-{given_up_here}", "here"),
        missing(f"SHOP-{deleted_here}", "here"),
    }
    repairs = {row["repair"] for row in market.found("orders", n)}
    assert repairs == {f"concord repair orders_to_erp SHOP-{k}" for k in (given_up_there, given_up_here, deleted_here)}


def law_the_storefront_must_show_what_may_still_be_sold(market: Market, n: int) -> Steps:
    right, wrong, lacking, unknown = (f"SKU-{k}" for k in range(n, n + 4))
    counts = [{"id": f"{sku}@MAIN", "sku": sku, "location": "MAIN", "quantity": "7", "as_of": at(0)}
              for sku in (right, wrong, lacking)]  # fmt: skip
    market.has("tryton", "products", *map(product, (right, wrong, lacking)))
    market.has("tryton", "stock", *counts)
    shown = {right: 6, wrong: 9, unknown: 3}  # the channel's buffer is one
    market.has("shopify", "inventory", *(level(sku, number) for sku, number in shown.items()))
    yield
    found = {missing(lacking), missing(unknown, "here"), (wrong, "differs", "sellable", "6", "9")}
    assert market.differences("sellable", n) == found
    repairs = {row["key"]: (row["steward"], row["repair"]) for row in market.found("sellable", n)}
    assert repairs[wrong] == ("team:ecommerce", f"concord repair sellable_to_storefront {wrong}")
    assert repairs[unknown][1].startswith("find out who made it in shopify")


def law_a_good_is_missing_in_the_storefront_and_a_service_is_not(market: Market, n: int) -> Steps:
    good, service, shown, strange = (f"SKU-{k}" for k in range(n, n + 4))
    market.has("tryton", "products", product(good), product(service, type="service"), product(shown))
    variants = [
        {"id": f"of {sku}", "sku": sku, "product": {"title": "T"}, "updatedAt": at(0)} for sku in (shown, strange)
    ]
    market.has("shopify", "variants", *variants)
    yield
    assert market.differences("products", n) == {missing(good), missing(strange, "here")}
    [repair] = [row["repair"] for row in market.found("products", n) if row["key"] == good]
    assert repair == "correct it by hand: no flow brings products there"


LAWS = laws_of(globals())


@pytest.fixture(scope="module")
def died(world: World) -> dict[str, BaseException]:
    return play(Market(world.store, world.folder, world.the_map), LAWS)


@pytest.fixture
def market(fresh_world: World) -> Market:
    """A market of the test's own, whose products were settled as everything needs them."""
    fresh_world.sync("products")
    return Market(fresh_world.store, fresh_world.folder, fresh_world.the_map)


@pytest.mark.parametrize("law", LAWS)
def test_law(law: str, died: dict[str, BaseException]) -> None:
    if law in died:
        raise died[law]


def test_in_many_turns_the_same_is_settled_and_found(
    world: World, died: dict[str, BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "dbt_project"
    shutil.copytree(PROJECT, project)
    compared = project / "models/generated/orders/reconcile_orders.sql"
    compared.write_text(re.sub(r'("at_once": )\d+', r"\g<1>9", compared.read_text()))
    monkeypatch.setitem(LIMITS, "most", 9)
    tables = ("orders", "order_lines", "orders_conflicts", "orders_verdicts", "wanted_orders", "reconcile_orders")

    def everything() -> dict[str, list[dict[str, object]]]:
        return {table: world.rows(f"select * from {table} order by all") for table in tables}

    before = everything()
    assert len(before["orders"]) > 40
    assert len(before["reconcile_orders"]) > 20
    world.enter()
    settled = sync("orders", store=world.store, the_map=world.the_map, run_id="turns", full=True, project=project)
    assert settled.batch
    assert settled.batch.turns > 4
    world.compare("orders", project=project)
    assert everything() == before


def open_alerts(market: Market) -> list[tuple[str, str]]:
    """(steward, sentence) of the open alert about the orders' reconciliation."""
    return select(
        market.store,
        "select steward, sentence from alerts where subject = 'orders/storefront_and_erp' and over_at is null",
    )


def test_an_alarm_begins_when_the_promise_is_over_and_ends_when_a_repair_made_them_agree(market: Market) -> None:
    n, same = market.number(), market.number()
    key = f"SHOP-{n}"
    market.look("shopify", "orders_read", shop_order(n), shop_order(same), told=65, looked=60)
    market.look("tryton", "sales", sale(same), looked=60)
    market.prove("orders")
    late = count_differences("orders", store=market.store, the_map=market.the_map)
    assert (late.counts, late.wrong, late.over_alarm) == ({("storefront_and_erp", "late"): 1}, 0, [])
    assert open_alerts(market) == []

    market.look("shopify", "orders_read", shop_order(n), shop_order(same), looked=20)
    market.look("tryton", "sales", sale(same), looked=20)
    market.prove("orders")
    wrong = count_differences("orders", store=market.store, the_map=market.the_map)
    assert (wrong.counts, wrong.wrong) == ({("storefront_and_erp", "missing there"): 1}, 1)
    assert open_alerts(market) == [("team:finance", *wrong.over_alarm)]
    assert wrong.over_alarm[0].startswith(
        "storefront and erp disagree about orders: 1 missing there; team:finance answers"
    )
    patient = market.the_map.model_copy(deep=True)
    proofs = patient.entities["orders"].reconcile
    proofs["storefront_and_erp"] = proofs["storefront_and_erp"].model_copy(update={"alarm_above": "100%"})
    assert count_differences("orders", store=market.store, the_map=patient).over_alarm == []
    assert open_alerts(market) == []
    assert count_differences("orders", store=market.store, the_map=market.the_map).over_alarm == wrong.over_alarm
    assert len(open_alerts(market)) == 1

    assert repair(market.store, market.the_map, flow="orders_to_erp", keys=[key], by_whom="anna") == 1
    market.look("tryton", "sales", sale(same), sale(n), looked=10)
    market.prove("orders")
    born = [(row["action"], row["reason"]) for row in market.outbox("orders_to_erp") if row["key"] == key]
    assert born == [("upsert", "new"), ("upsert", "repair")]
    assert market.found("orders") == []
    assert count_differences("orders", store=market.store, the_map=market.the_map).over_alarm == []
    assert open_alerts(market) == []


def test_a_look_that_breaks_off_proves_nothing(market: Market) -> None:
    there, lacking = market.number(), market.number()
    market.look("shopify", "orders_read", shop_order(there), shop_order(lacking))
    market.look("tryton", "sales", sale(there))
    with pytest.raises(SnapshotIncomplete, match="tryton broke off while it told its sales"):
        take_snapshot(market.store, "tryton", "sales", holding("sales", [sale(lacking)], is_all=False))
    with pytest.raises(Unreachable):
        take_snapshot(market.store, "tryton", "sales", holding("sales", [], is_all=False, goes_down=True))
    market.prove("orders")
    assert market.differences("orders") == {missing(f"SHOP-{lacking}")}
    told = select(
        market.store, "select arrived_by from inbox where stream = 'sales' and remote_id = :id", id=f"{lacking}"
    )
    assert told == ["snapshot"], "what it told is kept"


def test_a_side_that_was_never_looked_at_lacks_nothing(market: Market) -> None:
    market.look("shopify", "orders_read", shop_order(market.number()))
    market.write("delete from snapshots where system = 'tryton'")
    market.prove("orders")
    assert market.differences("orders") == set()


def test_what_no_flow_carries_is_not_repaired_by_one_that_carries_something_else(the_map: IntegrationMap) -> None:
    """The ERP's e-mail addresses came with orders: the flow that brings it our numbers would change nothing."""
    orders, customers = (
        Proof(the_map, the_map.entities[name], "storefront_and_erp") for name in ("orders", "customers")
    )
    assert (orders.mending, customers.flow_to(customers.sides[1]), customers.mending) == (
        "orders_to_erp", "numbers_to_erp", None
    )  # fmt: skip
    by_hand = "'correct it by hand: no flow brings email of customers there'"
    assert customers.repair_by(customers.mending, "differs") == by_hand
