"""The words of stories about stock: what the storefront shows, what may be sold, where, and how far it was oversold."""

from typing import Literal

from tests.fixtures_world import at
from tests.story import AsText, Expectation, Step, Story


class StorefrontShows(Step):
    """The storefront tells how many of a SKU it offers, and how many its orders and baskets hold."""

    words = "storefront shows"
    sku: str
    available: AsText
    committed: AsText = "0"
    reserved: AsText = "0"
    at: float

    def play(self, story: Story) -> None:
        sku = story.sku(self.sku)
        told = {"sku": sku, "available": self.available, "committed": self.committed, "reserved": self.reserved}
        story.world.say("shopify", "inventory", {**told, "updatedAt": at(self.at)}, by="poll", remote_id=f"{sku}@1")


class ExpectStock(Expectation):
    """What we know of a SKU's stock, and whether the storefront shows more of it than may be sold."""

    words = "expect stock"
    sku: str
    sellable: int | None = None
    committed: int | None = None
    reserved: int | None = None
    shown: int | None = None
    in_stores: dict[str, int] | None = None
    risk: Literal["none", "some"] | None = None

    def play(self, story: Story) -> None:
        figure = story.world.the_map.entities["sellable"].figures["overselling_risk"]
        of_sku = f"from sellable where sku = '{story.sku(self.sku)}'"
        risk = story.world.row(f"select {figure.is_} as units {of_sku}")["units"]
        self.compare({**story.world.row(f"select * {of_sku}"), "risk": "some" if risk else "none"}, without=("sku",))


class ExpectSetAside(Expectation):
    """Why a count of a SKU was not taken, with who answers for it."""

    words = "expect count set aside"
    sku: str
    because: str

    def play(self, story: Story) -> None:
        sku = story.sku(self.sku)
        found = story.world.rows(f"select reason, steward from stock_quarantine where key like '{sku}|%'")
        assert [row["reason"] for row in found] == [self.because]
        assert all(row["steward"] for row in found)


KINDS = {kind.words: kind for kind in (StorefrontShows, ExpectStock, ExpectSetAside)}
