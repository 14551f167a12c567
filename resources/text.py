"""Bytes into JSON text that loses nothing: every number becomes a string, every NUL a visible mark."""

import hashlib
import json
from typing import Any

BOM = b"\xef\xbb\xbf"


def as_payload(body: bytes) -> str:
    """The body as JSON text in which every number is a string. Raises ValueError when it is not JSON."""
    return dump_payload(json.loads(body.removeprefix(BOM), parse_int=str, parse_float=str, parse_constant=str))


def dump_payload(value: Any) -> str:
    """JSON text of a value whose numbers are strings already; Postgres text cannot hold a NUL, so it becomes U+2400."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("\\u0000", "␀")


def hash_of(body: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(body).hexdigest()
