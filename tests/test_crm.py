"""The CRM is a real Tryton: people are contacts of it once, and nobody is subscribed again by a delivery."""

import itertools
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from resources.connectors.connector import Delivery, Outcome, Result
from resources.connectors.tryton.crm import TrytonCrm
from resources.connectors.tryton.rpc import Rpc, utc_stamp
from tests.fixtures_tryton import RunningTryton

NUMBERS = itertools.count(1)


@pytest.fixture
def crm(tryton: RunningTryton) -> TrytonCrm:
    return tryton.crm


@pytest.fixture
def people(tryton: RunningTryton) -> Rpc:
    return tryton.people


@pytest.fixture
def n() -> int:
    """A number that no other test of this module uses."""
    return next(NUMBERS)


def customer(n: int, **more: Any) -> Delivery:
    """Somebody whom the shop knows, on the way to the CRM."""
    told = {
        "name": f"Ada Moreau {n}",
        "email": f"ada{n}@example.com",
        "phone": None,
        "erp_number": None,
        "shop_number": str(n),
    }
    return _delivery("customers_to_crm", "customers", f"SHOP-C{n}", {"customer_number": f"SHOP-C{n}", **told, **more})


def consent(n: int, status: str, *, channel: str = "email", since: str = "2026-01-01T00:00:00.000000Z") -> Delivery:
    key = f"SHOP-C{n}/{channel}"
    told = {"consent_number": key, "channel": channel, "status": status, "since": since}
    return _delivery("consents_to_crm", "consents", key, told)


def _delivery(flow: str, entity: str, key: str, payload: dict[str, Any]) -> Delivery:
    return Delivery(1, flow, entity, key, 1, "upsert", payload, None, f"{flow}/{key}/1")


def only(outcomes: Any) -> Outcome:
    [outcome] = outcomes
    assert isinstance(outcome, Outcome)
    return outcome


def contacts(crm: TrytonCrm, n: int) -> list[int]:
    domain = [("type", "=", "email"), ("value", "=", f"ada{n}@example.com")]
    return sorted(
        {row["party"] for row in crm.rpc.call("party.contact_mechanism.search_read", domain, 0, None, None, ["party"])}
    )


def told(crm: TrytonCrm, stream: str, remote_id: str) -> dict[str, Any]:
    """What the stream says of that record now."""
    pages = list(crm.snapshot(stream))
    assert pages[-1].is_last
    found = [json.loads(one.payload) for page in pages for one in page.messages if one.remote_id == remote_id]
    return dict(found[0])


def subscription(crm: TrytonCrm, n: int, list_name: str = "Newsletter") -> dict[str, Any]:
    domain = [("email", "=", f"ada{n}@example.com"), ("list_.name", "=", list_name)]
    [row] = crm.rpc.call("marketing.email.search_read", domain, 0, None, None, ["active"], active_test=False)
    return dict(told(crm, "subscriptions", str(row["id"])))


def click(people: Rpc, crm: TrytonCrm, n: int, *, active: bool) -> None:
    """The person confirms, or leaves, on the CRM's page."""
    [row] = people.call("marketing.email.search", [("email", "=", f"ada{n}@example.com")], active_test=False)
    people.call("marketing.email.write", [row], {"active": active})


def test_a_customer_is_one_contact_however_often_it_is_told(crm: TrytonCrm, n: int):
    first = only(crm.deliver([customer(n)]))
    again = only(crm.deliver([customer(n, name="Ada Moreau-Lind", erp_number="17")]))
    assert (first.result, again.result) == (Result.APPLIED, Result.APPLIED)
    assert contacts(crm, n) == [int(str(first.remote_id))]
    assert again.remote_id == first.remote_id
    says = told(crm, "contacts", str(first.remote_id))
    assert (says["name"], says["customer_number"], says["erp_number"]) == ("Ada Moreau-Lind", f"SHOP-C{n}", "17")
    assert only(crm.find([customer(n)])).result is Result.APPLIED


def test_whom_the_crm_made_at_the_same_moment_is_not_made_again(crm: TrytonCrm, n: int):
    reached = [("create", [{"type": "email", "value": f"ada{n}@example.com"}])]
    [party] = crm.rpc.call("party.party.create", [{"name": "A. Moreau", "contact_mechanisms": reached}])
    assert only(crm.find([customer(n)])).result is Result.RETRY
    assert only(crm.deliver([customer(n)])).remote_id == str(party)
    assert contacts(crm, n) == [party]


def test_an_address_that_somebody_else_has_already_makes_no_one_else_of_them(crm: TrytonCrm, n: int):
    first = only(crm.deliver([customer(n)]))
    other = customer(n)
    other = _delivery(
        other.flow, other.entity, f"SHOP-C{n}0000", {**other.payload, "customer_number": f"SHOP-C{n}0000"}
    )
    second = only(crm.deliver([other]))
    assert first.remote_id != second.remote_id
    assert len(contacts(crm, n)) == 2


def test_a_first_opt_in_subscribes_and_a_withdrawal_in_the_shop_ends_it(crm: TrytonCrm, n: int):
    waits = only(crm.deliver([consent(n, "subscribed")]))
    assert (waits.result, "no contact" in str(waits.reason)) == (Result.RETRY, True)
    contact = only(crm.deliver([customer(n)])).remote_id
    assert only(crm.find([consent(n, "subscribed")])).result is Result.RETRY
    assert only(crm.deliver([consent(n, "subscribed")])).remote_id == f"{contact}/email"
    assert only(crm.find([consent(n, "subscribed")])).result is Result.APPLIED
    says = subscription(crm, n)
    assert (says["state"], says["how"], says["contact"]) == ("subscribed", "carried", contact)
    assert only(crm.deliver([consent(n, "withdrawn", since=utc_stamp(datetime.now(UTC)))])).result is Result.APPLIED
    assert subscription(crm, n)["state"] == "unsubscribed"


def test_who_left_at_the_crm_is_not_subscribed_again_by_a_late_delivery(crm: TrytonCrm, people: Rpc, n: int):
    crm.deliver([customer(n), consent(n, "subscribed")])
    click(people, crm, n, active=False)
    late = only(crm.deliver([consent(n, "subscribed")]))
    assert late.result is Result.REFUSED
    assert late.reason == f"ada{n}@example.com left the list Newsletter; only the person joins it again, at the CRM"
    assert (subscription(crm, n)["state"], subscription(crm, n)["written_by"]) == ("unsubscribed", "preferences")


def test_who_joined_again_by_a_click_is_not_thrown_out_by_an_older_withdrawal(crm: TrytonCrm, people: Rpc, n: int):
    crm.deliver([customer(n), consent(n, "pending")])
    assert subscription(crm, n)["state"] == "requested"
    click(people, crm, n, active=True)
    assert (subscription(crm, n)["state"], subscription(crm, n)["how"]) == ("subscribed", "confirmed")
    late = only(crm.deliver([consent(n, "withdrawn")]))
    assert (late.result, "by a click of their own" in str(late.reason)) == (Result.REFUSED, True)
    now = utc_stamp(datetime.now(UTC).replace(year=2030))
    assert only(crm.deliver([consent(n, "withdrawn", since=now)])).result is Result.APPLIED
    assert subscription(crm, n)["state"] == "unsubscribed"


def test_each_channel_is_a_list_of_its_own(crm: TrytonCrm, n: int):
    crm.deliver([customer(n), consent(n, "subscribed"), consent(n, "pending", channel="sms")])
    assert subscription(crm, n)["state"] == "subscribed"
    assert subscription(crm, n, "Text messages")["state"] == "requested"


def test_a_person_without_an_address_is_told_of(crm: TrytonCrm, n: int):
    crm.deliver([customer(n, email=None, phone="+33 1 44 55 66 77")])
    refused = only(crm.deliver([consent(n, "subscribed", channel="sms")]))
    assert refused.result is Result.REFUSED
    assert "has no e-mail address, by which the CRM's lists know people" in str(refused.reason)


def test_a_poll_tells_what_people_clicked_once(crm: TrytonCrm, people: Rpc, n: int):
    crm.deliver([customer(n), consent(n, "subscribed")])
    *_, last = crm.changed_since("subscriptions", None)
    assert not crm.has_changed("subscriptions", last.cursor)
    click(people, crm, n, active=False)
    assert crm.has_changed("subscriptions", last.cursor)
    pages = list(crm.changed_since("subscriptions", last.cursor))
    [says] = [json.loads(one.payload) for page in pages for one in page.messages]
    assert (says["state"], says["list"], says["written_by"]) == ("unsubscribed", "Newsletter", "preferences")
    assert not crm.has_changed("subscriptions", pages[-1].cursor)


def test_the_erps_party_carries_the_number_by_which_others_know_it(tryton: RunningTryton, n: int):
    [party] = tryton.rpc.call("party.party.create", [{"name": f"Ada {n}"}])
    numbers = {"customer_number": f"SHOP-C{n}", "shop_number": str(n)}
    one = Delivery(1, "numbers_to_erp", "customers", f"SHOP-C{n}", 1, "upsert", numbers, str(party), "x")
    for _ in range(2):
        assert only(tryton.connector.deliver([one])).remote_id == str(party)
    rows = tryton.rpc.call("party.identifier.search_read", [("party", "=", party)], 0, None, None, ["code"])
    assert sorted(row["code"] for row in rows) == [f"customer_number:SHOP-C{n}", f"shop_number:{n}"]
    ghost = Delivery(1, "numbers_to_erp", "customers", f"SHOP-C{n}9", 1, "upsert", numbers, None, "y")
    refused = only(tryton.connector.deliver([ghost]))
    assert (refused.result, refused.reason) == (Result.REFUSED, f"Tryton has no party None for SHOP-C{n}9")
