"""Bytes into JSON text that loses nothing: every number becomes a string, every NUL a visible mark."""

import hashlib
import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

BOM = b"\xef\xbb\xbf"
NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")  # escaped, and not a backslash that is followed by u0000
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def as_payload(body: bytes) -> str:
    """The body as JSON text in which every number is a string. Raises ValueError when it is not JSON."""
    return dump_payload(json.loads(body.removeprefix(BOM), parse_int=str, parse_float=str, parse_constant=str))


def dump_payload(value: Any) -> str:
    """JSON text of a value whose numbers are strings already.

    Postgres text holds neither a NUL nor half a surrogate pair: they become U+2400 and U+FFFD.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if "\\u0000" in text:
        text = NUL.sub("\\1␀", text)
    return text if text.isascii() else LONE_SURROGATE.sub("\ufffd", text)


def hash_of(body: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(body).hexdigest()


def whole(text: Any) -> int:
    """A quantity, which must be whole. Raises ValueError."""
    try:
        number = Decimal(str(text))
    except InvalidOperation as problem:
        raise ValueError(f"{text!r} is no number") from problem
    if not number.is_finite() or number != number.to_integral_value():
        raise ValueError(f"{text} is no whole number of pieces")
    return int(number)
