"""Failures that real integrations had, by number, and what shows that Concord has them not: `python -m tests.symptoms`.

A story or a test shows a symptom when its name says so: stories/symptom_09_….yaml, law_…_symptom_24, test_…_symptom_38.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).parent
NAMED = re.compile(r"symptom_(\d+)")

SYMPTOMS = {
    1: "writing the ERP's number back wakes the shop's webhook, and what it tells wipes what was known",
    2: "an order that we pushed is read back, and then counts as begun there",
    3: "a cancellation comes before its order, which is then made and shipped",
    4: "a cancellation is understood and never reaches its destination",
    5: "an answer is lost, and the second try makes a second sale",
    6: "stock that returns to an earlier value is taken for a repetition and not written",
    7: "two jobs import one record: an error, or two records",
    8: "identical webhooks of one instant overtake each other",
    9: "a late word sets a delivered order back; a second parcel erases the first one's tracking number",
    10: "a marketplace makes a parent order and child orders, and all of them are imported",
    11: "new orders stop coming although the webhook stands",
    12: "webhooks are not sent at random, or switched off after failures",
    13: "the door says yes while the database says no",
    14: "money is paid, and no order comes of it",
    15: "a version of an API is retired, and everything stops",
    16: "the morning's count forgets what was half shipped, and stock grows",
    17: "one bad row fails the stock update of hundreds",
    18: "what is promised is subtracted twice, or differs from shop to shop",
    19: "a backlog grows faster than it is carried",
    20: "orders of one instant sell more than there is",
    21: "two systems correct each other for ever",
    22: "a one-way flow is taken for a two-way one",
    23: "a SKU changes between sale and credit, and stock breaks",
    24: "a discount is taken off the gross instead of the net",
    25: "tax is rounded a line instead of a total",
    26: "an order is booked in the company's currency and not in the customer's",
    27: "a refund mixes the shop's currency with the customer's",
    28: "a rate of exchange is a constant 1",
    29: "an exchanged item is counted twice",
    30: "a sale and its capture are counted as two",
    31: "returns never reach the ERP",
    32: "a part of an order that is shipped carries all of its tax, or is told with the last part only",
    33: "a payout is not explained by its transactions",
    34: "two clocks, equal seconds and no order lose what changes meanwhile",
    35: "what is asked for by its id tells of no change",
    36: "a few hundred of thousands of orders come, and nothing fails",
    37: "refunds that the order carries are missing",
    38: "a row that is committed late stands below the watermark and is lost",
    39: "what is deleted for good is never heard of",
    40: "orders of the first hours count to the day before",
    41: "an order that is not paid yet has no address",
    42: "a limiter that is told of no cost never waits",
    43: "pages are cut to fifty and nobody says so",
    44: "every guest becomes a new customer in the ERP",
    45: "an order without a customer makes a sale of nobody",
    46: "a full import subscribes those who had left",
    47: "a file is read while it is still being written",
}

OPEN = {  # what nothing shows yet, and what it needs
    16: "returns and counts that meet in a story",
    19: "the bench drains a backlog (README, How fast); a test of it would be as slow",
    23: "returns of a SKU that has another name by then",
    28: "nothing converts: amounts stay in the currency in which they were told",
    29: "exchanges",
    31: "returns",
    37: "returns",
    46: "consents",
}


def shown() -> dict[int, list[str]]:
    """What shows each symptom, as path::name."""
    found: dict[int, list[str]] = {number: [] for number in SYMPTOMS}
    for name, where in _names():
        for number in NAMED.findall(name):
            found.setdefault(int(number), []).append(where)
    return found


def _names() -> Iterator[tuple[str, str]]:
    """(name, path::name) of every story, test and law."""
    for path in sorted((TESTS / "stories").glob("*.yaml")):
        yield path.stem, f"stories/{path.name}"
    for path in sorted(TESTS.glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith(("test_", "law_")):
                yield node.name, f"{path.name}::{node.name}"


def main() -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("number", "what went wrong", "shown by"):
        table.add_column(column, overflow="fold")
    for number, places in shown().items():
        table.add_row(str(number), SYMPTOMS.get(number, "?"), "\n".join(places) or f"open: {OPEN[number]}")
    Console(width=180).print(table)


if __name__ == "__main__":
    main()
