"""The laws of stock, parcels and what may still be sold."""

from collections.abc import Generator

import pytest

from pipelines.orchestration.checks import metrics
from resources.lake import lake
from tests.fixtures_world import World, at, line, order
from tests.lockstep import laws_of, play

Steps = Generator[None]


def count(world: World, name: str, *rows: tuple[str, str]) -> None:
    """A stock count file of the warehouse, named by its as-of time."""
    for number, (sku, quantity) in enumerate(rows, start=1):
        world.say("warehouse", "stock_counts", {"Artikel": sku, "Lager": "HH", "Bestand": quantity}, by="file",
                  file_name=f"counts/stock_{name}.csv", file_occurrence=f"{name}-{sku}", row_number=number)  # fmt: skip


def erp_stock(world: World, sku: str, quantity: str, minutes: float = 0) -> None:
    told = {"sku": sku, "location": "MAIN", "quantity": quantity, "as_of": at(minutes)}
    world.say("tryton", "stock", told, by="poll", remote_id=f"{sku}@MAIN")


def parcel(world: World, number: str, order_number: str, minutes: float, *lines: tuple[str, str]) -> None:
    """A despatch note's parcel."""
    told = {"parcel": number, "order": order_number, "carrier": "DHL", "tracking": f"T-{number}", "at": at(minutes),
            "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines]}  # fmt: skip
    world.say("warehouse", "despatches", told, by="file", file_name=f"despatch/{number}.xml",
              file_occurrence=number, row_number=1)  # fmt: skip


def sellable(world: World, sku: str) -> int | None:
    rows = world.rows(f"select sellable from sellable where sku = '{sku}'")
    return rows[0]["sellable"] if rows else None


def law_sellable_is_what_was_counted_at_every_location(world: World, n: int) -> Steps:
    sku = f"S{n}"
    world.products(sku)
    count(world, "20261120T1200", (sku, "7"))
    erp_stock(world, sku, "5")
    yield
    assert sellable(world, sku) == 12
    payloads = [row["payload"] for row in world.outbox("sellable_to_storefront") if row["key"] == sku]
    assert '"sellable":"11"' in payloads[-1], "the channel is shown less its buffer"


def law_what_the_storefront_shows_above_what_may_be_sold_is_a_figure_that_alarms(world: World, n: int) -> Steps:
    def judged() -> tuple[bool, str]:
        with lake.reading(world.store.url, str(world.folder)) as db:
            (found,) = metrics.judged(world.the_map.entities["sellable"], db)
            (plotted,) = metrics.plotted(world.the_map.entities["sellable"], db).items()
        assert plotted[0] == "overselling_risk (unit minutes)"
        return found.passed, found.description or ""

    sku = f"S{n}"
    world.products(sku)
    erp_stock(world, sku, "5")
    told = {"sku": sku, "available": "900000000", "updatedAt": at(1)}
    world.say("shopify", "inventory", told, by="poll", remote_id=f"{sku}@1")
    yield
    is_well, sentence = judged()
    assert not is_well
    assert "of 60 that are borne" in sentence
    assert sentence.endswith("team:ecommerce answers.")
    world.say("shopify", "inventory", {**told, "available": "4", "updatedAt": at(2)}, by="poll", remote_id=f"{sku}@1")
    yield
    assert judged() == (True, "overselling risk: 0 unit minutes, of 60 that are borne.")


def law_a_decision_about_a_count_wins_until_it_is_revoked(world: World, n: int) -> Steps:
    sku, other = f"S{n}", f"S{n + 1}"
    world.products(sku, other)
    erp_stock(world, sku, "5")
    erp_stock(world, other, "5")
    yield
    world.note("stock", f"{sku}|MAIN", "decided", field="on_hand", value="3")
    yield
    erp_stock(world, sku, "9", 5)
    yield
    assert (sellable(world, sku), sellable(world, other)) == (3, 5)
    world.note("stock", f"{sku}|MAIN", "revoked", field="on_hand")
    yield
    assert (sellable(world, sku), sellable(world, other)) == (9, 5)


def law_what_customers_ordered_may_not_be_sold_again_symptom_18(world: World, n: int) -> Steps:
    sku = f"S{n}"
    world.products(sku)
    erp_stock(world, sku, "10")
    world.say("shopify", "orders", order(n, lines=[line(n, sku, 3)]))
    yield
    assert sellable(world, sku) == 7
    world.say("shopify", "orders", order(n, 5, lines=[line(n, sku, 3)], cancelled_at=at(5)))
    yield
    assert sellable(world, sku) == 10


def law_a_parcel_moves_stock_from_promised_to_gone(world: World, n: int) -> Steps:
    sku = f"S{n}"
    world.products(sku)
    count(world, "20261120T1200", (sku, "10"))
    world.say("shopify", "orders", order(n, lines=[line(n, sku, 3)]))
    yield
    assert sellable(world, sku) == 7
    parcel(world, f"P{n}", f"SHOP-{n}", 60, (sku, "2"))
    yield
    assert sellable(world, sku) == 7, "two left the shelf, one is still promised"
    count(world, "20261120T1500", (sku, "8"))
    yield
    assert sellable(world, sku) == 7, "the new count knows that the two are gone"


def law_a_later_count_replaces_an_earlier_one_however_they_arrive(world: World, n: int) -> Steps:
    sku = f"S{n}"
    world.products(sku)
    count(world, "20261120T1800", (sku, "4"))
    yield
    count(world, "20261120T0600", (sku, "9"))
    yield
    assert world.row(f"select on_hand from stock where sku = '{sku}'")["on_hand"] == 4


def law_a_corrected_file_for_the_same_time_wins(world: World, n: int) -> Steps:
    for attempt, quantity in enumerate(("9", "6", "8")):
        told = {"Artikel": f"C{n}", "Lager": "HH", "Bestand": quantity}
        world.say("warehouse", "stock_counts", told, by="file", file_name="counts/stock_20261120T0900.csv",
                  file_occurrence=f"corrected-{attempt}", row_number=1)  # fmt: skip
        yield
    assert world.row(f"select on_hand from stock where sku = 'C{n}'")["on_hand"] == 8


def law_a_quantity_that_is_not_whole_keeps_the_last_count(world: World, n: int) -> Steps:
    sku = f"S{n}"
    world.products(sku)
    count(world, "20261120T1200", (sku, "4"))
    yield
    count(world, "20261120T1300", (sku, "3.5"))
    yield
    assert world.row(f"select on_hand from stock where sku = '{sku}'")["on_hand"] == 4
    reason = world.row(f"select reason from stock_quarantine where key like '{sku}|%'")["reason"]
    assert reason == "on_hand «3.5» is not a whole quantity"


def law_a_location_is_told_by_its_own_system_alone(world: World, n: int) -> Steps:
    sku = f"S{n}"
    world.products(sku)
    erp_stock(world, sku, "5")
    mirror = {"sku": sku, "location": "3PL", "quantity": "100", "as_of": at(0)}
    world.say("tryton", "stock", mirror, by="poll", remote_id=f"{sku}@3PL")
    yield
    assert sellable(world, sku) == 5


def law_a_parcel_goes_back_to_the_storefront_of_its_order(world: World, n: int) -> Steps:
    world.products("TEE")
    world.say("shopify", "orders", order(n))
    parcel(world, f"P{n}", f"SHOP-{n}", 5, ("TEE", "1"))
    yield
    (birth,) = [row for row in world.outbox("despatch_to_storefront") if row["key"] == f"3PL-P{n}"]
    assert f'"order_remote_id":"{n}"' in birth["payload"]
    assert '"tracking_number":"T-' in birth["payload"]
    assert '"quantity":"1"' in birth["payload"]


def law_a_parcel_before_its_order_waits_for_it(world: World, n: int) -> Steps:
    world.products("TEE")
    parcel(world, f"P{n}", f"SHOP-{n}", 5, ("TEE", "1"))
    yield
    assert [row for row in world.outbox("despatch_to_storefront") if row["key"] == f"3PL-P{n}"] == []
    assert world.row(f"select verdict from fulfilments_verdicts where key = '3PL-P{n}'")["verdict"] == "pending"
    world.say("shopify", "orders", order(n))
    yield
    assert len([row for row in world.outbox("despatch_to_storefront") if row["key"] == f"3PL-P{n}"]) == 1


LAWS = laws_of(globals())


@pytest.fixture(scope="module")
def died(world: World) -> dict[str, BaseException]:
    return play(world, LAWS)


@pytest.mark.parametrize("law", LAWS)
def test_law(law: str, died: dict[str, BaseException]) -> None:
    if law in died:
        raise died[law]


def test_a_sku_that_two_counts_running_do_not_mention_is_gone_symptom_39(fresh_world: World) -> None:
    everything = [(f"K{number}", "5") for number in range(40)]
    count(fresh_world, "20261120T0600", *everything)
    fresh_world.sync("stock")
    count(fresh_world, "20261120T0700", *everything[1:])
    fresh_world.sync("stock")
    assert fresh_world.rows("select sku from stock where deleted_at is not null") == []
    count(fresh_world, "20261120T0800", *everything[1:])
    fresh_world.sync("stock")
    assert fresh_world.row("select sku from stock where deleted_at is not null")["sku"] == "K0"


def test_a_truncated_file_is_no_mass_deletion(fresh_world: World) -> None:
    everything = [(f"K{number}", "5") for number in range(40)]
    count(fresh_world, "20261120T0600", *everything)
    for hour in ("07", "08"):
        count(fresh_world, f"20261120T{hour}00", *everything[:20])
        fresh_world.sync("stock")
    assert fresh_world.rows("select sku from stock where deleted_at is not null") == []


def gone(world: World) -> dict[str, str]:
    """Which SKUs are gone, each since which hour."""
    rows = world.rows("select sku, deleted_at from stock where deleted_at is not null")
    return {row["sku"]: f"{row['deleted_at']:%H}" for row in rows}


def test_a_sku_is_gone_since_the_first_file_that_did_not_name_it_and_alive_again_when_one_does(
    fresh_world: World,
) -> None:
    everything = [(f"K{number}", "5") for number in range(40)]
    for hour, told in (("06", everything), ("07", everything[1:]), ("08", everything[1:])):
        count(fresh_world, f"20261120T{hour}00", *told)
    fresh_world.sync("stock")
    assert gone(fresh_world) == {"K0": "06"}, "in Berlin it was seven"
    count(fresh_world, "20261120T0900", *everything[1:])
    fresh_world.sync("stock")
    assert gone(fresh_world) == {"K0": "06"}
    count(fresh_world, "20261120T1000", *everything)
    fresh_world.sync("stock")
    assert gone(fresh_world) == {}


def test_those_that_ended_long_ago_do_not_count_as_vanishing_now(fresh_world: World) -> None:
    everything = [(f"K{number}", "5") for number in range(40)]
    count(fresh_world, "20261120T0600", *everything)
    for ended in range(1, 5):
        for half in ("00", "30"):
            count(fresh_world, f"20261120T{6 + ended:02}{half}", *everything[ended:])
        fresh_world.sync("stock")
    assert gone(fresh_world) == {"K0": "06", "K1": "07", "K2": "08", "K3": "09"}
