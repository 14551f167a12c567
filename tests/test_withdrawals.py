"""A withdrawal wins: a law over every order and repetition of what was said."""

import random
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from pipelines.compiler.entity import Facts
from pipelines.language.schema import IntegrationMap
from pipelines.operations import actions
from pipelines.operations.actions import Unacceptable
from resources.lake.macros import spell, teach

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
Said = tuple[int, str, str, str]  # minutes, system, status, level
WORDS = [("shopify", "subscribed", "single"), ("shopify", "withdrawn", "single"), ("shopify", "pending", "single"),
         ("tryton_crm", "subscribed", "confirmed"), ("tryton_crm", "subscribed", "single"),
         ("tryton_crm", "withdrawn", "single"), ("tryton_crm", "subscribed", "carried")]  # fmt: skip


@pytest.fixture(scope="module")
def settled(the_map: IntegrationMap) -> str:
    """The canonical model's own call, spelled out over a table of messages."""
    withdrawal = Facts(the_map, the_map.entities["consents"]).withdrawal
    assert withdrawal is not None
    return spell(f"select {withdrawal.call} as word from messages")


@pytest.fixture(scope="module")
def db() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    teach(connection)
    return connection


def status_of(
    db: duckdb.DuckDBPyConnection, settled: str, history: list[Said], *, joined_after: int | None = None
) -> str:
    """What is settled of a history, told in this order. What was told of another record was joined to it at that minute."""
    joined = None if joined_after is None else NOON + timedelta(minutes=joined_after)
    rows = [
        {
            "inbox_id": number, "system": system, "status": status, "level": level, "channel": "email", "wording": "",
            "since": NOON + timedelta(minutes=minutes), "occurred_at": NOON + timedelta(minutes=minutes), "said_by": system,
            "order_key": minutes * 1000 + WORDS.index((system, status, level)), "joined_at": joined,
            "told_as": "one" if joined is None or system == "shopify" else "other", "is_rejected": False,
        }
        for number, (minutes, system, status, level) in enumerate(history)
    ]  # fmt: skip
    db.execute(
        "create or replace temp table messages as select unnest($rows, recursive := true), "
        "{'status': true} as said, {'status': cast(null as varchar)} as broken",
        {"rows": rows},
    )
    found = db.execute(settled).fetchone()
    assert found is not None
    return str(found[0]["status"])


def due(history: list[Said]) -> str:
    """The rule in words: the newest withdrawal stands unless the person confirmed anew at the CRM after it."""
    withdrawn = [minutes for minutes, _, status, _ in history if status == "withdrawn"]
    confirmed = [
        minutes
        for minutes, system, status, level in history
        if (system, status, level) == ("tryton_crm", "subscribed", "confirmed")
    ]
    if withdrawn and not any(minutes > max(withdrawn) for minutes in confirmed):
        return "withdrawn"
    words = {status for _, _, status, _ in history} - {"withdrawn"}
    return "subscribed" if "subscribed" in words else "pending"


def test_every_order_and_repetition_settles_the_same_and_no_repetition_widens(
    db: duckdb.DuckDBPyConnection, settled: str
):
    dice = random.Random(46)
    for _ in range(40):
        history: list[Said] = [(dice.randrange(6), *dice.choice(WORDS)) for _ in range(dice.randrange(1, 7))]
        told = [*history, *dice.choices(history, k=3)]
        dice.shuffle(told)
        assert status_of(db, settled, told) == status_of(db, settled, history) == due(history), history


def test_what_another_record_confirmed_before_the_two_were_one_lifts_nothing(
    db: duckdb.DuckDBPyConnection, settled: str
):
    history: list[Said] = [(1, "shopify", "withdrawn", "single"), (5, "tryton_crm", "subscribed", "confirmed")]
    assert status_of(db, settled, history) == "subscribed"
    assert status_of(db, settled, history, joined_after=7) == "withdrawn"
    assert (
        status_of(db, settled, [*history, (9, "tryton_crm", "subscribed", "confirmed")], joined_after=7) == "subscribed"
    )


def test_a_person_may_withdraw_for_somebody_and_opt_in_for_nobody(the_map: IntegrationMap):
    facts = Facts(the_map, the_map.entities["consents"])
    actions._must_not_widen(facts, "status", "withdrawn")
    with pytest.raises(Unacceptable, match="can be decided to be withdrawn, never subscribed"):
        actions._must_not_widen(facts, "status", "subscribed")
