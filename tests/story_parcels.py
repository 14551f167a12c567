"""The words of stories about parcels on their way: what carriers scan, what the warehouse labels, and what we then hold."""

from typing import Literal

from pydantic import Field

from tests.fixtures_world import at
from tests.story import Expectation, Lines, Step, Story


class CarrierScans(Step):
    """The carriers' hub tells of a scan of a parcel, by the number on its label."""

    words = "carrier scans"
    parcel: int
    at: float
    is_: str = Field(alias="is")

    def play(self, story: Story) -> None:
        tracking = f"T-P{story.id_of(self.parcel)}"
        scan = {"tracking_number": tracking, "status": self.is_, "occurred_at": at(self.at)}
        story.world.say("parcelhub", "tracking", scan, by="file", remote_id=tracking, row_number=1,
                        file_name="tracking/scans.jsonl", file_occurrence=f"{tracking} {self.is_} {self.at}")  # fmt: skip


class WarehouseLabels(Step):
    """The warehouse has put a label on a parcel that still stands there."""

    words = "warehouse labels"
    parcel: int
    order: int
    lines: Lines
    at: float

    def play(self, story: Story) -> None:
        number = f"P{story.id_of(self.parcel)}"
        lines = [{"sku": story.sku(sku), "quantity": quantity} for sku, quantity in self.lines.items()]
        told = {"parcel": number, "order": story.order_key(self.order), "carrier": "DHL", "tracking": f"T-{number}"}
        story.world.say("warehouse", "despatches", {**told, "status": "labelled", "noted": at(self.at), "lines": lines},
                        by="file", row_number=1, file_name=f"despatch/{number}-label.xml",
                        file_occurrence=f"label of {number}")  # fmt: skip


class ExpectParcel(Expectation):
    """What we hold of a parcel, and whether its owner's newest word is a step back that a person has to look at."""

    words = "expect parcel"
    parcel: int
    is_: Literal[
        "labelled", "dispatched", "in_transit", "out_for_delivery", "exception", "delivered", "returned", "unheard of"
    ] = Field(alias="is")
    of_order: int | None = None
    has_left: bool | None = None
    is_delivered_at: float | None = None  # minutes after noon
    steps_back: list[str] | None = None

    def play(self, story: Story) -> None:
        key = story.parcel_key(self.parcel)
        rows = story.world.rows(
            "select status, order_number, shipped_at is not null as has_left,"
            " cast(epoch(delivered_at) - epoch(timestamptz '2026-11-20 12:00:00+00') as double) / 60 as minutes"
            f" from fulfilments where fulfilment_number = '{key}'"
        )
        if not rows:
            assert self.is_ == "unheard of", f"nothing is known of {key}"
            return
        back = story.world.rows(f"select value_now from fulfilments_conflicts where fulfilment_number = '{key}'")
        found = {
            "is": rows[0]["status"],
            "of_order": int(rows[0]["order_number"].split("-")[1]) - story.number,
            "has_left": rows[0]["has_left"],
            "is_delivered_at": rows[0]["minutes"],
            "steps_back": [row["value_now"] for row in back],
        }
        self.compare(found, without=("parcel",))


KINDS = {kind.words: kind for kind in (CarrierScans, WarehouseLabels, ExpectParcel)}
