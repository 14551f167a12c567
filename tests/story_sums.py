"""The words in which stories speak of sums: orders whose amounts are told one by one, and what finance books of them."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from tests.fixtures_world import line, order
from tests.story import AsText, Expectation, Step, Story


class Sold(BaseModel):
    """A line as the shop reckons it."""

    model_config = ConfigDict(extra="forbid")
    sku: str
    quantity: AsText = "1"
    price: AsText
    rate: AsText = "0"
    times: int = 1  # as many lines like this


class ShopifyReckons(Step):
    """The storefront posts a paid order, with every amount as it came to it."""

    words = "shopify reckons"
    order: int
    lines: list[Sold]
    total: AsText
    tax: AsText = "0.00"
    discount: AsText = "0.00"
    currency: str = "EUR"
    included: bool = False

    def play(self, story: Story) -> None:
        number = story.id_of(self.order)
        sold = [one for one in self.lines for _ in range(one.times)]
        items = [
            line(number * 1000 + place, story.sku(one.sku), one.quantity, one.price,
                 tax_lines=[{"rate": float(one.rate), "price": "0.00"}])
            for place, one in enumerate(sold)
        ]  # fmt: skip
        amounts: dict[str, Any] = {
            "currency": self.currency, "total_price": self.total, "current_total_price": self.total,
            "current_total_tax": self.tax, "current_total_discounts": self.discount, "taxes_included": self.included,
            "shipping_lines": [],
        }  # fmt: skip
        told = order(number, 0, items, **amounts)
        story.world.say("shopify", "orders", told, remote_id=str(number), is_versioned=True)


class ExpectWarnings(Expectation):
    """What is doubtful about an order: it goes on, and its steward is told."""

    words = "expect warnings"
    order: int
    are: list[str]

    def play(self, story: Story) -> None:
        key = story.order_key(self.order)
        assert story.world.row(f"select warnings from orders where order_number = '{key}'")["warnings"] == self.are
        told = story.world.rows(f"select steward, next_step from orders_flags where key = '{key}'")
        assert [row["steward"] for row in told] == ["team:finance"] * len(self.are)
        assert all(row["next_step"] for row in told)


class ExpectBooked(Expectation):
    """In which currency, at which prices and under which discount the ERP was told of an order."""

    words = "expect booked"
    order: int
    currency: str | None = None
    total: AsText | None = None
    discount: AsText | None = None
    prices: list[AsText] | None = None

    def play(self, story: Story) -> None:
        held = story.destinations["tryton"].records[story.order_key(self.order)]
        found = {
            "currency": held["currency"], "total": held["total"], "discount": held["discount_total"],
            "prices": [row["unit_price"] for row in held["lines"]],
        }  # fmt: skip
        self.compare(found, without=("order",))


KINDS = {kind.words: kind for kind in (ShopifyReckons, ExpectWarnings, ExpectBooked)}
