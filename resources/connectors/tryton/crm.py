"""A CRM in a Tryton database of its own: contacts, and mailing lists that people join by a second click and leave by one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any

from resources.connectors.connector import (
    BatchRefused,
    Connector,
    Delivery,
    Message,
    Outcome,
    Page,
    Result,
    Unreachable,
    one_by_one_where_needed,
)
from resources.connectors.tryton.addresses import as_told, fields_told, named
from resources.connectors.tryton.parties import (
    carry_numbers,
    keep_addresses,
    known,
    number_of,
    numbers_on,
    write_numbers,
)
from resources.connectors.tryton.records import LIKE_A_PHONE
from resources.connectors.tryton.rpc import NoAnswer, Refused, Rpc, rpc_for
from resources.connectors.tryton.streams import (
    Row,
    Stream,
    changes_since,
    everything,
    in_order,
    is_changed,
    message,
    reached_by,
    stamp_of,
    stream_named,
)

LISTS = {"email": "Newsletter", "sms": "Text messages"}  # channel: the mailing list that stands for it
SUBSCRIPTION = ["email", "list_.name", "active", "write_date", "create_date", "write_uid.login", "create_uid.login"]


@dataclass(frozen=True, slots=True)
class Crm:
    """The database, the account that is ours, and the one under which people click for themselves."""

    rpc: Rpc
    own_user: str
    people: str


@cache
def crm_of(rpc: Rpc, own_user: str, people: str) -> Crm:
    return Crm(rpc, own_user, people)


class TrytonCrm(Connector):
    """One database of a Tryton server with the module marketing_email."""

    base_url: str
    database: str
    user: str
    password: str
    people: str = "preferences"  # the account of the page on which people confirm and withdraw

    @property
    def crm(self) -> Crm:
        rpc = rpc_for(self.base_url, self.database, self.user, self.password, has_company=False)
        return crm_of(rpc, self.user, self.people)

    @property
    def rpc(self) -> Rpc:
        return self.crm.rpc

    def has_changed(self, stream: str, cursor: str | None) -> bool:
        return is_changed(self.crm, stream_named(stream, STREAMS), cursor)

    def changed_since(self, stream: str, cursor: str | None) -> Iterator[Page]:
        return changes_since(self.crm, stream_named(stream, STREAMS), cursor)

    def snapshot(self, stream: str) -> Iterator[Page]:
        return everything(self.crm, stream_named(stream, STREAMS))

    def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Apply contacts and consents. Raises Unreachable only when none was applied."""
        outcomes: list[Outcome] = []
        for kind, run in groupby(deliveries, lambda delivery: (delivery.entity, delivery.action)):
            same = list(run)
            send = {("customers", "upsert"): self._contacts, ("consents", "upsert"): self._consents}.get(kind)
            if send is None:
                reason = f"the CRM takes no {kind[1]} of {kind[0]} from us"
                outcomes += [Outcome(one.delivery_id, Result.REFUSED, reason=reason) for one in same]
                continue
            try:
                outcomes += one_by_one_where_needed(same, _answering(send))
            except Unreachable as error:
                if not outcomes:
                    raise
                reason, wait = str(error), error.retry_after
                outcomes += [Outcome(one.delivery_id, Result.RETRY, reason=reason, retry_after=wait) for one in same]
        return outcomes

    def find(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Whether each contact carries our number, and each subscription is as it was sent."""
        contacts = known(self.rpc, deliveries)
        consents = [one for one in deliveries if one.entity == "consents" and one.delivery_id in contacts]
        held = self._held({contacts[one.delivery_id] for one in consents})
        outcomes = []
        for one in deliveries:
            contact = contacts.get(one.delivery_id)
            name = None if contact is None else str(contact)
            is_there = contact is not None and not one.payload.get("lines")  # written again, they are as they were
            if one.entity == "consents" and contact is not None:
                row = held.subscription(contact, _channel(one))
                name, is_there = f"{contact}/{_channel(one)}", row is not None and _state(row) == _wanted(one)
            reason = None if is_there else "the CRM does not hold it"
            outcomes.append(Outcome(one.delivery_id, Result.APPLIED if is_there else Result.RETRY, name, reason))
        return outcomes

    def _contacts(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Bring people into the CRM: who carries our number, is linked or has the e-mail address is there already."""
        numbers = [one for one in deliveries if "name" not in one.payload]
        people = [one for one in deliveries if "name" in one.payload]
        contacts = known(self.rpc, people)
        contacts |= self._by_email([one for one in people if one.delivery_id not in contacts])
        new = {number_of(one): one for one in people if one.delivery_id not in contacts}
        if new:
            made = self.rpc.call("party.party.create", [_contact(one.payload) for one in new.values()])
            contacts |= dict(zip((one.delivery_id for one in new.values()), made, strict=True))
        self._correct([(contacts[one.delivery_id], one.payload) for one in people if number_of(one) not in new])
        standing = {contacts[one.delivery_id]: one.payload for one in people if number_of(one) not in new}
        write_numbers(self.rpc, standing)
        keep_addresses(self.rpc, people, contacts, is_marked=False)
        outcomes = [Outcome(one.delivery_id, Result.APPLIED, str(contacts[one.delivery_id])) for one in people]
        return outcomes + (carry_numbers(self.rpc, numbers, is_marked=False) if numbers else [])

    def _by_email(self, deliveries: Sequence[Delivery]) -> dict[int, int]:
        """The contacts with these addresses that carry no number of ours: one that does is somebody else."""
        emails = {str(one.payload["email"]).lower(): one.delivery_id for one in deliveries if one.payload.get("email")}
        if not emails:
            return {}
        domain = [("type", "=", "email"), ("value", "in", sorted(emails))]
        rows = self.rpc.call(
            "party.contact_mechanism.search_read",
            domain,
            0,
            None,
            [("id", "DESC")],
            ["value", "party", "party.identifiers"],
        )
        taken = {
            row["party"]
            for row in self.rpc.call(
                "party.identifier.search_read",
                [("party", "in", [row["party"] for row in rows]), ("code", "like", "customer_number:%")],
                0, None, None, ["party"],
            )
        }  # fmt: skip
        return {emails[row["value"].lower()]: row["party"] for row in rows if row["party"] not in taken}

    def _correct(self, told: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """Write the name and the addresses that have changed."""
        if not told:
            return
        fields = ["name", *(f"contact_mechanisms.{name}" for name in ("type", "value", "active"))]
        held = {row["id"]: row for row in self.rpc.call("party.party.read", [party for party, _ in told], fields)}
        changed = []
        for party, payload in told:
            row, values = held[party], {}
            if payload.get("name") and row["name"] != payload["name"]:
                values["name"] = payload["name"]
            reached = reached_by(row)
            for kind, value in _reached(payload):
                name = "email" if kind == "email" else "phone"
                if name not in reached:
                    values.setdefault("contact_mechanisms", []).append(("create", [{"type": kind, "value": value}]))
                elif reached[name].lower() != value.lower():
                    old = next(one["id"] for one in row["contact_mechanisms."] if one["value"] == reached[name])
                    values.setdefault("contact_mechanisms", []).append(("write", [old], {"value": value}))
            if values:
                changed.append((party, values))
        self.rpc.write("party.party", changed)

    def _consents(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Begin, await or end subscriptions. One that was ended is never begun again by us: the person does that here."""
        contacts = known(self.rpc, deliveries)
        held = self._held(set(contacts.values()))
        return [self._consent(one, contacts.get(one.delivery_id), held) for one in deliveries]

    def _consent(self, one: Delivery, contact: int | None, held: "Held") -> Outcome:
        channel, wanted = _channel(one), _wanted(one)
        if contact is None:
            reason = f"the CRM has no contact {number_of(one)} yet; the flow of customers brings it"
            return Outcome(one.delivery_id, Result.RETRY, reason=reason)
        email = held.emails.get(contact)
        if email is None:
            reason = f"contact {contact} has no e-mail address, by which the CRM's lists know people; enter one there"
            return Outcome(one.delivery_id, Result.REFUSED, reason=reason)
        row = held.subscription(contact, channel)
        if row is None:
            values = {"email": email, "list_": held.lists[LISTS[channel]], "active": wanted == "subscribed"}
            self.rpc.call("marketing.email.create", [values])
        elif hindrance := self._hindrance(one, row, wanted):
            return Outcome(one.delivery_id, Result.REFUSED, reason=hindrance)
        elif _state(row) != wanted:
            self.rpc.call("marketing.email.write", [row["id"]], {"active": wanted == "subscribed"})
        return Outcome(one.delivery_id, Result.APPLIED, f"{contact}/{channel}")

    def _hindrance(self, one: Delivery, row: Row, wanted: str) -> str | None:
        """Why this subscription must stay as it is."""
        if _state(row) == "unsubscribed" and wanted != "unsubscribed":
            return f"{row['email']} left the list {row['list_.']['name']}; only the person joins it again, at the CRM"
        is_newer = stamp_of(row) > str(one.payload.get("since") or "")
        if wanted == "unsubscribed" and is_newer and _how(self.crm, row) == "confirmed":
            return f"{row['email']} joined the list {row['list_.']['name']} after that, by a click of their own"
        return None

    def _held(self, contacts: set[int]) -> "Held":
        lists = self.rpc.call("marketing.email.list.search_read", [], 0, None, None, ["name"])
        domain = [("party", "in", sorted(contacts)), ("type", "=", "email")]
        rows = self.rpc.call(
            "party.contact_mechanism.search_read", domain, 0, None, [("id", "DESC")], ["party", "value"]
        )
        emails = {row["party"]: row["value"].lower() for row in rows}  # the one that was entered first
        wanted = [("email", "in", sorted(emails.values()))]
        found = self.rpc.call("marketing.email.search_read", wanted, 0, None, None, SUBSCRIPTION, active_test=False)
        return Held(
            lists={row["name"]: row["id"] for row in lists},
            emails=emails,
            rows={(row["email"], row["list_."]["name"]): row for row in found},
        )


@dataclass(frozen=True, slots=True)
class Held:
    """What the CRM holds of some contacts: their addresses, and the subscriptions of these by list."""

    lists: dict[str, int]
    emails: dict[int, str]
    rows: dict[tuple[str, str], Row]

    def subscription(self, contact: int, channel: str) -> Row | None:
        return self.rows.get((self.emails.get(contact, ""), LISTS[channel]))


def _answering(send: Any) -> Any:
    """The sending, with what Tryton raises as an answer for each delivery: whatever it is asked twice, it does once."""

    def answer(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        try:
            found: Sequence[Outcome] = send(deliveries)
            return found
        except Refused as error:
            raise BatchRefused(str(error)) from error
        except NoAnswer as error:
            return [Outcome(one.delivery_id, Result.UNKNOWN, reason=str(error)) for one in deliveries]

    return answer


def _channel(delivery: Delivery) -> str:
    return delivery.key.rsplit("/", 1)[1]


def _wanted(delivery: Delivery) -> str:
    words = {"pending": "requested", "subscribed": "subscribed", "withdrawn": "unsubscribed"}
    return words[str(delivery.payload["status"])]


def _contact(payload: Mapping[str, Any]) -> dict[str, Any]:
    told = [
        {"code": f"{name}:{payload[name]}"}
        for name in ("customer_number", "erp_number", "shop_number")
        if payload.get(name)
    ]
    reached = [{"type": kind, "value": value} for kind, value in _reached(payload)]
    return {
        "name": payload.get("name") or payload.get("email") or payload["customer_number"],
        "identifiers": [("create", told)],
        "contact_mechanisms": [("create", reached)] if reached else [],
    }


def _reached(payload: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [("email", str(payload["email"]))] if payload.get("email") else []
    if phone := payload.get("phone"):
        found.append(("phone" if LIKE_A_PHONE.fullmatch(phone) else "other", phone))
    return found


def _state(row: Row) -> str:
    """Tryton keeps who was asked to confirm, and who left, as inactive; only what was never written awaits its first click."""
    if row["active"]:
        return "subscribed"
    return "unsubscribed" if row["write_date"] else "requested"


def _written_by(row: Row) -> str:
    user = row["write_uid."] or row["create_uid."] or {}
    return str(user.get("login") or "nobody")


def _how(crm: Crm, row: Row) -> str:
    """Whether the person clicked, we carried it here, or somebody else entered it."""
    return {crm.own_user: "carried", crm.people: "confirmed"}.get(_written_by(row), "single")


def _tell_contacts(crm: Crm, ids: Sequence[int], as_of: str) -> list[Message]:
    mechanism = ["type", "value", "active", "write_date", "create_date"]
    fields = ["code", "name", "active", "write_date", "create_date", "identifiers.code"]
    fields += [f"contact_mechanisms.{name}" for name in mechanism]
    fields += [f"addresses.{name}" for name in (*fields_told(is_marked=False), "write_date", "create_date")]
    rows = crm.rpc.call("party.party.read", list(ids), fields)
    messages = []
    for row in in_order(rows):
        reached = reached_by(row)
        payload = {
            "id": str(row["id"]),
            **{name: row[name] for name in ("code", "name")},
            "email": reached.get("email"),
            "phone": reached.get("phone"),
            **{name: numbers_on(row["identifiers."]).get(name) for name in ("customer_number", "erp_number")},
            "addresses": as_told(named(row), crm.own_user),
            "active": bool(row["active"]),
            "write_date": stamp_of(row),
        }
        messages.append(message("contacts", payload["id"], payload))
    return messages


def _tell_subscriptions(crm: Crm, ids: Sequence[int], as_of: str) -> list[Message]:
    """Each with the contact whose address it is; of several contacts with one address, the one known for longest."""
    rows = crm.rpc.call("marketing.email.read", list(ids), SUBSCRIPTION)
    domain = [("type", "=", "email"), ("value", "in", sorted({row["email"] for row in rows}))]
    found = crm.rpc.call(
        "party.contact_mechanism.search_read", domain, 0, None, [("party", "DESC")], ["party", "value"]
    )
    contact_of = {row["value"].lower(): row["party"] for row in found}
    messages = []
    for row in in_order(rows):
        contact = contact_of.get(row["email"])
        payload = {
            "id": str(row["id"]),
            "contact": None if contact is None else str(contact),
            "list": row["list_."]["name"],
            "state": _state(row),
            "how": _how(crm, row),
            "written_by": _written_by(row),
            "write_date": stamp_of({name: row[name] for name in ("write_date", "create_date")}),
        }
        messages.append(message("subscriptions", payload["id"], payload))
    return messages


def _everyone(crm: Crm) -> list[Any]:
    return []


STREAMS = {
    "contacts": Stream("party.party", _everyone, ("contact_mechanisms", "addresses"), _tell_contacts),
    "subscriptions": Stream("marketing.email", _everyone, (), _tell_subscriptions),
}
