"""Global ids, as Shopify's Admin API writes them."""

import re


def gid(kind: str, number: int) -> str:
    return f"gid://shopify/{kind}/{number}"


def number_of(identifier: str, kind: str) -> int | None:
    """The number in a global id of that kind; None for any other text."""
    found = re.fullmatch(rf"gid://shopify/{kind}/(\d+)(\?.*)?", identifier)
    return int(found[1]) if found else None
