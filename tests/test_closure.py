"""Records that decide about each other: what is settled piece by piece is what everything at once would give."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.language.schema import IntegrationMap
from pipelines.stages.hot_keys import MOST_WORDS
from pipelines.stages.slices import Slice
from resources.host.embedded_postgres import Server
from tests.fixtures_world import World, at, new_world, order

DOUBTS = "select customer_number, other, agree_on, doubt from customers_matches order by all"
HELD = "select flow, customer_number, held_because from wanted_customers order by all"
PEOPLE = "select customer_number, email, phone, erp_number, known_as from customers order by customer_number"


@pytest.fixture(scope="module")
def world(
    database_server: Server, tmp_path_factory: pytest.TempPathFactory, the_map: IntegrationMap
) -> Iterator[World]:
    with new_world(database_server, tmp_path_factory.mktemp("lake"), the_map) as world:
        world.sync("orders", "customers")
        yield world


def buys(world: World, n: int, minutes: float = 0, **told: Any) -> None:
    customer = {"id": n, "first_name": "Ada", "last_name": f"Moreau {n}", "email": None, "phone": None, **told}
    world.say("shopify", "orders", order(world.number(), minutes, customer=customer))


def enters(world: World, n: int, minutes: float = 0, **told: Any) -> None:
    party = {"id": str(n), "code": f"P{n}", "name": f"Moreau, Ada {n}", "email": None, "phone": None, "active": True}
    world.say("tryton", "parties", {**party, **told, "write_date": at(minutes)}, by="poll", remote_id=str(n))


def settle(world: World) -> None:
    while world.sync("customers")[0].batch:
        pass


def test_whoever_is_alike_is_judged_as_if_all_had_been_told_at_once(world: World) -> None:
    dice = random.Random(7)
    people = [world.number() for _ in range(24)]
    for _ in range(8):
        for minutes in range(6):
            told = {"email": f"e{dice.randrange(9)}@example.com", "phone": f"+33 1 44 55 {dice.randrange(9):04}"}
            who, says = dice.choice(people), dice.choice((buys, enters))
            says(
                world,
                who,
                world.number() + minutes,
                **{name: value for name, value in told.items() if dice.random() < 0.7},
            )
        settle(world)
    before = [world.rows(question) for question in (PEOPLE, DOUBTS, HELD)]
    assert before[1]
    world.sync("customers", full=True)
    settle(world)
    assert [world.rows(question) for question in (PEOPLE, DOUBTS, HELD)] == before


def test_a_value_is_nobodys_own_as_soon_as_too_many_have_it_and_somebodys_again_when_they_do_not(world: World) -> None:
    phone = "+33 7 00 00 0001"
    first, *others = [world.number() for _ in range(22)]
    of_them = f"select customer_number from customers_matches where customer_number = 'ERP-P{first}' or other = 'ERP-P{first}'"
    enters(world, first, phone=phone)
    for n in others[:-1]:
        buys(world, n, phone=phone)
    settle(world)
    assert not world.rows(of_them)  # twenty others
    buys(world, others[0], 5, phone="+33 7 00 00 0002")
    settle(world)
    assert len(world.rows(of_them)) == 19
    buys(world, others[-1], 6, phone=phone)
    settle(world)
    assert not world.rows(of_them)


def test_of_a_record_that_hears_thousands_of_words_few_are_loaded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = world.number()
    enters(world, n, phone="+33 8 00 00 0001", email=f"hot{n}@example.com")
    buys(world, n, email=f"hot{n}@example.com")
    settle(world)
    for minutes in range(2 * MOST_WORDS):
        buys(world, n, minutes + 1, email=f"hot{n}@example.com")
    world.sync("customers")
    loaded: list[int] = []
    load = Slice.load

    def counting(part: Slice) -> None:
        load(part)
        loaded.append(part.history)

    monkeypatch.setattr(Slice, "load", counting)
    buys(world, n, 9_000, email=f"hot{n}@example.com", first_name="Eve")
    settle(world)
    monkeypatch.undo()
    assert MOST_WORDS <= loaded[0] <= MOST_WORDS + 10
    found = world.rows(PEOPLE)
    assert [one["erp_number"] for one in found if one["email"] == f"hot{n}@example.com"] == [f"P{n}"]
    world.sync("customers", full=True)
    assert world.rows(PEOPLE) == found
