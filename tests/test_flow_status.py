"""Whoever watches the flows is told of as many messages as there are, whatever their verdicts were before."""

from collections import Counter

from pipelines.operations.flow_status import FlowFigures
from pipelines.orchestration.checks.settling import Batch, SettlingChecks
from resources.lake.records import asking
from tests.fixtures_world import World, line, order


def told(figures: FlowFigures) -> dict[str, int]:
    """What the flow of the shop's orders is said to have done with them."""
    figures.look()
    counted: Counter[str] = Counter()
    for (_, _, verdict), messages in figures.verdicts["orders"].items():
        counted[verdict] += messages
    return {verdict: messages for verdict, messages in counted.items() if messages}


def seen_by_the_check(world: World) -> tuple[int, int]:
    """(messages, quarantined) of the last day, as the check of quarantine counts them."""
    checks = SettlingChecks(world.the_map)
    with asking(world.store) as db:
        results = checks.judged("orders", steward="she", store=world.store, batch=Batch(0, 0), db=db)
        [check] = [one for one in results if one.check_name == "few_are_quarantined"]
    return check.metadata["messages"].value, check.metadata["quarantined"].value  # type: ignore[return-value]


def test_what_a_verdict_was_before_is_not_counted_and_a_rebuild_counts_the_same(fresh_world: World) -> None:
    world, figures = fresh_world, FlowFigures(fresh_world.store, fresh_world.the_map)
    world.products("TEE")
    world.say("shopify", "orders", order(1), order(2, lines=[line(1, "CAP")]), order(3, currency="EURO"))
    world.sync("orders")
    assert told(figures) == {"applied": 1, "pending": 1, "quarantined": 1}
    assert seen_by_the_check(world) == (3, 1)

    world.say("shopify", "orders", order(1, minutes=1, total_price="21.00"), order(3, minutes=1))
    world.products("CAP")
    world.sync("orders")
    after = told(figures)
    assert after == world.verdicts("orders")
    assert "pending" not in after
    assert seen_by_the_check(world) == (5, after["quarantined"])

    world.sync("orders", full=True)
    assert told(figures) == after
    assert seen_by_the_check(world) == (5, after["quarantined"])
