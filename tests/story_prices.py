"""The words in which stories speak of prices: agreed ones, what the shop shows, and what an order was sold at.

Days are counted from the one on which all stories begin; each settling is a day later than the one before.
"""

import re
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field

from pipelines.operations import actions
from tests.fixtures_world import NOON, at, line, order
from tests.story import AsText, Expectation, Step, Story
from tests.story_people import email_of
from tests.wanting import select


def day(number: int | None) -> str | None:
    return None if number is None else (NOON + timedelta(days=number)).strftime("%Y-%m-%d")


def list_of(story: Story, name: str) -> str:
    """The story's own price list of that name; those of everybody, of a channel and of a market are one for all stories."""
    return name if name in ("BASE", "WHOLESALE", "US") else f"{name}-{story.number}"


def place_of(story: Story, price_list: str, sku: str, quantity: str = "1") -> str:
    place = "/".join([list_of(story, price_list), story.sku(sku), *([quantity] if quantity != "1" else [])])
    story.places.add(place)
    return place


class TrytonAgrees(Step):
    """The ERP tells a line of a price list; the same line again is that line as it is now."""

    words = "tryton agrees"
    line: int
    sku: str
    amount: AsText
    list_: str = Field("EU", alias="list")
    currency: str = "EUR"
    from_quantity: AsText = "1"
    from_day: int | None = None
    to_day: int | None = None
    at: float = -300
    with_tax: bool = False

    def play(self, story: Story) -> None:
        place_of(story, self.list_, self.sku, self.from_quantity)
        told = {
            "id": str(story.id_of(self.line)), "list": list_of(story, self.list_), "sku": story.sku(self.sku),
            "quantity": self.from_quantity, "amount": self.amount, "currency": self.currency,
            "tax_included": self.with_tax, "start_date": day(self.from_day), "end_date": day(self.to_day),
            "write_date": (NOON + timedelta(minutes=self.at)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }  # fmt: skip
        story.world.say("tryton", "price_lines", told, by="poll", remote_id=told["id"])


class WholesaleAgrees(Step):
    """The wholesale system's nightly file tells the price of a contract."""

    words = "wholesale agrees"
    sku: str
    amount: AsText
    account: AsText = "17850"
    contract: str = "C1"
    currency: str = "GBP"
    from_quantity: AsText = "1"
    from_day: int | None = None
    to_day: int | None = None
    until: str | None = None  # in place of a day: the moment at which it ends

    def play(self, story: Story) -> None:
        place_of(story, self.contract, self.sku, self.from_quantity)
        contract = list_of(story, self.contract)
        told = {
            "Contract": contract, "CustomerID": self.account and f"{self.account}-{story.number}", "StockCode": story.sku(self.sku),
            "MinQuantity": self.from_quantity, "UnitPrice": self.amount, "Currency": self.currency,
            "ValidFrom": day(self.from_day) or "", "ValidTo": self.until or day(self.to_day) or "",
        }  # fmt: skip
        story.world.say("wholesale", "contract_prices", told, by="file", row_number=1,
                        file_name=f"prices/{day(-2)}.csv", file_occurrence=f"prices {told}")  # fmt: skip


class ShopifySells(Step):
    """The shop sells to somebody, at the price that it shows there; what they saw in another currency is told beside its own."""

    words = "shopify sells"
    order: int
    sku: str = "TEE"
    quantity: AsText = "1"
    price: AsText
    currency: str = "EUR"
    shown_price: AsText | None = None
    shown_in: str | None = None
    rate: AsText | None = "0.2"  # null: it is not told
    included: bool = True
    country: str = "FR"
    person: int | None = None
    at: float = -60  # when it was ordered

    def play(self, story: Story) -> None:
        number = story.id_of(self.order)
        shown = {"amount": self.shown_price or self.price, "currency_code": self.shown_in or self.currency}
        rates = [] if self.rate is None else [{"rate": float(self.rate), "price": "0.00"}]
        sold = line(number * 10, story.sku(self.sku), self.quantity, self.price, tax_lines=rates)
        told = order(number, self.at + 1, [sold | {"price_set": {"presentment_money": shown}}])
        told |= {"created_at": at(self.at), "currency": self.currency, "presentment_currency": shown["currency_code"]}
        told |= {"taxes_included": self.included, "current_total_price": self.price, "total_price": self.price}
        told["shipping_address"] |= {"country_code": self.country}
        if self.person is not None:
            told["customer"] = {"id": story.id_of(self.person), "email": email_of(story, self.person)}
        story.world.say("shopify", "orders", told, remote_id=str(number), is_versioned=True)


class ShopifyNotes(Step):
    """Somebody in the shop notes on a customer by which price list they buy: a tag."""

    words = "shopify notes"
    person: int
    lists: list[str]
    at: float = 0

    def play(self, story: Story) -> None:
        number = str(story.id_of(self.person))
        told: dict[str, Any] = {
            "id": f"gid://shopify/Customer/{number}",
            "legacyResourceId": number,
            "updatedAt": at(self.at),
        }
        told |= {"tags": ["vip", *(f"list: {list_of(story, name)}" for name in self.lists)]}
        story.world.say("shopify", "customers_read", told, by="poll", remote_id=number)


class PersonDecidesPriceList(Step):
    """Somebody decides by which price list a customer buys; null: they take that back."""

    words = "person decides price list"
    person: int
    list_: str | None = Field(alias="list")

    def play(self, story: Story) -> None:
        about = {"entity": "customers", "key": story.person_key(self.person), "field": "price_group"}
        store, by_whom = story.world.store, "Ada (agreed on the telephone)"
        if self.list_ is None:
            actions.revoke(store, story.the_map, **about, by_whom=by_whom)
        else:
            value = list_of(story, self.list_)
            actions.decide(store, story.the_map, **about, value=value, by_whom=by_whom)


class ExpectNoted(Expectation):
    """By which price list the shop's people see that a customer buys."""

    words = "expect noted"
    person: int
    price_list: str | None

    def play(self, story: Story) -> None:
        held = story.destinations["shopify"].records.get(story.person_key(self.person)) or {}
        noted = held.get("price_group")
        assert (noted.removesuffix(f"-{story.number}") if noted else None) == self.price_list, (
            f"{story.person_key(self.person)}: {held}"
        )


class ShopifyShows(Step):
    """Somebody looks at what the shop shows in a price list; of the base list, that is the variant's own price."""

    words = "shopify shows"
    sku: str
    amount: AsText
    list_: str = Field("EU", alias="list")
    currency: str = "EUR"
    at: float = 0

    def play(self, story: Story) -> None:
        place_of(story, self.list_, self.sku)
        sku, price_list = story.sku(self.sku), list_of(story, self.list_)
        if self.list_ == "BASE":
            told: dict[str, Any] = {"id": sku, "sku": sku, "price": self.amount, "currency": self.currency}
            told |= {"product": {"title": "Tee"}, "updatedAt": (NOON + timedelta(minutes=self.at)).isoformat()}
            story.world.say("shopify", "variants", told, by="poll", remote_id=sku)
            return
        money = {"amount": self.amount, "currencyCode": self.currency}
        told = {"id": f"{price_list}/{sku}", "list": price_list, "sku": sku, "quantity": "1", "price": money}
        story.world.say("shopify", "price_lists", told, by="poll", remote_id=told["id"])


def _own(story: Story, text: str | None) -> str | None:
    """A sentence with names and numbers as the story tells them."""
    if text is None:
        return None
    said = text.replace(f"-{story.number}", "")
    return re.sub(r"ERP-(\d+)", lambda found: f"ERP-{int(found[1]) - story.number}", said)


class ExpectPrice(Expectation):
    """What a SKU costs now in a price list, and what becomes of that at the shop."""

    words = "expect price"
    sku: str
    list_: str = Field("EU", alias="list")
    quantity: AsText = "1"
    amount: AsText | None = None
    currency: str | None = None
    valid: bool | None = None
    because: str | None = None  # why it is not sent on
    delivery: Literal["due", "unknown", "applied", "parked", "replaced", "none"] | None = None
    reason: Literal["new", "changed", "withdrawn", "restore", "already held"] | None = None
    held: AsText | None = None  # what the shop holds; nothing: no price
    after: list[Literal["upsert", "delete"]] | None = None  # every action that the shop ever applied

    def play(self, story: Story) -> None:
        place = place_of(story, self.list_, self.sku, self.quantity)
        rows = story.world.rows(
            f"select records.*, held_because from selling_prices as records"
            f" left join wanted_selling_prices using (place) where place = '{place}'"
        )
        row = rows[0] if rows else dict.fromkeys(("amount", "currency", "is_valid", "held_because"))
        newest = "select cast(status as text), reason, parked_because from outbox where key = :key order by version desc limit 1"
        sent = select(story.world.store, newest, key=place)
        shop = story.destinations["shopify"]
        held = (shop.records.get(place) or {}).get("amount", "nothing")
        found = {
            "amount": None if row["amount"] is None else f"{row['amount']:.2f}", "currency": row["currency"],
            "valid": bool(row["is_valid"]), "delivery": sent[0][0] if sent else "none", "reason": sent[0][1] if sent else None,
            "because": _own(story, row["held_because"]), "held": held,
            "after": [action for key, _, action in shop.applied if key == place],
        }  # fmt: skip
        self.compare(found, without=("sku", "list", "quantity"))


class ExpectAgreed(Expectation):
    """What we hold of a line of a price list of the ERP."""

    words = "expect agreed"
    line: int
    amount: AsText | None = None
    flags: list[str] | None = None
    quarantine: str | None = None

    def play(self, story: Story) -> None:
        key = f"ERP-{story.id_of(self.line)}"
        rows = story.world.rows(f"select amount, flags from prices where price_number = '{key}'")
        row = rows[0] if rows else {"amount": None, "flags": []}
        reasons = story.world.rows(f"select reason from prices_quarantine where key = '{key}'")
        found = {
            "amount": None if row["amount"] is None else f"{row['amount']:.2f}",
            "flags": row["flags"],
            "quarantine": reasons[0]["reason"] if reasons else None,
        }
        self.compare(found, without=("line",))


KINDS = {
    kind.words: kind
    for kind in (
        TrytonAgrees, WholesaleAgrees, ShopifySells, ShopifyNotes, ShopifyShows, ExpectPrice, ExpectAgreed, ExpectNoted,
        PersonDecidesPriceList,
    )
}  # fmt: skip
