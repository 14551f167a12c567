"""Every `resolve` word answers the same, whatever the order in which the messages came, and names the message that decided."""

import random
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.compiler.entity import Facts
from pipelines.language.schema import load_map
from resources.lake.macros import spell
from tests.fixtures_contract import ContractWorld
from tests.fixtures_world import at, order
from tests.map_draft import Draft

# (system, remote id, moment, value, is broken): the newest word is the storefront's of moment 6, the ERP is never asked first.
STATUS = [("shopify", "1", 1, "placed", False), ("shopify", "1", 3, "cancelled", False), ("shopify", "1", 6, "paid", False),
          ("shopify", "1", 8, "lost", True), ("tryton", "R", 9, "refunded", False)]  # fmt: skip
AMOUNT = [("shopify", "1", 1, 5, False), ("shopify", "1", 4, 7, False), ("shopify", "1", 4.5, 7, False), ("shopify", "2", 2, 10, False),
          ("shopify", "2", 9, 99, True), ("tryton", "R", 9, 1000, False)]  # fmt: skip
WORD = [("shopify", "1", 1, None, False), ("shopify", "1", 2, "b", False), ("shopify", "1", 3, "a", False),
        ("shopify", "1", 4, "b", False), ("shopify", "1", 5, None, False), ("tryton", "R", 0, "z", False)]  # fmt: skip
ASKED = ["storefront", "erp"]

CASES: dict[str, tuple[dict[str, Any], list[tuple[Any, ...]], Any, float | None]] = {
    # field as the map says it, messages, answer, moment of the message that decided
    "latest": ({"type": "text"}, WORD, None, 5),
    "latest of the first who says": ({"type": "text", "owner": ASKED}, WORD, "z", 5),
    "latest of the only one who says": ({"type": "text", "owner": ASKED}, WORD[-1:], "z", 0),
    "first": ({"type": "text", "resolve": "first"}, WORD, "b", 2),
    "furthest": ({"type": ["placed", "paid", "refunded", "cancelled"], "resolve": "furthest"}, STATUS, "cancelled", 3),
    "furthest, but": (
        {"type": ["placed", "paid", "refunded", "cancelled"], "resolve": "furthest", "may_go_back": ["cancelled"]}, STATUS, "paid", 6,
    ),
    "collect": ({"type": "text", "resolve": "collect"}, WORD, ["a", "b"], None),
    "sum": ({"type": "integer", "resolve": "sum"}, AMOUNT, 17, None),
    "sum of nothing": ({"type": "integer", "resolve": "sum"}, AMOUNT[-1:], None, None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_resolve_word_answers_the_same_in_every_order(tmp_path: Path, case: str) -> None:
    told, messages, answer, moment = CASES[case]
    draft = Draft(tmp_path)
    draft.entities["orders"]["fields"]["x"] = {"owner": "storefront", **told}
    the_map = load_map(draft.write())
    facts = Facts(the_map, the_map.entities["orders"])
    kind = {int: "integer"}.get(type(messages[0][3]), "varchar")
    with duckdb.connect() as db:
        for _ in range(12):
            random.shuffle(messages)
            db.execute(
                "create or replace table told (system text, remote_id text, order_key double, value text, is_broken boolean)"
            )
            db.executemany("insert into told values (?, ?, ?, ?, ?)", messages)
            db.execute(
                f"create or replace table messages as select *, cast(value as {kind}) as x, rowid as inbox_id, false as is_rejected, "
                "'shopify' as origin_system, {'x': true} as said, {'x': if(is_broken, 'why', null)} as broken from told"
            )
            asked = spell(f"select {facts.settle('x')}, {facts.winner('x')} from messages")
            [(found, winner)] = db.execute(asked).fetchall()
            assert found == answer
            if moment is not None:
                assert messages[winner][2] == moment


@pytest.mark.parametrize("turned", [False, True], ids=["wholesale first", "shop first"])
def test_of_two_storefronts_the_one_that_knew_a_party_of_the_erp_first_owns_its_name(
    contract: ContractWorld, turned: bool
) -> None:
    n = contract.number()
    email = f"buyer{n}@example.com"

    def settle() -> None:
        while contract.sync("customers")[0].batch:
            pass

    def wholesale() -> None:
        rows = [{"CustomerID": str(n), "Buyer": "Buyer, of wholesale", "Email": email, "StockCode": "TEE", "Quantity": "1",
                 "InvoiceDate": "2026-11-19 09:00:00", "UnitPrice": "10.00", "Country": "France", "row_number": "1"}]  # fmt: skip
        contract.say("wholesale", "order_files", {"InvoiceNo": str(n), "rows": rows}, by="file", row_number=1,
                     file_name="orders/2026-11-20.csv", file_occurrence=f"drop of {n}")  # fmt: skip

    def shop() -> None:
        customer = {"id": n, "first_name": "Buyer", "last_name": "of the shop", "email": email}
        contract.say("shopify", "orders", order(1000 + n, 5, customer=customer), remote_id=str(1000 + n))

    party = {"id": str(n), "code": f"P{n}", "name": "Buyer, of the ERP", "email": email, "write_date": at(-2000)}
    contract.say("tryton", "parties", party, by="poll", remote_id=str(n))
    settle()
    for step in (shop, wholesale) if turned else (wholesale, shop):
        step()
        settle()
    found = contract.row(f"select * from customers where email = '{email}'")
    assert (found["customer_number"], found["origin_system"]) == (f"ERP-P{n}", "tryton")
    assert found["name"] == "Buyer, of wholesale"
    assert found["erp_number"] == f"P{n}"
