"""One person in several systems: matched, put before a person, set apart, and never twice."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipelines.commands import main
from pipelines.compiler.generate import write
from pipelines.language.schema import IntegrationMap, load_map
from pipelines.operations import actions
from pipelines.operations.actions import Unacceptable
from pipelines.stages.batch import PROJECT
from pipelines.stages.sync import sync
from resources.host.embedded_postgres import Server
from tests.fixtures_world import World, at, new_world, order
from tests.map_draft import Draft


@pytest.fixture(scope="module")
def world(
    database_server: Server, tmp_path_factory: pytest.TempPathFactory, the_map: IntegrationMap
) -> Iterator[World]:
    with new_world(database_server, tmp_path_factory.mktemp("lake"), the_map) as world:
        world.sync()
        yield world


def buys(world: World, n: int, *, email: str | None = None, phone: str | None = None, minutes: float = 0) -> None:
    """A customer of the shop places an order."""
    customer = {"id": n, "first_name": "Ada", "last_name": f"Moreau {n}", "email": email, "phone": phone}
    world.say("shopify", "orders", order(world.number(), minutes, customer=customer))


def enters(
    world: World,
    n: int,
    *,
    email: str | None = None,
    phone: str | None = None,
    shop_number: str | None = None,
    minutes: float = 0,
) -> None:
    """Somebody enters a customer in the ERP."""
    told = {
        "id": str(n),
        "code": f"P{n}",
        "name": f"Moreau, Ada {n}",
        "email": email,
        "phone": phone,
        "shop_number": shop_number,
    }
    world.say("tryton", "parties", {**told, "active": True, "write_date": at(minutes)}, by="poll", remote_id=str(n))


def settle(world: World) -> None:
    """Until nothing is new: what was matched is linked after one build and settled by the next."""
    while world.sync("customers")[0].batch:
        pass


def customers(world: World, *numbers: int) -> dict[str, dict[str, Any]]:
    """The customers with these numbers in any system, by key."""
    names = ", ".join(f"'{name}{n}'" for n in numbers for name in ("SHOP-C", "ERP-P"))
    rows = world.rows(f"select * from customers where customer_number in ({names})")
    return {row["customer_number"]: row for row in rows}


def doubts(world: World, *numbers: int) -> dict[str, tuple[str, str, str | None]]:
    """Which of them may be whom: the key of the elder, what they agree on, and why a person is asked."""
    names = ", ".join(f"'{name}{n}'" for n in numbers for name in ("SHOP-C", "ERP-P"))
    rows = world.rows(
        f"select customer_number, other, agree_on, doubt from customers_matches where customer_number in ({names})"
    )
    return {row["customer_number"]: (row["other"], row["agree_on"], row["doubt"]) for row in rows}


@pytest.mark.parametrize("is_known_first_in", ["shop", "erp"])
def test_who_is_known_by_the_same_email_is_one_and_keeps_the_first_key(world: World, is_known_first_in: str):
    n = world.number()
    email = f"ada{n}@example.com"
    steps = [
        lambda: buys(world, n, email=email, phone=f"+33 1 00 00 {n}"),
        lambda: enters(world, n, email=email.title()),
    ]
    for step in steps if is_known_first_in == "shop" else reversed(steps):
        step()
        settle(world)
    key = f"SHOP-C{n}" if is_known_first_in == "shop" else f"ERP-P{n}"
    found = customers(world, n)
    assert list(found) == [key]
    assert found[key]["email"] == email
    assert found[key]["name"] == f"Ada Moreau {n}"  # the storefront is asked first
    assert found[key]["erp_number"] == f"P{n}"
    assert {(one["system"], one["remote_id"]) for one in found[key]["known_as"]} == {
        ("shopify", str(n)),
        ("tryton", str(n)),
    }
    assert doubts(world, n) == {}


def test_two_systems_that_create_the_same_person_at_once_end_as_one(world: World):
    n = world.number()
    buys(world, n, email=f"ada{n}@example.com")
    enters(world, n, email=f"ada{n}@example.com")
    settle(world)
    assert list(customers(world, n)) == [f"SHOP-C{n}"]


def test_a_match_that_is_not_sure_is_put_before_a_person_who_links(world: World):
    n = world.number()
    buys(world, n, phone=f"+33 1 44 55 {n:04}")
    enters(world, n, phone=f"0033 1 44 55 {n:04}".replace("0033", "+33"), email=f"other{n}@example.com")
    settle(world)
    assert sorted(customers(world, n)) == [f"ERP-P{n}", f"SHOP-C{n}"]
    assert doubts(world, n) == {f"ERP-P{n}": (f"SHOP-C{n}", "phone", "that alone is not sure")}
    told = CliRunner().invoke(main, ["matches"]).output
    assert f"ERP-P{n} may be SHOP-C{n}: their phone is the same, but that alone is not sure" in told
    assert (
        f"if they are one, `concord link customers tryton {n} SHOP-C{n}`; if not, `concord unlink customers tryton {n}`"
        in told
    )
    [alert] = [row for row in world.store.rows("open_alerts") if row["kind"] == "match"]
    assert "may be SHOP-C" in alert["sentence"]
    actions.link(
        world.store,
        world.the_map,
        entity="customers",
        system="tryton",
        remote_id=str(n),
        key=f"SHOP-C{n}",
        by_whom="ada",
    )
    settle(world)
    assert list(customers(world, n)) == [f"SHOP-C{n}"]
    assert doubts(world, n) == {}


def test_who_may_be_another_goes_nowhere_until_a_person_says_who_they_are(fresh_world: World, tmp_path: Path):
    draft = Draft(tmp_path)
    draft.systems["crm"] = {
        "system": "crm", "role": "crm", "steward": "team:service", "connector": "tests.destination.HttpDestination",
        "takes": {"customers": ["name", "email"]}, "stores": {"customers": {"name": "value", "email": "value"}},
    }  # fmt: skip
    draft.entities["customers"]["flows"]["customers_to_crm"] = {
        "to": "crm", "fields": ["name", "email"], "timing": "batch", "max_lag": "1h", "tier": 3, "steward": "team:service",
    }  # fmt: skip
    told, project = load_map(draft.write()), tmp_path / "dbt"
    shutil.copytree(PROJECT, project)
    write(told, project)

    def settle() -> None:
        fresh_world.enter()
        while sync(
            "customers", store=fresh_world.store, the_map=told, run_id="test", project=project, log=lambda _: None
        ).batch:
            pass

    def sent() -> list[tuple[str, str]]:
        return sorted((row["key"], row["status"]) for row in fresh_world.outbox("customers_to_crm"))

    buys(fresh_world, 1, phone="+33 1 44 55 66 77")
    buys(fresh_world, 2, email="eve@example.com")
    settle()
    enters(fresh_world, 1, phone="+33 1 44 55 66 77")
    enters(fresh_world, 2, email="eve@example.com")
    settle()
    held = fresh_world.row("select distinct held_because from wanted_customers where held_because is not null")[
        "held_because"
    ]
    assert (
        held
        == "may be SHOP-C1, whose phone is the same, but that alone is not sure; a person links it or sets it apart"
    )
    assert sent() == [("SHOP-C1", "due"), ("SHOP-C2", "due")]
    actions.unlink(fresh_world.store, told, entity="customers", system="tryton", remote_id="1", by_whom="ada")
    settle()
    assert sent() == [("ERP-P1", "due"), ("SHOP-C1", "due"), ("SHOP-C2", "due")]


def test_who_is_set_apart_stays_apart(world: World):
    n = world.number()
    buys(world, n, phone=f"+33 2 44 55 {n:04}")
    enters(world, n, phone=f"+33 2 44 55 {n:04}")
    settle(world)
    actions.unlink(world.store, world.the_map, entity="customers", system="tryton", remote_id=str(n), by_whom="ada")
    settle(world)
    assert doubts(world, n) == {}
    enters(world, n, phone=f"+33 2 44 55 {n:04}", minutes=9)
    settle(world)
    assert doubts(world, n) == {}
    assert len(customers(world, n)) == 2
    with pytest.raises(Unacceptable, match="like none of them"):
        actions.unlink(world.store, world.the_map, entity="customers", system="tryton", remote_id=str(n), by_whom="ada")


def test_a_merge_can_be_undone(world: World):
    n = world.number()
    buys(world, n, email=f"ada{n}@example.com")
    enters(world, n, email=f"ada{n}@example.com")
    settle(world)
    actions.unlink(world.store, world.the_map, entity="customers", system="tryton", remote_id=str(n), by_whom="ada")
    settle(world)
    found = customers(world, n)
    assert sorted(found) == [f"ERP-P{n}", f"SHOP-C{n}"]
    assert found[f"SHOP-C{n}"]["erp_number"] is None
    assert found[f"ERP-P{n}"]["name"] == f"Moreau, Ada {n}"
    assert doubts(world, n) == {}


def test_several_who_may_be_the_same_are_put_before_a_person(world: World):
    n, m = world.number(), world.number()
    for number in (n, m):
        enters(world, number, email=f"ada{n}@example.com")
    settle(world)
    assert doubts(world, n, m) == {}  # two parties of one ERP are two: it says so itself
    buys(world, n, email=f"ada{n}@example.com")
    settle(world)
    told = world.rows(f"select other, doubt from customers_matches where customer_number = 'SHOP-C{n}' order by other")
    assert [(row["other"], row["doubt"]) for row in told] == [
        (f"ERP-P{number}", "there are others like them") for number in sorted((n, m), key=str)
    ]
    actions.link(
        world.store,
        world.the_map,
        entity="customers",
        system="shopify",
        remote_id=str(n),
        key=f"ERP-P{m}",
        by_whom="ada",
    )
    settle(world)
    assert sorted(customers(world, n, m)) == sorted([f"ERP-P{n}", f"ERP-P{m}"])
    assert doubts(world, n, m) == {}


def test_a_weaker_likeness_does_not_outweigh_a_stronger_difference(world: World):
    n = world.number()
    buys(world, n, email=f"ada{n}@example.com", phone=f"+33 3 44 55 {n:04}")
    enters(world, n, email=f"eve{n}@example.com", phone=f"+33 3 44 55 {n:04}")
    settle(world)
    assert doubts(world, n) == {f"ERP-P{n}": (f"SHOP-C{n}", "phone", "their email differs")}


def test_who_carries_another_number_of_the_shop_is_not_one_by_email(world: World):
    n = world.number()
    buys(world, n, email=f"ada{n}@example.com")
    enters(world, n, email=f"ada{n}@example.com", shop_number=f"9{n}")
    settle(world)
    assert doubts(world, n) == {f"ERP-P{n}": (f"SHOP-C{n}", "email", "their number differs")}


def test_a_likeness_that_ends_is_no_longer_asked_about(world: World):
    n = world.number()
    buys(world, n, phone=f"+33 4 44 55 {n:04}")
    enters(world, n, phone=f"+33 4 44 55 {n:04}")
    settle(world)
    assert len(doubts(world, n)) == 1
    buys(world, n, phone=f"+33 4 00 00 {n:04}", minutes=5)
    settle(world)
    assert doubts(world, n) == {}


def test_what_very_many_share_is_nobodys_own(world: World):
    numbers = [world.number() for _ in range(25)]
    for n in numbers[:-1]:
        buys(world, n, email="none@example.com")
    enters(world, numbers[-1], email="none@example.com")
    settle(world)
    assert doubts(world, *numbers) == {}


def test_an_order_without_a_customer_says_nothing_of_customers_symptom_45(world: World):
    settle(world)
    before = world.verdicts("customers").get("ignored", 0)
    world.say("shopify", "orders", order(world.number(), customer=None))
    settle(world)
    assert world.verdicts("customers")["ignored"] == before + 1
    assert world.rows("select * from customers_quarantine") == []
    assert world.rows("select inbox_id from landing_customers anti join customers_verdicts using (inbox_id)") == []


def test_a_full_rebuild_finds_the_same_people(world: World):
    n = world.number()
    buys(world, n, phone=f"+33 5 44 55 {n:04}")
    enters(world, n, phone=f"+33 5 44 55 {n:04}")
    settle(world)
    question = "select customer_number, name, email, phone, erp_number, known_as from customers order by 1"
    doubtful = "select customer_number, other, agree_on, doubt from customers_matches order by all"
    before = world.rows(question), world.rows(doubtful)
    assert before[0]
    assert before[1]
    world.sync("customers", full=True)
    assert (world.rows(question), world.rows(doubtful)) == before
