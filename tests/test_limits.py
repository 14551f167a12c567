"""What refunds of one payment may come to together, in every order in which they can be told."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.compiler.allocation import Limits
from pipelines.language.schema import load_map
from resources.lake.macros import teach

THE_MAP = load_map()
LIMITS = Limits(THE_MAP, THE_MAP.entities["refunds"])


class Told(NamedTuple):
    """Something that somebody tells: a refund that is owed or was made at the payment service, or what was captured."""

    what: str
    number: int = 0
    cents: int = 0


@pytest.fixture(scope="module")
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        teach(connection)
        connection.execute(
            "create table refunds (refund_number varchar, payment_number varchar, amount decimal(38, 10), currency varchar,"
            " status varchar, first_inbox_id bigint, deleted_at timestamptz)"
        )
        connection.execute("create table payments (payment_number varchar, captured decimal(38, 10), currency varchar)")
        yield connection


def held(db: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return dict(
        db.execute(LIMITS.beyond("captured", "select payment_number from payments union select 'P'")).fetchall()
    )


def euros(cents: int) -> Decimal:
    return Decimal(cents) / 100


histories = st.tuples(
    st.integers(1, 3000),
    st.lists(st.tuples(st.sampled_from(["owed", "made there"]), st.integers(1, 2000)), min_size=1, max_size=6),
).flatmap(
    lambda drawn: st.permutations(
        [Told("captured", cents=drawn[0]), *(Told(what, n, cents) for n, (what, cents) in enumerate(drawn[1]))]
    )
)


@settings(deadline=None)
@given(history=histories, pauses=st.sets(st.integers(0, 6)))
def test_no_delivery_gives_back_more_than_was_captured(
    db: duckdb.DuckDBPyConnection, history: list[Told], pauses: set[int]
) -> None:
    """What is not held is delivered at every pause; the service tells of it later, or never."""
    db.execute("delete from refunds; delete from payments")
    given_back: dict[str, int] = {}  # what we know to be given back, or have sent
    captured = None
    for position, told in enumerate(history):
        name = f"R{told.number}"
        if told.what == "captured":
            captured = told.cents
            db.execute("insert into payments values ('P', ?, 'EUR')", [euros(told.cents)])
        else:
            status = "owed" if told.what == "owed" else "paid"
            row: list[Any] = [name, euros(told.cents), status, position]
            db.execute("insert into refunds values ($1, 'P', $2, 'EUR', $3, $4, null)", row)
            given_back |= {name: told.cents} if status == "paid" else {}
        if position not in pauses and position < len(history) - 1:
            continue
        waiting = held(db)
        open_ones = [
            one for one in history[: position + 1] if one.what == "owed" and f"R{one.number}" not in given_back
        ]
        sent = {f"R{one.number}": one.cents for one in open_ones if f"R{one.number}" not in waiting}
        given_back |= sent
        if sent:
            assert captured is not None, "nothing is sent of a payment that nobody knows"
            assert sum(given_back.values()) <= captured
        for one in open_ones:  # who waits waits for a reason: together with what goes before, it is too much
            if captured is not None and f"R{one.number}" not in sent:
                assert (
                    one.cents + sum(given_back.values()) + sum(o.cents for o in open_ones if o.number != one.number)
                    > captured
                )


def test_a_refund_of_another_currency_is_not_added_up(db: duckdb.DuckDBPyConnection) -> None:
    db.execute("delete from refunds; delete from payments; insert into payments values ('P', 20, 'EUR')")
    rows = "('R1', 'P', 15, 'EUR', 'paid', 1, null), ('R2', 'P', 1700, 'JPY', 'owed', 2, null)"
    db.execute(
        f"insert into refunds values {rows}, ('R3', 'P', 6, 'EUR', 'owed', 3, null), ('R4', 'P', 9, 'EUR', 'failed', 4, null)"
    )
    assert held(db) == {
        "R3": "captured: payments.captured of P is 20.00, and with the 15.00 of R1 it comes to 21.00; team:finance says which of them goes"
    }
