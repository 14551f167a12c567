"""The words in which stories speak of people: customers of several systems, and whether they may be written to."""

from typing import Any, Literal

from pydantic import Field

from tests.fixtures_world import at, order
from tests.story import Expectation, Step, Story
from tests.wanting import select

SHOP_WORDS = {
    "subscribed": "subscribed",
    "withdrawn": "unsubscribed",
    "pending": "pending",
    "nothing": "not_subscribed",
}
LISTS = {"email": "Newsletter", "sms": "Text messages"}
Channel = Literal["email", "sms"]
FLOWS = {"tryton_crm": "consents_to_crm", "shopify": "withdrawals_to_storefront"}


class ShopTellsOfPerson(Step):
    """The shop posts an order of somebody, or tells the customer alone; either says since when they may be written to."""

    words = "shop tells of person"
    person: int
    order: int | None = None
    at: float = 0  # when it is told
    says: Literal["subscribed", "withdrawn", "pending", "nothing"] = "nothing"
    since: float | None = None  # when the person said so
    channel: Channel = "email"
    email: str | None = None
    phone: str | None = None
    status: Literal["pending", "paid"] = "paid"

    def play(self, story: Story) -> None:
        number = story.id_of(self.person)
        level = {"state": "not_subscribed", "opt_in_level": "single_opt_in", "consent_updated_at": None}
        told: dict[str, Any] = {
            "id": number, "first_name": "Ada", "last_name": "Moreau", "email": self.email or email_of(story, self.person),
            "phone": self.phone, "created_at": at(-900), "updated_at": at(self.at),
            "email_marketing_consent": level, "sms_marketing_consent": level,
        }  # fmt: skip
        since = at(self.at if self.since is None else self.since)
        told[f"{self.channel}_marketing_consent"] = {
            **level,
            "state": SHOP_WORDS[self.says],
            "consent_updated_at": since,
        }
        if self.order is None:
            story.world.say("shopify", "customers", told, remote_id=str(number), is_versioned=True)
            return
        key = story.id_of(self.order)
        posted = order(key, self.at, customer=told, financial_status=self.status, email=told["email"])
        story.world.say("shopify", "orders", posted, remote_id=str(key), is_versioned=True)


class GuestOrders(Step):
    """Somebody buys without an account."""

    words = "guest orders"
    order: int
    email: str | None = None
    sku: str
    at: float = 0

    def play(self, story: Story) -> None:
        number = story.id_of(self.order)
        posted = order(number, self.at, customer=None, email=self.email and f"{story.number}.{self.email}")
        posted["line_items"][0] |= {"sku": story.sku(self.sku), "id": number * 10}
        story.world.say("shopify", "orders", posted, remote_id=str(number), is_versioned=True)


class CrmTellsOfContact(Step):
    """The CRM tells of a contact that somebody entered there, or that came by a form."""

    words = "crm tells of contact"
    contact: int
    email_of_person: int
    at: float = 0

    def play(self, story: Story) -> None:
        number = str(story.id_of(self.contact))
        told = {"id": number, "name": "A. Moreau", "email": email_of(story, self.email_of_person), "phone": None}
        story.world.say("tryton_crm", "contacts", {**told, "write_date": at(self.at)}, by="poll", remote_id=number)


class ErpTellsOfParty(Step):
    """The ERP tells of a party."""

    words = "erp tells of party"
    party: int
    email_of_person: int | None = None
    shop_number_of_person: int | None = None
    phone: str | None = None
    at: float = 0
    price_list: str | None = None  # of the story's own

    def play(self, story: Story) -> None:
        number = story.id_of(self.party)
        told = {
            "id": str(number),
            "code": f"P{number}",
            "name": "Moreau, Ada",
            "email": self.email_of_person and email_of(story, self.email_of_person),
            "shop_number": self.shop_number_of_person and str(story.id_of(self.shop_number_of_person)),
        }
        more = {
            "phone": self.phone,
            "write_date": at(self.at),
            "price_list": self.price_list and f"{self.price_list}-{story.number}",
        }
        story.world.say("tryton", "parties", {**told, **more}, by="poll", remote_id=str(number))


class CrmSays(Step):
    """The CRM tells how a subscription stands, and who clicked: of the contact that we made of a person, or of another."""

    words = "crm says"
    person: int | None = None
    contact: int | None = None
    channel: Channel = "email"
    is_: Literal["requested", "subscribed", "unsubscribed"] = Field(alias="is")
    how: Literal["confirmed", "carried", "single"] = "single"
    at: float

    def play(self, story: Story) -> None:
        contact = (
            f"R-{story.person_key(self.person)}" if self.person is not None else str(story.id_of(self.contact or 0))
        )
        told = {"id": f"{contact}/{self.channel}", "contact": contact, "list": LISTS[self.channel], "state": self.is_,
                "how": self.how, "written_by": "concord" if self.how == "carried" else "preferences", "write_date": at(self.at)}  # fmt: skip
        story.world.say("tryton_crm", "subscriptions", told, by="poll", remote_id=str(told["id"]))


class ExpectConsent(Expectation):
    """Whether a person may be written to, who said so, and what is open towards a system."""

    words = "expect consent"
    person: int
    channel: Channel = "email"
    is_: Literal["pending", "subscribed", "withdrawn", "unheard of"] = Field(alias="is")
    said_by: str | None = None
    wording: str | None = None
    to_crm: Literal["due", "applied", "none"] | None = None
    to_shop: Literal["due", "applied", "none"] | None = None
    shown_without_consent: list[str] | None = None  # where, as the proof finds it

    def play(self, story: Story) -> None:
        key = f"{story.person_key(self.person)}/{self.channel}"
        rows = story.world.rows(f"select * from consents where consent_number = '{key}'")
        if not rows:
            assert self.is_ == "unheard of", f"nothing is known of {key}"
            return
        newest = (
            "select cast(status as text) from outbox where flow = :flow and key = :key order by version desc limit 1"
        )
        open_to = {
            name: next(iter(select(story.world.store, newest, flow=flow, key=key)), "none")
            for name, flow in (("to_crm", FLOWS["tryton_crm"]), ("to_shop", FLOWS["shopify"]))
        }
        shown = [
            where
            for where in ("storefront", "crm")
            if rows[0][f"{where}_status"] == "subscribed" and rows[0]["status"] != "subscribed"
        ]
        found = {**rows[0], **open_to, "is": rows[0]["status"], "shown_without_consent": shown}
        self.compare(found, without=("person", "channel"))


class ExpectPeople(Expectation):
    """How many customers share a person's e-mail address, and by which numbers that person goes."""

    words = "expect people"
    person: int
    count: int
    known_in: list[str] | None = None
    began_in: str | None = None  # the system whose word it still is that the person exists
    erp_number_of_party: int | None = None
    told_to: list[str] | None = None  # the flows by which systems were told of the person

    def play(self, story: Story) -> None:
        rows = story.world.rows(f"select * from customers where email = '{email_of(story, self.person)}'")
        assert len(rows) == self.count, rows
        if self.known_in is not None:
            assert sorted({one["system"] for one in rows[0]["known_as"]}) == sorted(self.known_in), rows
        if self.began_in is not None:
            assert rows[0]["origin_system"] == self.began_in, rows
        if self.erp_number_of_party is not None:
            assert rows[0]["erp_number"] == f"P{story.id_of(self.erp_number_of_party)}"
        if self.told_to is not None:
            sent = "select distinct flow from outbox where entity = 'customers' and key = :key order by flow"
            found = select(story.world.store, sent, key=rows[0]["customer_number"])
            assert found == sorted(self.told_to), found


def email_of(story: Story, person: int) -> str:
    return f"ada{story.id_of(person)}@example.com"


KINDS = {
    kind.words: kind
    for kind in (
        ShopTellsOfPerson, GuestOrders, CrmTellsOfContact, ErpTellsOfParty, CrmSays, ExpectConsent, ExpectPeople,
    )
}  # fmt: skip
