"""Check digits of GTINs and tracking numbers: right ones pass, one wrong digit does not, and what bears none is left alone."""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from resources.lake.macros import teach
from tests.fixtures_contract import ContractWorld
from tests.fixtures_world import at, line, order

REALDATA = os.environ.get("CONCORD_REALDATA")
CARRIERS = ("ups", "s10", "fedex", "usps", "dhl")
CHECKED = {  # the formats whose check digit is known here
    "UPS", "S10", "FedEx Express (12)", "FedEx Ground", "FedEx Ground 96 (22)", "USPS 20", "USPS IMpb N", "DHL Express",
}  # fmt: skip


@pytest.fixture(scope="module")
def words() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as db:
        teach(db)
        yield db


def judged(words: duckdb.DuckDBPyConnection, *numbers: tuple[str, str | None]) -> list[bool]:
    """Whether each (number, carrier) may be."""
    return [words.execute("select is_tracking_number(?, ?)", [*one]).fetchall()[0][0] for one in numbers]


def gs1(serial: str) -> str:
    """The serial with its check digit, reckoned as GS1's General Specifications (7.9) tell it."""
    weighed = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(serial)))
    return f"{serial}{-weighed % 10}"


def test_a_gtin_has_its_length_and_its_check_digit(words: duckdb.DuckDBPyConnection) -> None:
    dice = random.Random(8)
    for length in (7, 11, 12, 13) * 50:
        right = gs1("".join(dice.choice("0123456789") for _ in range(length)))
        place = dice.randrange(length + 1)
        wrong = right[:place] + str((int(right[place]) + dice.randint(1, 9)) % 10) + right[place + 1 :]
        assert words.execute("select is_gtin(?), is_gtin(?)", [right, wrong]).fetchall() == [(True, False)]
    for value in ("", "4006381333931 ", "400638133393", "40063813339310000", "ABCDEFGH", "٤٠٠٦٣٨١٣٣٣٩٣١"):
        assert words.execute("select is_gtin(?)", [value]).fetchall() == [(False,)]


def test_a_tracking_number_with_a_wrong_check_digit_is_found(words: duckdb.DuckDBPyConnection) -> None:
    right = [("1Z999AA10123456784", "UPS"), ("RR123456785DE", None), ("rr 123 456 785 de", "Deutsche Post")]
    wrong = [("1Z999AA10123456785", "UPS"), ("RR123456784DE", None), ("1Z999AA10123456785", None)]
    assert judged(words, *right) == [True] * 3
    assert judged(words, *wrong) == [False] * 3


def test_what_bears_no_known_check_digit_is_nobodys_mistake(words: duckdb.DuckDBPyConnection) -> None:
    unknown = [("T-P1", "DHL"), ("00340434161094042557", "DHL"), ("123456789012", "Hermes"), ("1234567890", None)]
    assert judged(words, *unknown, ("1Z", "UPS"), ("", "UPS")) == [True] * 6


@pytest.mark.skipif(not REALDATA, reason="CONCORD_REALDATA does not name a folder of real payloads")
def test_carriers_own_numbers_pass_and_their_counterexamples_do_not(words: duckdb.DuckDBPyConnection) -> None:
    passed = failed = 0
    for carrier in CARRIERS:
        told = json.loads((Path(REALDATA or "") / f"carriers/tracking_number_formats/{carrier}.json").read_text())
        for one in told["tracking_numbers"]:
            numbers = one["test_numbers"]
            assert judged(words, *((n, carrier) for n in numbers["valid"])) == [True] * len(numbers["valid"]), one[
                "name"
            ]
            passed += len(numbers["valid"])
            if one["name"] in CHECKED:
                for number in numbers["valid"]:
                    digits = [place for place, letter in enumerate(number) if letter.isdigit()]
                    last = digits[-1]
                    other = number[:last] + str((int(number[last]) + 1) % 10) + number[last + 1 :]
                    assert judged(words, (other, carrier)) == [False], (one["name"], other)
                    failed += 1
    print(f"{passed} numbers passed, {failed} with another check digit did not")
    assert passed > 50
    assert failed > 20


def test_a_parcel_with_a_wrong_number_is_warned_of_and_goes_on(contract: ContractWorld) -> None:
    contract.say("shopify", "orders", order(50, 0, [line(50)]), remote_id="50")
    told = {"parcel": "P50", "order": "SHOP-50", "carrier": "UPS", "tracking": "1Z999AA10123456785", "at": at(30)}
    contract.say("warehouse", "despatches", {**told, "lines": [{"sku": "TEE", "quantity": 2}]}, by="file",
                 row_number=1, file_name="despatch/P50.xml", file_occurrence="50")  # fmt: skip
    contract.sync()
    [flag] = contract.rows("select * from fulfilments_flags where key = '3PL-P50'")
    assert (flag["severity"], flag["reason"]) == (
        "warn",
        "tracking_number: «1Z999AA10123456785» has a wrong check digit",
    )
    assert [row["key"] for row in contract.outbox("despatch_to_storefront")] == ["3PL-P50"]
