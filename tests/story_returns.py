"""The words in which stories speak of goods that come back: returns, receipts, refunds of lines, exchanges and credits."""

from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from pipelines.operations import actions
from resources.sandbox.warehouse import LOCAL
from tests.fixtures_world import NOON, at, line
from tests.story import AsText, Expectation, Lines, Step, Story
from tests.story_money import refund_key
from tests.wanting import select

PRICE = Decimal("10.00")  # of every piece in a story
RESTOCK = Literal["return", "no_restock", "cancel"]


def return_key(story: Story, number: int) -> str:
    return f"SHOP-R{story.id_of(number)}"


def line_id(story: Story, order: int, sku: str) -> int:
    """The id that the storefront gives the line of that SKU."""
    story.sku(sku)
    return story.id_of(order) * 10 + story.skus.index(sku)


class ShopifyTellsOfReturn(Step):
    """The storefront posts a return as it is now."""

    words = "shopify tells of return"
    return_: int = Field(alias="return")
    order: int
    at: float
    is_: Literal["requested", "open", "closed", "declined", "canceled", "lost"] = Field("open", alias="is")
    lines: Lines
    exchanged: AsText | None = None

    def play(self, story: Story) -> None:
        number = story.id_of(self.return_)
        lines = [
            {"id": line_id(story, self.order, sku) + 7, "quantity": quantity, "return_reason": "SIZE_TOO_SMALL",
             "fulfillment_line_item": {"line_item": {"id": line_id(story, self.order, sku), "sku": story.sku(sku)}}}
            for sku, quantity in self.lines.items()
        ]  # fmt: skip
        told = {"id": number, "order": {"id": story.id_of(self.order)}, "name": f"#{number}-R1", "status": self.is_,
                "created_at": at(1), "closed_at": at(self.at) if self.is_ == "closed" else None, "return_line_items": lines,
                "exchange_line_items": [{"quantity": self.exchanged}] if self.exchanged else [],
                "triggered_at": at(self.at)}  # fmt: skip
        story.world.say("shopify", "returns", told, remote_id=str(number), event_id=f"return {number} {self.at}")


class ShopifyTakesBack(Step):
    """The storefront refunds lines of an order: it posts the refund and, if all is well, the order without them.

    In an exchange the order holds other goods instead, and only the difference is paid.
    """

    words = "shopify takes back"
    refund: int
    order: int
    payment: int | None = None
    lines: Lines
    amount: AsText
    at: float = 10
    restock: RESTOCK = "return"
    exchange_for: Lines = Field({})
    sku_now: str | None = None  # what the product is called by now
    by: Literal["webhook", "poll"] = "webhook"

    def play(self, story: Story) -> None:
        number, order_id = story.id_of(self.refund), story.id_of(self.order)
        parts = [self.part(story, sku, int(quantity)) for sku, quantity in self.lines.items()]
        money = {"kind": "refund", "status": "success", "amount": self.amount, "currency": "EUR",
                 "authorization": f"pi_{story.id_of(self.payment)}" if self.payment else None}  # fmt: skip
        refund = {"id": number, "order_id": order_id, "created_at": at(self.at), "processed_at": at(self.at), "note": None,
                  "refund_line_items": parts, "order_adjustments": [],
                  "transactions": [money] if Decimal(self.amount) else []}  # fmt: skip
        if self.by == "webhook":
            story.world.say("shopify", "refunds", refund, remote_id=str(number), is_versioned=True)
        else:
            story.world.say("shopify", "refunds_read", self.as_read(refund), by="poll", remote_id=str(number))
        self.change_order(story, refund)

    def part(self, story: Story, sku: str, quantity: int) -> dict[str, Any]:
        worth = str(PRICE * quantity)
        line_item = line_id(story, self.order, sku)
        name = story.sku(self.sku_now or sku)
        return {"id": line_item + 9, "line_item_id": line_item, "quantity": quantity, "restock_type": self.restock,
                "subtotal": worth, "total_tax": "1.67", "line_item": {"sku": name, "price": str(PRICE)},
                "subtotal_set": {"presentment_money": {"amount": worth, "currency_code": "EUR"}}}  # fmt: skip

    def as_read(self, refund: dict[str, Any]) -> dict[str, Any]:
        """The same as the Admin API answers it."""
        parts = [
            {"id": f"gid://shopify/RefundLineItem/{one['id']}", "quantity": one["quantity"],
             "restockType": one["restock_type"].upper(),
             "lineItem": {"id": f"gid://shopify/LineItem/{one['line_item_id']}", "sku": one["line_item"]["sku"]},
             "subtotalSet": {"shopMoney": {"amount": one["subtotal"]}, "presentmentMoney": {"amount": one["subtotal"]}},
             "totalTaxSet": {"shopMoney": {"amount": one["total_tax"]}}}
            for one in refund["refund_line_items"]
        ]  # fmt: skip
        paid = [
            {"status": one["status"].upper(), "authorizationCode": one["authorization"],
             "amountSet": {"presentmentMoney": {"amount": one["amount"], "currencyCode": one["currency"]}}}
            for one in refund["transactions"]
        ]  # fmt: skip
        return {"id": f"gid://shopify/Refund/{refund['id']}", "orderId": f"gid://shopify/Order/{refund['order_id']}",
                "createdAt": refund["created_at"], "updatedAt": refund["created_at"], "note": None, "return": None,
                "totalRefundedSet": {"presentmentMoney": {"amount": self.amount, "currencyCode": "EUR"}},
                "refundLineItems": parts, "transactions": paid, "orderAdjustments": []}  # fmt: skip

    def change_order(self, story: Story, refund: dict[str, Any]) -> None:
        told = story.orders[self.order]
        back = {one["line_item_id"]: one["quantity"] for one in refund["refund_line_items"]}
        lines = [
            {**one, "current_quantity": int(one["current_quantity"]) - back.get(one["id"], 0)}
            for one in told["line_items"]
        ]
        taken = [line(line_id(story, self.order, sku), story.sku(sku), some) for sku, some in self.exchange_for.items()]
        pieces = sum(back.values()) - sum(int(some) for some in self.exchange_for.values())
        total = str(Decimal(told["current_total_price"]) - PRICE * pieces)
        story.orders[self.order] = {
            **told, "line_items": lines + taken, "refunds": [*told.get("refunds", []), refund],
            "current_total_price": total, "updated_at": at(self.at),
        }  # fmt: skip
        story.world.say(
            "shopify", "orders", story.orders[self.order], remote_id=str(story.id_of(self.order)), is_versioned=True
        )


class WarehouseCounts(Step):
    """The warehouse's file of what it holds tells a SKU. Its name tells the minute, in local time."""

    words = "warehouse counts"
    sku: str
    quantity: AsText
    at: float = 0

    def play(self, story: Story) -> None:
        moment = (NOON + timedelta(minutes=self.at)).astimezone(LOCAL)
        name, sku = f"counts/stock_{moment:%Y%m%dT%H%M}.csv", story.sku(self.sku)
        story.world.say("warehouse", "stock_counts", {"Artikel": sku, "Bestand": self.quantity}, by="file", row_number=1,
                        file_name=name, file_occurrence=f"{sku} {self.at}")  # fmt: skip


class WarehouseReceives(Step):
    """A file of the warehouse tells what came back, and whether it may be sold again (A) or not (B)."""

    words = "warehouse receives"
    receipt: int
    order: int
    return_: int | None = Field(None, alias="return")
    lines: Lines
    condition: Literal["A", "B"] = "A"
    at: float = 40

    def play(self, story: Story) -> None:
        number = f"E{story.id_of(self.receipt)}"
        rows = [
            {"Eingang": number, "Bestellung": story.order_key(self.order), "Artikel": story.sku(sku), "Menge": quantity,
             "Retoure": return_key(story, self.return_) if self.return_ else "", "Zustand": self.condition,
             "Zeit": at(self.at)}
            for sku, quantity in self.lines.items()
        ]  # fmt: skip
        story.world.say("warehouse", "returns", {"Eingang": number, "rows": rows}, by="file", row_number=1,
                        file_name="returns/returns_20261120T2300.csv", file_occurrence=number)  # fmt: skip


class TrytonReceives(Step):
    """The ERP tells of a parcel that came back to its own warehouse and lies on the shelf."""

    words = "tryton receives"
    receipt: int
    order: int
    return_: int | None = Field(None, alias="return")
    lines: Lines
    at: float = 40

    def play(self, story: Story) -> None:
        number = f"E{story.id_of(self.receipt)}"
        lines = [{"sku": story.sku(sku), "quantity": some, "restocked": some} for sku, some in self.lines.items()]
        told = {"id": number, "number": number, "order_number": story.order_key(self.order),
                "return_number": return_key(story, self.return_) if self.return_ else None, "taken_in_at": at(self.at),
                "write_date": at(self.at), "lines": lines}  # fmt: skip
        story.world.say("tryton", "returned_shipments", told, by="poll", remote_id=number)


class TrytonCredits(Step):
    """The ERP tells of the credit note of a refund."""

    words = "tryton credits"
    refund: int
    amount: AsText
    at: float = 20

    def play(self, story: Story) -> None:
        number = story.id_of(self.refund)
        told = {"id": f"I{number}", "refund_number": f"SHOP-{number}", "number": f"C{number}", "currency": "EUR",
                "total_amount": self.amount, "write_date": at(self.at)}  # fmt: skip
        story.world.say("tryton", "credits", told, by="poll", remote_id=f"I{number}")


class PersonLinksRefund(Step):
    """Somebody says that a refund at the payment service is one that the shop has recorded."""

    words = "person links refund"
    refund: int
    with_: int = Field(alias="with")

    def play(self, story: Story) -> None:
        actions.link(
            story.world.store, story.the_map, entity="refunds", system="stripe", by_whom="Ada (recorded by hand)",
            remote_id=f"re_{story.id_of(self.refund)}", key=f"SHOP-{story.id_of(self.with_)}",
        )  # fmt: skip


class ExpectReturn(Expectation):
    """What we hold of a return, and whether its shop took back a step that may not be taken back."""

    words = "expect return"
    return_: int = Field(alias="return")
    is_: Literal["requested", "open", "closed", "declined", "cancelled"] = Field(alias="is")
    lines: Lines | None = None
    exchanged: AsText | None = None
    conflict: bool | None = None

    def play(self, story: Story) -> None:
        key = return_key(story, self.return_)
        row = story.world.row(f"select * from returns where return_number = '{key}'")
        lines = story.world.rows(f"select sku, quantity from return_lines where return_number = '{key}'")
        conflicts = story.world.rows(f"select * from returns_conflicts where return_number = '{key}'")
        found = {
            "is": row["status"], "exchanged": str(row["exchanged"]), "conflict": bool(conflicts),
            "lines": {one["sku"].removesuffix(f"-{story.number}"): str(one["quantity"]) for one in lines},
        }  # fmt: skip
        self.compare(found, without=("return",))


class ExpectCredit(Expectation):
    """What became of a refund's credit in the ERP, and why it is held."""

    words = "expect credit"
    refund: int
    made_at: Literal["shopify", "stripe"] = "shopify"
    delivery: Literal["due", "applied", "parked", "none"] | None = None
    credited: AsText | None = None
    held: bool | None = None

    def play(self, story: Story) -> None:
        key = refund_key(story, self.refund, self.made_at)
        row = story.world.row(f"select * from refunds where refund_number = '{key}'")
        wanted = story.world.row(
            f"select held_because from wanted_refunds where flow = 'refunds_to_erp' and refund_number = '{key}'"
        )
        sent = "select cast(status as text) from outbox where flow = 'refunds_to_erp' and key = :key order by version desc limit 1"
        deliveries = select(story.world.store, sent, key=key)
        found = {
            "delivery": deliveries[0] if deliveries else "none",
            "credited": None if row["credited"] is None else f"{row['credited']:.2f}",
            "held": bool(wanted["held_because"]),
        }
        self.compare(found, without=("refund", "made_at"))


KINDS = {
    kind.words: kind
    for kind in (
        ShopifyTellsOfReturn, ShopifyTakesBack, WarehouseCounts, WarehouseReceives, TrytonReceives, TrytonCredits,
        PersonLinksRefund, ExpectReturn, ExpectCredit,
    )
}  # fmt: skip
