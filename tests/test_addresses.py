"""A customer's addresses: told by the shop and the ERP, each row by one of them as a whole, flagged where its country's form is not kept."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from pipelines.language.schema import IntegrationMap
from pipelines.stages.prove import take_snapshot
from pipelines.stages.write_guard import WriteGuard
from resources.connectors.connector import Delivery
from tests.fixtures_world import World, at, order
from tests.market import holding

PARIS = {"name": "Ada Moreau", "address1": "1 Rue de Lyon", "address2": "Bât. C", "city": "Paris", "zip": "75012",
         "country_code": "FR", "phone": "01 44 55 66 77"}  # fmt: skip
BERLIN = {"street": "Allee 1", "city": "Berlin", "postcode": "10115", "country": "DE"}


@pytest.fixture(scope="module", autouse=True)
def products(world: World) -> None:
    world.sync("products", "orders", "customers")


def buys(world: World, n: int, minutes: float, **more: Any) -> None:
    customer = {"id": n, "first_name": "Ada", "last_name": "Moreau", "email": f"ada{n}@example.com",
                "default_address": more.pop("default_address", PARIS)}  # fmt: skip
    world.say("shopify", "orders", order(world.number(), minutes, customer=customer, **more))


def enters(world: World, n: int, minutes: float, *addresses: dict[str, Any], **more: Any) -> None:
    told = {
        **more,
        "id": str(n),
        "code": f"P{n}",
        "name": "Moreau, Ada",
        "email": f"ada{n}@example.com",
        "write_date": at(minutes),
    }
    world.say("tryton", "parties", {**told, "addresses": addresses}, by="poll", remote_id=str(n))


def settle(world: World) -> None:
    while world.sync("customers")[0].batch:
        pass


def addresses(world: World, n: int) -> dict[str, tuple[str | None, str | None, bool]]:
    """(street, area, whether it is gone) of each kind."""
    rows = world.rows(
        f"select addresses.* from addresses join customers using (customer_number) where email = 'ada{n}@example.com'"
    )
    return {row["kind"]: (row["street"], row["area"], row["removed_at"] is not None) for row in rows}


def flags(world: World, n: int) -> list[str]:
    rows = world.rows(f"select severity, reason, steward from customers_flags where key = 'SHOP-C{n}' order by reason")
    assert {row["severity"] for row in rows} <= {"warn"}
    return [row["reason"] for row in rows]


def test_the_shop_tells_both_of_its_addresses_and_takes_them_back(world: World) -> None:
    n = world.number()
    buys(world, n, 0, billing_address={**PARIS, "address1": "2 Rue de Lyon"})
    settle(world)
    assert addresses(world, n) == {
        "shipping": ("1 Rue de Lyon, Bât. C", None, False),
        "billing": ("2 Rue de Lyon, Bât. C", None, False),
    }
    buys(world, n, 5, billing_address=None)
    settle(world)
    assert addresses(world, n)["billing"] == ("2 Rue de Lyon, Bât. C", None, True)
    buys(world, n, 3, billing_address=PARIS)  # a late word
    settle(world)
    assert addresses(world, n)["billing"][2]
    assert flags(world, n) == []


def test_an_address_is_of_one_system_as_a_whole(world: World) -> None:
    n = world.number()
    enters(world, n, 0, {"kind": "shipping", "area": "Berlin", **BERLIN}, {"kind": "billing", **BERLIN})
    buys(world, n, 5)
    settle(world)
    assert addresses(world, n) == {
        "shipping": ("1 Rue de Lyon, Bât. C", None, False),  # no French street in a German state
        "billing": ("Allee 1", None, False),
    }
    buys(world, n, 9, default_address=None)
    settle(world)
    assert addresses(world, n)["shipping"] == ("Allee 1", "Berlin", False), "the ERP still knows of one"
    enters(world, n, 12)
    settle(world)
    assert {kind: is_gone for kind, (_, _, is_gone) in addresses(world, n).items()} == {
        "shipping": True,
        "billing": True,
    }


@pytest.mark.parametrize("turned", [False, True], ids=["as told", "turned round"])
def test_the_order_of_messages_does_not_matter(world: World, turned: bool) -> None:
    n = world.number()
    steps: list[Callable[[], None]] = [
        lambda: enters(world, n, 0, {"kind": "billing", **BERLIN}),
        lambda: buys(world, n, 1, billing_address={**PARIS, "address1": "9 Quai"}),
        lambda: enters(world, n, 4, {"kind": "billing", **BERLIN, "street": "Allee 2"}),
        lambda: buys(world, n, 6),
    ]
    for step in reversed(steps) if turned else steps:
        step()
        settle(world)
    key = world.row(f"select customer_number from customers where email = 'ada{n}@example.com'")["customer_number"]
    rows = world.rows(f"select kind, street from addresses where customer_number = '{key}' and removed_at is null")
    assert {row["kind"]: row["street"] for row in rows} == {"shipping": "1 Rue de Lyon, Bât. C", "billing": "Allee 2"}


def test_what_a_country_asks_of_an_address_is_flagged_and_nothing_is_rewritten(world: World) -> None:
    n = world.number()
    american = {
        "name": "Ada",
        "address1": "1 Main St",
        "city": None,
        "zip": "9410",
        "country_code": "US",
        "province": "Bavaria",
    }
    buys(
        world,
        n,
        0,
        default_address=american,
        billing_address={**american, "province": None, "city": "Reno", "zip": "89501"},
    )
    settle(world)
    assert flags(world, n) == [
        "addresses: billing address: lacks area, which addresses in US have",
        "addresses: shipping address: lacks city, which addresses in US have",
        "addresses: shipping address: «Bavaria» is no state or province of US",
        "addresses: shipping postcode: «9410» is no postcode of its country",
    ]
    assert addresses(world, n)["shipping"] == ("1 Main St", "Bavaria", False)
    buys(world, n, 5)
    settle(world)
    assert flags(world, n) == []


def test_a_national_number_is_one_of_the_addresss_country(world: World) -> None:
    n = world.number()
    buys(world, n, 0, default_address={**PARIS, "phone": "01 44"})
    settle(world)
    assert flags(world, n) == ["addresses: shipping phone: «01 44» is no telephone number"]


FLOWS = ("numbers_to_erp", "numbers_to_storefront")


def told_of(world: World, people: list[int]) -> dict[tuple[int, str], dict[str, str]]:
    """The street of each kind that destinations should hold of us, by person and flow."""
    rows = world.rows(
        f"select email, flow, payload from wanted_customers join customers using (customer_number) where flow in {FLOWS} and is_wanted"
    )
    wanted = {(row["email"], row["flow"]): json.loads(row["payload"])["lines"] for row in rows}
    return {
        (n, flow): {line["kind"]: line["street"] for line in wanted.get((f"ada{n}@example.com", flow), [])}
        for n in people
        for flow in FLOWS
    }


def told_to(world: World, flow: str, n: int) -> dict[str, str]:
    return told_of(world, [n])[n, flow]


def test_an_address_that_the_shop_took_back_does_not_live_on_in_what_the_erp_repeats(world: World) -> None:
    n = world.number()
    billing = {**PARIS, "address1": "2 Rue de Lyon", "address2": None}
    kept = {
        "kind": "billing",
        "name": "Ada Moreau",
        "street": "2 rue de lyon",
        "city": "Paris",
        "postcode": "75012",
        "country": "FR",
    }
    buys(world, n, 0, billing_address=billing)
    enters(world, n, 2, {**kept, "is_ours": True})
    settle(world)
    assert told_to(world, "numbers_to_erp", n) == {"shipping": "1 Rue de Lyon, Bât. C", "billing": "2 Rue de Lyon"}
    assert told_to(world, "numbers_to_storefront", n) == {}
    buys(world, n, 5, billing_address=None)
    settle(world)
    assert addresses(world, n)["billing"][2]
    enters(world, n, 7, {**kept, "street": "3 Rue de Lyon", "is_ours": False})
    settle(world)
    assert told_to(world, "numbers_to_storefront", n) == {"billing": "3 Rue de Lyon"}
    buys(world, n, 9, default_address={**billing, "address1": "3 Rue de Lyon"}, billing_address=None)
    settle(world)
    assert told_to(world, "numbers_to_erp", n) == {}, "what the shop says of it now, it has of the ERP"


def test_words_that_come_back_settle_down(world: World) -> None:
    dice, people = random.Random(7), [world.number() for _ in range(16)]
    erp: dict[int, dict[str, dict[str, Any]]] = {n: {} for n in people}
    shop: dict[int, dict[str, Any]] = {n: {"shipping": PARIS, "billing": None} for n in people}

    def tell(n: int, minutes: float, who: str) -> None:
        if who == "erp":
            enters(world, n, minutes, *erp[n].values(), tax_number="FR1" if n % 2 else None)
        else:
            buys(world, n, minutes, default_address=shop[n]["shipping"], billing_address=shop[n]["billing"])

    for n in people:
        tell(n, 0, "shop")
        tell(n, 1, "erp")
    for turn in range(1, 4):
        for n in people:
            place, kind = f"{dice.randrange(3)} Quai Sud", dice.choice(["shipping", "billing"])
            if dice.random() < 0.5:
                shop[n][kind] = dice.choice([{**PARIS, "address1": place, "address2": None}, None])
                tell(n, turn * 10, "shop")
            else:
                erp[n][kind] = {"kind": kind, **BERLIN, "street": place, "is_ours": False}
                tell(n, turn * 10, "erp")
        settle(world)
        before = told_of(world, people)
        for (n, flow), lines in before.items():  # each system takes what it is told, and tells it again
            if flow == "numbers_to_erp" and lines:
                erp[n] |= {
                    kind: {"kind": kind, **BERLIN, "street": street, "is_ours": True} for kind, street in lines.items()
                }
                tell(n, turn * 10 + 2, "erp")
            if flow == "numbers_to_storefront" and "shipping" in lines:
                shop[n]["shipping"] = {
                    "address1": lines["shipping"],
                    "city": "Berlin",
                    "zip": "10115",
                    "country_code": "DE",
                }
                tell(n, turn * 10 + 3, "shop")
        settle(world)
        assert told_of(world, people) == before, f"turn {turn}"
        for n in people:
            assert not before[n, FLOWS[0]].keys() & before[n, FLOWS[1]].keys()


def test_no_row_is_sent_to_who_tells_it(world: World, the_map: IntegrationMap) -> None:
    n = world.number()
    buys(world, n, 0)
    settle(world)
    rows = [("shopify", "shipping"), ("tryton", "shipping"), ("shopify", "billing")]
    refused = []
    for system, kind in rows:
        payload = {"lines": [{"kind": kind, "street": "9 Quai"}]}
        one = Delivery(1, "numbers_to_erp", "customers", f"SHOP-C{n}", 1, "upsert", payload, None, "by hand")
        refused += [*WriteGuard(the_map, the_map.systems[system], world.store).refused([one]).values()]
    assert refused == ["it carries addresses.street, which shopify itself owns"] * 2, "and of an unknown row it may be"


def test_where_systems_disagree_about_an_address_the_repair_is_told(world: World) -> None:
    n = world.number()
    buys(world, n, 0, billing_address=PARIS)
    paris = {
        "name": "Ada Moreau",
        "street": "1 Rue de Lyon\nBât. C",
        "city": "Paris",
        "postcode": "75012",
        "country": "FR",
    }
    enters(world, n, 1, {"kind": "shipping", **paris}, {"kind": "billing", **paris, "postcode": "75013"})
    settle(world)
    [party] = world.rows(f"select payload from landing_customers where system = 'tryton' and remote_id = '{n}'")
    take_snapshot(world.store, "tryton", "parties", holding("parties", [json.loads(party["payload"])]))
    world.compare("customers")
    found = world.rows(f"select * from reconcile_customers where customer_number = 'SHOP-C{n}' and field is not null")
    assert [(row["field"], row["one_value"], row["other_value"], row["steward"], row["repair"]) for row in found] == [
        ("billing postcode", "75012", "75013", "team:finance", f"concord repair numbers_to_erp SHOP-C{n}")
    ]


def test_a_rebuild_settles_the_same_addresses(world: World) -> None:
    buys(world, world.number(), 0)
    settle(world)
    question = "select * from addresses order by all"
    before = world.rows(question)
    assert before
    world.sync("customers", full=True)
    assert world.rows(question) == before
