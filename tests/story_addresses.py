"""The words in which stories speak of where people live and are invoiced, and of who said so."""

from typing import Any, Literal

from pydantic import Field

from tests.fixtures_world import at, order
from tests.story import Destinations, Expectation, Step, Story
from tests.story_people import email_of
from tests.wanting import select

Kind = Literal["shipping", "billing"]
Place = dict[Literal["name", "street", "city", "postcode", "country"], str]


class ShopTellsOfAddress(Step):
    """The shop tells where a customer lives; of an order, also where its invoice goes."""

    words = "shop tells of address"
    person: int
    order: int | None = None
    at: float
    shipping: Place | None = None
    billing: Place | None = None

    def play(self, story: Story) -> None:
        number = story.id_of(self.person)
        told: dict[str, Any] = {
            "id": number, "first_name": "Ada", "last_name": "Moreau", "email": email_of(story, self.person),
            "created_at": at(-900), "updated_at": at(self.at), "default_address": _of_the_shop(self.shipping),
        }  # fmt: skip
        if self.order is None:
            story.world.say("shopify", "customers", told, remote_id=str(number), is_versioned=True)
            return
        key = story.id_of(self.order)
        posted = order(key, self.at, customer=told, billing_address=_of_the_shop(self.billing), email=told["email"])
        story.world.say("shopify", "orders", posted, remote_id=str(key), is_versioned=True)


class ErpTellsOfAddresses(Step):
    """The ERP tells of a party and where it lives and is invoiced; `ours` is what nobody there has written but we."""

    words = "erp tells of addresses"
    party: int
    email_of_person: int
    at: float
    tax_number: str | None = None
    shipping: Place | None = None
    billing: Place | None = None
    ours: list[Kind] = Field([])

    def play(self, story: Story) -> None:
        number = story.id_of(self.party)
        kinds: dict[Kind, Place | None] = {"shipping": self.shipping, "billing": self.billing}
        told = {
            "id": str(number),
            "code": f"P{number}",
            "name": "Moreau, Ada",
            "email": email_of(story, self.email_of_person),
            "tax_number": self.tax_number,
            "addresses": [
                {"name": None, **place, "kind": kind, "is_ours": kind in self.ours}
                for kind, place in kinds.items()
                if place
            ],
            "write_date": at(self.at),
        }
        story.world.say("tryton", "parties", told, by="poll", remote_id=str(number))


class ExpectAddress(Expectation):
    """The address of a customer that holds, who told it, and what is odd about it."""

    words = "expect address"
    person: int
    kind: Kind
    street: str | None
    told_by: str | None = None
    flags: list[str] | None = None

    def play(self, story: Story) -> None:
        key = story.person_key(self.person)
        rows = story.world.rows(
            f"select * from addresses where customer_number = '{key}' and kind = '{self.kind}' and removed_at is null"
        )
        flags = story.world.rows(f"select reason from customers_flags where key = '{key}' order by reason")
        found = {**(rows[0] if rows else {"street": None}), "flags": [row["reason"] for row in flags]}
        self.compare(found, without=("person", "kind"))


class ExpectKeptAddress(Expectation):
    """The address of a customer as a destination was told it, and whether more is on its way there."""

    words = "expect kept address"
    by: Destinations
    person: int
    kind: Kind
    street: str | None = None  # null: it was told none
    postcode: str | None = None
    nothing_due: bool | None = None

    def play(self, story: Story) -> None:
        key = story.person_key(self.person)
        kept = story.destinations[self.by].records.get(key) or {}
        line: dict[str, Any] = next((line for line in kept.get("lines", ()) if line["kind"] == self.kind), {})
        due = "select flow from outbox where system = :system and key = :key and status = 'due'"
        is_idle = not select(story.world.store, due, system=self.by, key=key)
        self.compare({**line, "nothing_due": is_idle}, without=("by", "person", "kind"))


def _of_the_shop(place: Place | None) -> dict[str, Any] | None:
    if place is None:
        return None
    words = {"street": "address1", "postcode": "zip", "country": "country_code"}
    return {"name": None} | {words.get(name, name): value for name, value in place.items()}


KINDS = {kind.words: kind for kind in (ShopTellsOfAddress, ErpTellsOfAddresses, ExpectAddress, ExpectKeptAddress)}
