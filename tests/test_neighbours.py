"""Rules between entities: judged on what is settled, held or warned of with a reason, and healed from either side."""

from typing import Any

from tests.fixtures_contract import ContractWorld
from tests.fixtures_world import at, line, order


def place(world: ContractWorld, n: int, minutes: float = 0, **more: Any) -> None:
    world.say("shopify", "orders", order(n, minutes, [line(n)], **more), remote_id=str(n), is_versioned=True)


def despatch(world: ContractWorld, n: int, minutes: float) -> None:
    told = {"parcel": f"P{n}", "order": f"SHOP-{n}", "carrier": "DHL", "tracking": f"T{n}", "at": at(minutes)}
    world.say("warehouse", "despatches", {**told, "lines": [{"sku": "TEE", "quantity": 2}]}, by="file", row_number=1,
              file_name=f"despatch/P{n}.xml", file_occurrence=f"{n} at {minutes}")  # fmt: skip


def flags_of(world: ContractWorld, n: int) -> list[tuple[str, str, str]]:
    """(severity, rule, steward) of everything that the parcel breaks as it stands."""
    rows = world.rows(f"select * from fulfilments_flags where key = '3PL-P{n}' order by severity")
    assert all(row["next_step"] for row in rows)
    return [(row["severity"], row["reason"].split(" ")[0], row["steward"]) for row in rows]


def held_because(world: ContractWorld, n: int) -> str | None:
    row = world.row(f"select held_because from wanted_fulfilments where fulfilment_number = '3PL-P{n}'")
    return row["held_because"]


def delivered(world: ContractWorld) -> set[str]:
    """The parcels that the storefront was to be told of."""
    return {row["key"] for row in world.outbox("despatch_to_storefront")}


def test_a_broken_rule_holds_the_record_and_heals_from_its_own_side(contract: ContractWorld) -> None:
    place(contract, 1)
    despatch(contract, 1, -600)
    contract.sync()
    assert flags_of(contract, 1) == [("reject", "shipped_after_ordered", "team:logistics")]
    assert held_because(contract, 1) == (
        "shipped_after_ordered breaks the rule shipped_at >= orders.placed_at "
        "(shipped_at is 2026-11-20 02:00:00+00, orders.placed_at is 2026-11-20 11:00:00+00)"
    )
    assert "3PL-P1" not in delivered(contract)
    despatch(contract, 1, 60)
    contract.sync("fulfilments")
    assert flags_of(contract, 1) == []
    assert "3PL-P1" in delivered(contract)


def test_a_broken_rule_heals_when_the_other_side_changes(contract: ContractWorld) -> None:
    place(contract, 2)
    despatch(contract, 2, -600)
    contract.sync()
    assert held_because(contract, 2)
    place(contract, 2, 5, created_at=at(-700))
    contract.sync("orders")
    [settled] = contract.sync("fulfilments")
    assert settled.batch
    assert settled.batch.is_woken
    assert flags_of(contract, 2) == []
    assert held_because(contract, 2) is None
    assert contract.sync("fulfilments")[0].batch is None, "nothing is left to be judged again"


def test_a_rule_is_broken_when_the_other_side_changes(contract: ContractWorld) -> None:
    place(contract, 3)
    despatch(contract, 3, 30)
    contract.sync()
    assert flags_of(contract, 3) == []
    place(contract, 3, 5, created_at=at(90))
    contract.sync()
    assert flags_of(contract, 3) == [("reject", "shipped_after_ordered", "team:logistics")]


def test_a_decision_about_the_other_side_counts(contract: ContractWorld) -> None:
    place(contract, 4)
    despatch(contract, 4, -600)
    contract.sync()
    assert flags_of(contract, 4)
    contract.note("orders", "SHOP-4", "decided", field="placed_at", value=at(-700))
    contract.sync()
    assert flags_of(contract, 4) == []


def test_a_warning_is_told_and_holds_nothing(contract: ContractWorld) -> None:
    place(contract, 5, financial_status="pending")
    despatch(contract, 5, 30)
    contract.sync()
    assert flags_of(contract, 5) == [("warn", "goes_out_once_paid", "team:finance")]
    assert held_because(contract, 5) is None
    place(contract, 5, 5)
    contract.sync()
    assert flags_of(contract, 5) == []


def test_what_waits_for_the_other_side_breaks_no_rule(contract: ContractWorld) -> None:
    despatch(contract, 6, -600)
    contract.sync()
    assert flags_of(contract, 6) == []
    place(contract, 6)
    contract.sync()
    assert flags_of(contract, 6) == [("reject", "shipped_after_ordered", "team:logistics")]


def test_a_rebuild_judges_the_same(contract: ContractWorld) -> None:
    place(contract, 7)
    despatch(contract, 7, -600)
    contract.sync()
    before = contract.rows("select * from fulfilments order by all")
    contract.sync("fulfilments", full=True)
    assert contract.rows("select * from fulfilments order by all") == before
