"""The words in which stories tell of looks: what a system answers when it is asked, beside what it tells by itself."""

from typing import Any, Literal

from pydantic import Field

from tests.fixtures_world import at
from tests.story import AsText, Lines, Step, Story


class ShopifyIsAsked(Step):
    """The Admin API answers with an order as it is now."""

    words = "shopify is asked"
    order: int
    at: float = 0
    is_: Literal["PENDING", "PAID", "REFUNDED"] = Field(alias="is")
    lines: Lines
    total: AsText

    def play(self, story: Story) -> None:
        number = story.id_of(self.order)
        lines = [
            {"id": f"gid://shopify/LineItem/{number * 10 + place}", "sku": story.sku(sku), "title": f"Product {sku}",
             "currentQuantity": quantity, "originalUnitPriceSet": _money("10.00"), "discountAllocations": [], "taxLines": []}
            for place, (sku, quantity) in enumerate(self.lines.items())
        ]  # fmt: skip
        told = {
            "id": f"gid://shopify/Order/{number}", "name": f"#{1000 + number}", "createdAt": at(-60), "updatedAt": at(self.at),
            "currencyCode": "EUR", "displayFinancialStatus": self.is_, "cancelledAt": None,
            "currentTotalPriceSet": _money(self.total), "email": f"customer{number}@example.com", "taxesIncluded": True,
            "lineItems": {"nodes": lines},
        }  # fmt: skip
        story.world.say("shopify", "orders_read", told, by="poll", remote_id=str(number))


def _money(amount: str) -> dict[str, Any]:
    return {"shopMoney": {"amount": amount, "currencyCode": "EUR"}}


KINDS: dict[str, type[Step]] = {kind.words: kind for kind in (ShopifyIsAsked,)}
