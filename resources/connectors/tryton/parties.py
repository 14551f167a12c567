"""Parties of a Tryton database, and the numbers under which other systems know them: each carries ours, once."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from resources.connectors.connector import Delivery, Outcome, Result
from resources.connectors.tryton.addresses import keep, lines_by_party
from resources.connectors.tryton.orders import Unsuitable
from resources.connectors.tryton.rpc import Refused, Rpc

OURS = "customer_number"  # the universal id
SHOP_NUMBER = "shop_number"
NUMBERS = (OURS, "erp_number", SHOP_NUMBER)


def carry_numbers(rpc: Rpc, deliveries: Sequence[Delivery], *, is_marked: bool = True) -> list[Outcome]:
    """Write on each party which numbers it goes by elsewhere, and the addresses that others tell of it; a party that is not
    there is refused, never made."""
    parties = known(rpc, deliveries)
    write_numbers(rpc, {parties[one.delivery_id]: one.payload for one in deliveries if one.delivery_id in parties})
    keep_addresses(rpc, deliveries, parties, is_marked=is_marked)
    return [
        Outcome(one.delivery_id, Result.APPLIED, str(parties[one.delivery_id]))
        if one.delivery_id in parties
        else Outcome(one.delivery_id, Result.REFUSED, reason=f"Tryton has no party {one.remote_id} for {one.key}")
        for one in deliveries
    ]


def keep_addresses(rpc: Rpc, deliveries: Iterable[Delivery], parties: Mapping[int, int], *, is_marked: bool) -> None:
    """Bring the addresses of these parties in line with what is told of them. Raises Refused."""
    payloads = {one.delivery_id: one.payload for one in deliveries}
    try:
        keep(rpc, lines_by_party(parties, payloads), is_marked=is_marked)
    except Unsuitable as problem:
        raise Refused(str(problem)) from problem


def known(rpc: Rpc, deliveries: Iterable[Delivery]) -> dict[int, int]:
    """The party of each delivery: the one that carries our number, else the one that is linked."""
    wanted = {one.delivery_id: (number_of(one), linked(one)) for one in deliveries}
    carrying = by_number(rpc, [number for number, _ in wanted.values()])
    ids = sorted({party for _, party in wanted.values() if party is not None})
    there = set(rpc.call("party.party.search", [("id", "in", ids)], active_test=False)) if ids else set()
    found: dict[int, int] = {}
    for delivery_id, (number, party) in wanted.items():
        if number in carrying:
            found[delivery_id] = carrying[number]
        elif party is not None and party in there:
            found[delivery_id] = party
    return found


def number_of(delivery: Delivery) -> str:
    """Our number of the person whom a delivery is about: of a consent, what stands before its channel."""
    return delivery.key.rsplit("/", 1)[0] if delivery.entity == "consents" else delivery.key


def linked(delivery: Delivery) -> int | None:
    """The party that a delivery names as the record's id in Tryton."""
    name = (delivery.remote_id or "").split("/")[0]
    return int(name) if name.isdigit() else None


def by_number(rpc: Rpc, numbers: Collection[str], name: str = OURS) -> dict[str, int]:
    """The parties that carry these numbers of that name; of two with one number the older."""
    codes = sorted({code_of(name, number) for number in numbers})
    rows = rpc.call(
        "party.identifier.search_read", [("code", "in", codes)], 0, None, [("id", "DESC")], ["code", "party"]
    )
    return {row["code"].split(":", 1)[1]: row["party"] for row in rows}


def write_numbers(rpc: Rpc, parties: Mapping[int, Mapping[str, Any]]) -> None:
    """Give these parties the numbers that are told of them; one that they have already is changed where it differs."""
    if not parties:
        return
    domain = [("party", "in", sorted(parties))]
    rows = rpc.call("party.identifier.search_read", domain, 0, None, [("id", "ASC")], ["party", "code"])
    held = {(row["party"], row["code"].split(":", 1)[0]): row for row in rows}
    new, changed = [], []
    for party, told in parties.items():
        for name in NUMBERS:
            if not told.get(name):
                continue
            code, row = code_of(name, told[name]), held.get((party, name))
            if row is None:
                new.append({"party": party, "code": code})
            elif row["code"] != code:
                changed.append((row["id"], {"code": code}))
    rpc.write("party.identifier", changed)
    if new:
        rpc.call("party.identifier.create", new)


def numbers_on(identifiers: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The numbers that stand on a party, by what they are."""
    codes = (one["code"].partition(":") for one in identifiers)
    return {name: number for name, _, number in codes if name in NUMBERS and number}


def code_of(name: str, number: Any) -> str:
    """A number as an identifier of a party tells it."""
    return f"{name}:{number}"
