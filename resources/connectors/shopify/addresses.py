"""The addresses in a Shopify customer's book that others tell: one of each kind, which metafields name, changed in place."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from resources.connectors.shopify.admin_api import AdminApi, problem_of

NAMESPACE = "concord"
THEIRS = "theirs "  # in a metafield before an address that is in the book for another reason: it is never changed
CODE = re.compile(r"[A-Z0-9]{1,3}")  # of a province
PARTS = ("firstName", "lastName", "address1", "address2", "city", "zip", "countryCode")


def keep(api: AdminApi, customer: str, lines: Sequence[Mapping[str, Any]]) -> str | None:
    """Bring a customer's book in line with what is told; what Shopify says against it, or None.

    Safe to repeat: an address that is there already, whoever entered it, is named and not entered again; what the customer
    entered is never changed.
    """
    if not lines:
        return None
    book = api.ask("CustomerBook", {"id": customer}).data["customer"]
    if book is None:
        return "Customer does not exist"
    held = {row["id"]: row for row in book["addressesV2"]["nodes"]}
    first = (book["defaultAddress"] or {}).get("id")
    for line in lines:
        kind, wanted = str(line["kind"]), _input(line)
        is_first = kind == "shipping"  # which the shop itself tells, once it has one of its own
        named = (book[f"{kind}Address"] or {}).get("value")
        same = next((number for number, row in held.items() if _is(row, wanted)), None)
        changed = named if named in held and same is None else None
        wish = {"customer": customer, "address": wanted, "isDefault": is_first}
        if changed or (same and is_first and same != first):
            done = api.write("ChangeAddress", {**wish, "id": changed or same})["customerAddressUpdate"]
        elif same:
            done = {"address": held[same], "userErrors": []}
        else:
            done = api.write("AddAddress", wish)["customerAddressCreate"]
        if problem := problem_of(done):
            return f"{kind} address: {problem}"
        number = done["address"]["id"]
        held[number] = {**wanted, "countryCodeV2": wanted["countryCode"]}
        if problem := _name(api, customer, kind, named, f"{THEIRS}{same}" if same and same != named else number):
            return problem
    return None


def _name(api: AdminApi, customer: str, kind: str, named: str | None, number: str) -> str | None:
    """Let the customer's metafield name the address of that kind; what Shopify says against it, or None."""
    if named == number:
        return None
    field = {"ownerId": customer, "namespace": NAMESPACE, "key": f"{kind}_address", "value": number}
    wish = {"metafields": [{**field, "type": "single_line_text_field"}]}
    return problem_of(api.write("WriteNotes", wish)["metafieldsSet"])


def with_billing(node: Mapping[str, Any]) -> dict[str, Any]:
    """A customer as we pass them on: with the address in the book to which we brought the invoices, where there is one."""
    rest = {name: value for name, value in node.items() if name not in ("addressesV2", "billingName")}
    named = ((node.get("billingName") or {}).get("value") or "").removeprefix(THEIRS)
    rows = (node.get("addressesV2") or {}).get("nodes") or []
    billing = next((row for row in rows if row["id"] == named), None)
    return {**rest, "billingAddress": billing and {name: value for name, value in billing.items() if name != "id"}}


def _input(line: Mapping[str, Any]) -> dict[str, Any]:
    """An address as Shopify is given it: a first and a last name, and two lines of a street."""
    first, _, last = (line.get("name") or "").rpartition(" ")
    street = re.split(r"\s*[\n,]\s*", line.get("street") or "", maxsplit=1)
    area = line.get("area")
    province = {} if not area else {"provinceCode": area} if CODE.fullmatch(area) else {"province": area}
    return {
        "firstName": first or None,
        "lastName": last or None,
        "address1": street[0] or None,
        "address2": street[1].replace("\n", ", ") if len(street) > 1 else None,
        "city": line.get("city"),
        "zip": line.get("postcode"),
        "countryCode": line.get("country"),
        **province,
    }


def _is(row: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    told = {**row, "countryCode": row["countryCodeV2"]}
    return all((told[part] or "") == (wanted[part] or "") for part in PARTS)
