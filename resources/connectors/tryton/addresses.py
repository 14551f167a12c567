"""Where a party of a Tryton database lives and is invoiced: what it tells of that, and the one address of each kind that is ours.

A sale keeps the address to which it went, so an address that an order brought is never changed. Beside those, a party has one
address for each kind that somebody else tells; the party's identifiers name it, and it is changed in place.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from resources.connectors.tryton.orders import Unsuitable, place
from resources.connectors.tryton.rpc import Rpc

Row = dict[str, Any]
MARKS = {"shipping": "delivery", "billing": "invoice"}  # kind: the field by which the ERP marks the address
NAMED = "_address:"  # in an identifier: shipping_address:<id of the party.address>
PLACE = ("party_name", "street", "city", "postal_code", "sequence", "active")
NEARBY = ("country", "subdivision", "country.code", "subdivision.name")
WRITERS = ("write_uid.login", "create_uid.login")


def fields_told(*, is_marked: bool) -> list[str]:
    """What is read of an address to tell it; only an ERP marks what it is for."""
    return ["id", *PLACE, *NEARBY, *WRITERS, *(MARKS.values() if is_marked else ())]


def chosen(rows: Iterable[Row]) -> dict[str, Row]:
    """The address of each kind as Tryton itself chooses: the first that is marked for it, else the first of all."""
    here = sorted(
        (row for row in rows if row["active"]), key=lambda row: (row["sequence"] is None, row["sequence"], row["id"])
    )
    return {kind: next((row for row in here if row[mark]), here[0]) for kind, mark in MARKS.items() if here}


def named(party: Row) -> dict[str, Row]:
    """The addresses of a party that its identifiers name, by kind."""
    rows = {row["id"]: row for row in party["addresses."]}
    return {
        kind: rows[number]
        for kind, number in _named(one["code"] for one in party["identifiers."]).items()
        if number in rows and rows[number]["active"]
    }


def as_told(addresses: Mapping[str, Row], own_user: str) -> list[dict[str, Any]]:
    """Addresses as a stream tells them; `is_ours` is what nobody but us has written."""
    return [
        {
            "kind": kind,
            "name": row["party_name"],
            "street": row["street"],
            "city": row["city"],
            "postcode": row["postal_code"],
            "area": (row.get("subdivision.") or {}).get("name"),
            "country": (row.get("country.") or {}).get("code"),
            "is_ours": (row["write_uid."] or row["create_uid."] or {}).get("login") == own_user,
        }
        for kind, row in addresses.items()
    ]


def keep(rpc: Rpc, wanted: Mapping[int, Sequence[Mapping[str, Any]]], *, is_marked: bool = True) -> None:
    """Bring the addresses of parties in line with what is told of them; what people entered there stays as it is.

    Safe to repeat: an address that says so already, whoever entered it, is left alone. Raises Unsuitable, having written nothing.
    """
    asked = {party: lines for party, lines in wanted.items() if lines}
    if not asked:
        return
    nearby = _Nearby(rpc, [line for lines in asked.values() for line in lines])
    values = {(party, line["kind"]): _values(line, nearby) for party, lines in asked.items() for line in lines}
    fields = ["identifiers.code", *(f"addresses.{name}" for name in fields_told(is_marked=is_marked))]
    new: dict[tuple[int, str], Row] = {}
    changed: list[tuple[int, Row]] = []
    for row in rpc.call("party.party.read", sorted(asked), fields, active_test=False):
        ours, told_now = named(row), chosen(row["addresses."]) if is_marked else named(row)
        first = min((one["sequence"] for one in row["addresses."] if one["sequence"] is not None), default=1) - 1
        for kind in (kind for party, kind in values if party == row["id"]):
            value = values[row["id"], kind]
            if kind in told_now and _is(told_now[kind], value):
                continue
            more = {"sequence": first, **{mark: mark == MARKS[kind] for mark in MARKS.values()}} if is_marked else {}
            if kind in ours:
                changed.append((ours[kind]["id"], value | more))
            else:
                new[row["id"], kind] = {"party": row["id"], **value, **more}
    rpc.write("party.address", changed)
    if new:
        made = rpc.call("party.address.create", list(new.values()))
        _name(rpc, dict(zip(new, made, strict=True)))


def of_orders(rows: Iterable[Row]) -> list[Row]:
    """The addresses that a sale may keep: not those that follow their customer."""
    return [
        row for row in rows if row["id"] not in _named(one["code"] for one in row["party."]["identifiers."]).values()
    ]


def _name(rpc: Rpc, made: Mapping[tuple[int, str], int]) -> None:
    """Let the parties' identifiers name these addresses; a name that a deleted address left is given to the new one."""
    domain = [("party", "in", sorted({party for party, _ in made})), ("code", "like", f"%{NAMED}%")]
    rows = rpc.call("party.identifier.search_read", domain, 0, None, None, ["party", "code"])
    held = {(row["party"], row["code"].partition(NAMED)[0]): row["id"] for row in rows}
    codes = {(party, kind): f"{kind}{NAMED}{number}" for (party, kind), number in made.items()}
    rpc.write("party.identifier", [(held[whose], {"code": code}) for whose, code in codes.items() if whose in held])
    new = [{"party": whose[0], "code": code} for whose, code in codes.items() if whose not in held]
    if new:
        rpc.call("party.identifier.create", new)


def _named(codes: Iterable[str]) -> dict[str, int]:
    found = (code.partition(NAMED) for code in codes)
    return {kind: int(number) for kind, sign, number in found if sign and number.isdigit()}


class _Nearby:
    """The countries of some addresses, and the areas of these that Tryton knows."""

    def __init__(self, rpc: Rpc, lines: Sequence[Mapping[str, Any]]) -> None:
        codes = sorted({str(line["country"]).upper() for line in lines if line.get("country")})
        rows = (
            rpc.call("country.country.search_read", [("code", "in", codes)], 0, None, None, ["code"]) if codes else []
        )
        self.countries: dict[str, int] = {row["code"]: row["id"] for row in rows}
        self.areas: dict[tuple[str, str], int] = {}
        if self.countries and any(line.get("area") for line in lines):
            fields = ["code", "name", "country.code"]
            domain = [("country", "in", sorted(self.countries.values()))]
            for row in rpc.call("country.subdivision.search_read", domain, 0, None, None, fields):
                country = row["country."]["code"]
                for spelt in (row["name"], row["code"], row["code"].removeprefix(f"{country}-")):
                    self.areas[country, spelt.casefold()] = row["id"]

    def country(self, code: Any) -> int | None:
        if not code:
            return None
        found = self.countries.get(str(code).upper())
        if found is None:
            raise Unsuitable(
                f"Tryton has no country with code {code!r}; correct the address, or create the country there"
            )
        return found


def _values(line: Mapping[str, Any], nearby: _Nearby) -> Row:
    """An address as Tryton is given it. It has no room for an area that it does not know."""
    area = nearby.areas.get((str(line.get("country")).upper(), str(line.get("area")).casefold()))
    return {
        "party_name": line.get("name"),
        "street": line.get("street"),
        "city": line.get("city"),
        "postal_code": line.get("postcode"),
        "country": nearby.country(line.get("country")),
        "subdivision": area,
    }


def _is(row: Row, value: Row) -> bool:
    """Whether an address of Tryton's is at that place."""
    names = ("party_name", "street", "city", "postal_code")
    is_there = place(*(row[name] for name in names)) == place(*(value[name] for name in names))
    is_known = value["subdivision"] is None or row["subdivision"] == value["subdivision"]
    return is_there and row["country"] == value["country"] and is_known


def lines_by_party(parties: Mapping[int, int], payloads: Mapping[int, Mapping[str, Any]]) -> dict[int, list[Any]]:
    """What deliveries tell of addresses, by the party of each."""
    found: dict[int, list[Any]] = defaultdict(list)
    for delivery_id, party in parties.items():
        found[party] += payloads[delivery_id].get("lines") or []
    return dict(found)
