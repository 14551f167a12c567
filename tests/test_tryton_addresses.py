"""Where customers live and are invoiced, in a real Tryton: one address of each kind is ours, and people's own stay theirs."""

import itertools
import json
from typing import Any

import pytest

from resources.connectors.connector import Connector, Delivery, Outcome, Result
from resources.connectors.tryton.rpc import Rpc, rpc_for
from tests.fixtures_tryton import RunningTryton

NUMBERS = itertools.count(1)
PARIS = {
    "name": "Ada Moreau",
    "street": "1 Rue de Lyon",
    "city": "Paris",
    "area": None,
    "postcode": "75012",
    "country": "FR",
}
LYON = PARIS | {"street": "9 Quai Sud", "city": "Lyon", "postcode": "69002"}
US = {"name": "Ada", "street": "1 Main St", "city": "Reno", "area": "Nevada", "postcode": "89501", "country": "US"}


@pytest.fixture(scope="module")
def clerk(tryton: RunningTryton) -> Rpc:
    """Somebody at the ERP, who is not we."""
    [we] = tryton.rpc.call(
        "res.user.search_read", [("login", "=", tryton.user)], 0, None, None, ["groups", "companies"]
    )
    company = tryton.rpc.context["company"]
    values = {"name": "Clerk", "login": "addresses-clerk", "password": tryton.password, "company": company,
              "groups": [("add", we["groups"])], "companies": [("add", we["companies"])]}  # fmt: skip
    tryton.rpc.call("res.user.create", [values])
    return rpc_for(tryton.base_url, tryton.database, "addresses-clerk", tryton.password)


@pytest.fixture
def party(clerk: Rpc) -> int:
    """A party that nobody knows where to find."""
    number = f"AD{next(NUMBERS)}"
    [made] = clerk.call("party.party.create", [{"name": "Ada Moreau", "code": number, "addresses": []}])
    return int(made)


def bring(connector: Connector, party: int, *lines: dict[str, Any], key: str = "") -> Outcome:
    key = key or f"SHOP-C{party}"
    payload = {"customer_number": key, "lines": lines, "shop_number": "1"}
    one = Delivery(1, "numbers_to_erp", "customers", key, 1, "upsert", payload, str(party), f"numbers_to_erp/{key}/1")
    [outcome] = connector.deliver([one])
    return outcome


def told(connector: Connector, party: int, stream: str = "parties") -> dict[str, dict[str, Any]]:
    """The addresses that the stream tells of a party, by kind."""
    pages = connector.snapshot(stream)
    [payload] = [json.loads(one.payload) for page in pages for one in page.messages if one.remote_id == str(party)]
    return {line.pop("kind"): line for line in payload["addresses"]}


def held(tryton: RunningTryton, party: int) -> list[tuple[int, str]]:
    rows = tryton.rpc.call("party.address.search_read", [("party", "=", party)], 0, None, [("id", "ASC")], ["street"])
    return [(row["id"], row["street"]) for row in rows]


def test_an_address_is_made_once_and_then_changed_in_its_place(tryton: RunningTryton, party: int) -> None:
    assert bring(tryton.connector, party, {"kind": "shipping", **PARIS}).result is Result.APPLIED
    [(first, street)] = held(tryton, party)
    assert street == "1 Rue de Lyon"
    for _ in range(2):
        assert bring(tryton.connector, party, {"kind": "shipping", **LYON}).result is Result.APPLIED
        assert held(tryton, party) == [(first, "9 Quai Sud")]
    assert told(tryton.connector, party)["shipping"] == {**LYON, "is_ours": True}


def test_what_people_entered_there_is_left_as_it_is_and_comes_second(
    tryton: RunningTryton, clerk: Rpc, party: int
) -> None:
    mine = {"party": party, "street": "Allee 1", "city": "Berlin", "invoice": True, "delivery": True, "sequence": 1}
    [theirs] = clerk.call("party.address.create", [mine])
    assert bring(tryton.connector, party, {"kind": "shipping", **PARIS}).result is Result.APPLIED
    assert [street for _, street in held(tryton, party)] == ["Allee 1", "1 Rue de Lyon"]
    found = told(tryton.connector, party)
    assert (found["shipping"]["street"], found["shipping"]["is_ours"]) == ("1 Rue de Lyon", True)
    assert (found["billing"]["street"], found["billing"]["is_ours"]) == ("Allee 1", False)
    [row] = clerk.call("party.address.read", [theirs], ["street", "invoice", "delivery", "sequence"])
    assert (row["street"], row["invoice"], row["delivery"], row["sequence"]) == ("Allee 1", True, True, 1)


def test_an_address_that_somebody_corrected_there_is_their_word(tryton: RunningTryton, clerk: Rpc, party: int) -> None:
    bring(tryton.connector, party, {"kind": "billing", **PARIS})
    [(number, _)] = held(tryton, party)
    clerk.call("party.address.write", [number], {"street": "2 Rue de Lyon"})
    assert told(tryton.connector, party)["billing"] == {**PARIS, "street": "2 Rue de Lyon", "is_ours": False}


def test_who_lives_there_already_gets_no_second_copy(tryton: RunningTryton, clerk: Rpc, party: int) -> None:
    [france] = clerk.call("country.country.search", [("code", "=", "FR")])
    there = {
        "party": party,
        "party_name": "ADA MOREAU",
        "street": "1 rue de  Lyon",
        "city": "Paris",
        "postal_code": "75012",
    }
    clerk.call("party.address.create", [{**there, "country": france}])
    assert bring(tryton.connector, party, {"kind": "shipping", **PARIS}).result is Result.APPLIED
    assert len(held(tryton, party)) == 1


def test_a_country_that_tryton_lacks_is_refused_and_an_area_that_it_knows_is_kept(
    tryton: RunningTryton, clerk: Rpc, party: int
) -> None:
    refused = bring(tryton.connector, party, {"kind": "shipping", **PARIS, "country": "XX"})
    assert (refused.result, refused.reason) == (
        Result.REFUSED, "Tryton has no country with code 'XX'; correct the address, or create the country there",
    )  # fmt: skip
    assert held(tryton, party) == []
    [states] = clerk.call("country.country.search", [("code", "=", "US")])
    clerk.call("country.subdivision.create", [{"name": "Nevada", "code": "US-NV", "type": "state", "country": states}])
    assert bring(tryton.connector, party, {"kind": "shipping", **US, "area": "NV"}).result is Result.APPLIED
    assert told(tryton.connector, party)["shipping"] == {**US, "is_ours": True}


def test_a_tax_number_makes_a_business_of_a_party(tryton: RunningTryton, clerk: Rpc, party: int) -> None:
    clerk.call("party.identifier.create", [{"party": party, "type": "eu_vat", "code": "FR40303265045"}])
    pages = tryton.connector.snapshot("parties")
    [payload] = [json.loads(one.payload) for page in pages for one in page.messages if one.remote_id == str(party)]
    assert payload["tax_number"] == "FR40303265045"


def test_a_contact_of_the_crm_has_one_address_of_each_kind(tryton: RunningTryton) -> None:
    crm = tryton.crm
    [contact] = crm.rpc.call("party.party.create", [{"name": "Ada Moreau"}])
    for place in (PARIS, LYON, LYON):
        lines = ({"kind": "shipping", **place}, {"kind": "billing", **PARIS})
        assert bring(crm, contact, *lines, key="SHOP-C9900001").result is Result.APPLIED
    found = told(crm, contact, "contacts")
    assert {kind: line["street"] for kind, line in found.items()} == {
        "shipping": "9 Quai Sud",
        "billing": "1 Rue de Lyon",
    }
    assert len(crm.rpc.call("party.address.search", [("party", "=", contact), ("city", "in", ["Paris", "Lyon"])])) == 2
