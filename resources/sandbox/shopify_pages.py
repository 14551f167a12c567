"""Pages, cursors and search terms of the sandbox shop's Admin API."""

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from graphql import GraphQLError

TERM = re.compile(r"""(\w+):(>=|<=|>|<)?("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\S+)""")


def size(page: Mapping[str, Any]) -> int:
    if page.get("last") or page.get("before"):
        raise GraphQLError("the sandbox shop pages forwards only; ask with first and after")
    first = page.get("first")
    if not first:
        raise GraphQLError("you must provide one of first or last", extensions={"code": "BAD_REQUEST"})
    if first > 250:
        raise GraphQLError(f"first cannot exceed 250, and is {first}", extensions={"code": "BAD_REQUEST"})
    return int(first)


def connection(rows: Sequence[tuple[tuple[int, int], Any]], first: int) -> dict[str, Any]:
    """The page's rows with their places; one row more than asked for tells that there is a next page."""
    shown = rows[:first]
    edges = [{"cursor": cursor(place), "node": node} for place, node in shown]
    return {
        "nodes": [node for _, node in shown],
        "edges": edges,
        "pageInfo": {
            "hasNextPage": len(rows) > first,
            "hasPreviousPage": False,
            "startCursor": edges[0]["cursor"] if edges else None,
            "endCursor": edges[-1]["cursor"] if edges else None,
        },
    }


def mapped(page: dict[str, Any], shape: Callable[[Any], dict[str, Any] | None]) -> dict[str, Any]:
    page["nodes"] = [shape(row) for row in page["nodes"]]
    page["edges"] = [{**edge, "node": node} for edge, node in zip(page["edges"], page["nodes"], strict=True)]
    return page


def cursor(place: tuple[int, int]) -> str:
    return base64.b64encode(json.dumps({"last_value": place[0], "last_id": place[1]}).encode()).decode()


def place(cursor: str) -> tuple[int, int]:
    try:
        read = json.loads(base64.b64decode(cursor, validate=True))
        return int(read["last_value"]), int(read["last_id"])
    except (ValueError, KeyError, TypeError) as problem:
        raise GraphQLError("Invalid cursor for current pagination sort.") from problem


def terms_of(query: str | None) -> list[list[tuple[str, str, str]]]:
    """A search as alternatives of terms that must all hold: (name, comparator, value)."""
    ways: list[list[tuple[str, str, str]]] = [[]]
    rest = (query or "").strip()
    while rest:
        word = re.match(r"(AND|OR)\s+", rest)
        if word:
            if word[1] == "OR":
                ways.append([])
            rest = rest[word.end() :]
            continue
        found = TERM.match(rest)
        if not found:
            raise GraphQLError(f"the sandbox shop cannot read the search at: {rest[:40]}")
        value = found[3]
        if value[0] in "'\"":
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        ways[-1].append((found[1], found[2] or "=", value))
        rest = rest[found.end() :].strip()
    return ways


def seconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as problem:
        raise GraphQLError(f"{text!r} is no time that a search understands") from problem
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def orders_where(query: str | None) -> tuple[str, list[Any]]:
    """A search over orders as a condition of ours, its values apart."""
    ways: list[str] = []
    values: list[str | int] = []
    for terms in terms_of(query):
        parts = ["true"]
        for name, comparator, value in terms:
            if name in ("updated_at", "created_at"):
                values.append(seconds(value))
            elif name == "id":
                name = "order_id"
                values.append(int(value))
            elif name == "name" and comparator == "=":
                values.append(value if value.startswith("#") else f"#{value}")
            else:
                raise GraphQLError(f"the sandbox shop does not search orders by {name}")
            parts.append(f"{name} {comparator} ?")
        ways.append("(" + " and ".join(parts) + ")")
    return "(" + " or ".join(ways) + ")", values


def matches(row: Mapping[str, Any], query: str | None, names: Mapping[str, str]) -> bool:
    compare: dict[str, Callable[[Any, Any], bool]] = {
        "=": lambda a, b: a == b,
        ">=": lambda a, b: a >= b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        "<": lambda a, b: a < b,
    }

    def holds(name: str, comparator: str, value: str) -> bool:
        if name == "sku" and comparator == "=":
            return str(row["sku"]).lower() == value.lower()  # as the real search does; the caller compares case
        if name not in names:
            raise GraphQLError(f"the sandbox shop does not search these by {name}")
        wanted = seconds(value) if name == "updated_at" else int(value)
        return compare[comparator](row[names[name]], wanted)

    return any(all(holds(*term) for term in terms) for terms in terms_of(query))
