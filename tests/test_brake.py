"""The flood brake and going live, from the message to the destination: nobody's history is sent twice, or all at once."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from click.testing import CliRunner

from pipelines.commands import main
from pipelines.stages.deliver import DeliveryReport, deliver
from tests.destination import Destination, HttpDestination, running_destination
from tests.fixtures_world import World, at, order
from tests.wanting import select

FLOW = "orders_to_erp"
MANY = 150  # more than the brake allows in one build
HELD = 3  # orders that the ERP had before the flow went live


@dataclass
class Merchant:
    """A world whose ERP is a real server."""

    world: World
    erp: Destination

    def carry(self) -> DeliveryReport:
        connector = HttpDestination(base_url=self.erp.url)
        return deliver(self.world.store, self.world.the_map, "tryton", connector, run_id="carry")

    def states(self) -> dict[str, int]:
        """How many newest versions of each status and reason."""
        rows = select(
            self.world.store,
            "select status || ', ' || reason, count(*) from ("
            "select distinct on (key) cast(status as text), reason from outbox where flow = :flow order by key, version desc"
            ") as newest group by 1",
            flow=FLOW,
        )
        return dict(rows)


@pytest.fixture(scope="module")
def merchant(world: World) -> Iterator[Merchant]:
    with running_destination() as erp:
        yield Merchant(world, erp)


def test_going_live_sends_nothing_that_is_there_and_a_flood_waits_for_a_person(merchant: Merchant) -> None:
    world, erp = merchant.world, merchant.erp
    numbers = range(1, MANY + HELD + 1)
    there = [f"SHOP-{number}" for number in list(numbers)[:HELD]]
    world.products("TEE")
    world.say("shopify", "orders", *(order(number) for number in numbers))
    for place, key in enumerate(there, start=1):
        sale = {"id": place, "number": f"S{place}", "reference": key, "state": "confirmed", "currency": "EUR",
                "total_amount": "20.00", "write_date": at(-30)}  # fmt: skip
        world.say("tryton", "sales", sale, by="snapshot", remote_id=str(place))
    world.sync("orders")
    assert merchant.states() == {"applied, already held": HELD, "due, new": MANY}
    held = select(world.store, "select key from ledger where kind = 'held' order by key")
    assert held == there
    assert merchant.carry().applied == MANY
    assert [key for key in there if key in erp.records] == []

    world.say("shopify", "orders", *(order(number, 10, current_total_price="21.00") for number in numbers))
    [settled] = world.sync("orders")
    assert settled.enqueued
    [flood] = settled.enqueued.floods
    assert (flood.flow, flood.changes, flood.allowed) == (FLOW, MANY + HELD, 100)
    assert merchant.states() == {"parked, changed": MANY + HELD}
    [(steward, sentence)] = select(
        world.store, "select steward, sentence from alerts where kind = 'flood' and over_at is null"
    )
    assert steward == world.the_map.flows[FLOW][1].steward
    assert sentence.endswith(f"let it go with `concord release {FLOW}`")
    assert merchant.carry().applied == 0
    world.say("shopify", "orders", order(5, 20, current_total_price="22.00"))
    world.sync("orders")
    assert merchant.states() == {"parked, changed": MANY + HELD}, "one more change does not slip past what waits"
    assert merchant.carry().applied == 0

    said = CliRunner().invoke(main, ["release", FLOW], catch_exceptions=False)
    assert said.exit_code == 0, said.output
    assert str(MANY + HELD) in said.output
    assert merchant.carry().applied == MANY + HELD
    assert {record["total"] for record in erp.records.values()} == {"21.00", "22.00"}
    assert erp.records["SHOP-5"]["total"] == "22.00"
    assert select(world.store, "select 1 from alerts where kind = 'flood' and over_at is null") == []
    world.sync("orders")
    assert merchant.states() == {"applied, changed": MANY + HELD}
