"""Couriers carry every version once, in order, until it is applied, or parked with a named steward."""

import itertools
import json
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.language.schema import Brake, IntegrationMap
from pipelines.stages import deliver as stage
from pipelines.stages.deliver import DeliveryReport, deliver, due
from resources.connectors.connector import Delivery, Outcome, Result, Unreachable
from resources.host.settings import ROOT
from resources.store import deliveries as courier
from resources.store import destinations
from resources.store.outbox import requeue
from resources.store.store import Store, in_order
from tests.destination import Destination, HttpDestination, running_destination
from tests.wanting import FLOW, a_map, pass_time, row, select, versions, want

DAY = 86400.0


@pytest.fixture
def destination() -> Iterator[Destination]:
    with running_destination() as destination:
        yield destination


def carry(store: Store, destination: Destination, the_map: IntegrationMap | None = None, **more: Any) -> DeliveryReport:
    """One courier's run."""
    connector = more.pop("connector", None) or HttpDestination(base_url=destination.url)
    return deliver(store, the_map or a_map(), "erp", connector, **{"run_id": "run"} | more)


def status_of(store: Store, key: str) -> str:
    return versions(store, key)[-1][3]


def test_what_is_due_is_applied_with_its_link_its_books_and_its_lag(store: Store, destination: Destination) -> None:
    want(store, row("A"))
    report = carry(store, destination)
    assert (report.applied, report.is_clean, due(store)) == (1, True, [])
    assert destination.records == {"A": {"order_number": "A", "status": "paid"}}
    assert select(store, "select entity, system, remote_id, key, made_by from links") == [
        ("orders", "erp", "R-A", "A", "courier")
    ]
    assert select(store, "select kind, key, remote_id, value, flow, by_whom from ledger order by ledger_id") == [
        ("linked", "A", "R-A", None, FLOW, "courier"),
        ("delivered", "A", "R-A", '{"order_number":"A","status":"paid"}', FLOW, "courier"),
    ]
    [lag] = report.lags
    assert lag.flow == FLOW
    assert 0 <= lag.seconds < 60
    assert select(store, "select run_id, result from attempts") == [("run", "applied")]


def test_the_record_s_link_is_told_to_the_connector_from_the_second_version_on(
    store: Store, destination: Destination
) -> None:
    seen: list[str | None] = []

    class Curious(HttpDestination):
        def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
            seen.extend(one.remote_id for one in deliveries)
            return super().deliver(deliveries)

    for status in ("paid", "shipped"):
        want(store, row("A", status))
        carry(store, destination, connector=Curious(base_url=destination.url))
    assert seen == [None, "R-A"]


def test_a_record_of_which_the_destination_told_before_is_not_of_our_making(
    store: Store, destination: Destination
) -> None:
    """A link by the courier would say that the record began with us, and its owner's word would no longer let it begin."""
    want(store, row("A", remote_id="R-A"), row("B"))
    carry(store, destination)
    assert select(store, "select key from links") == ["B"]
    assert select(store, "select key from ledger where kind = 'linked'") == ["B"]
    assert select(store, "select key, remote_id from ledger where kind = 'delivered' order by key") == [
        ("A", "R-A"), ("B", "R-B"),
    ]  # fmt: skip


def test_paid_shipped_paid_is_three_deliveries_under_every(store: Store, destination: Destination) -> None:
    for status in ("paid", "shipped", "paid"):
        want(store, row("A", status, deliver="every"))
    carry(store, destination, a_map(deliver="every"))
    assert destination.applied == [("A", 1, "upsert"), ("A", 2, "upsert"), ("A", 3, "upsert")]


def test_paid_shipped_paid_is_the_last_word_under_latest(store: Store, destination: Destination) -> None:
    for status in ("paid", "shipped", "paid"):
        want(store, row("A", status))
    carry(store, destination)
    assert destination.applied == [("A", 3, "upsert")]
    assert destination.records["A"]["status"] == "paid"


def test_a_withdrawal_is_delivered(store: Store, destination: Destination) -> None:
    want(store, row("A"))
    carry(store, destination)
    want(store, row("A", None))
    carry(store, destination)
    assert destination.applied[-1] == ("A", 2, "cancel")


def test_a_time_out_after_applying_is_applied_once(store: Store, destination: Destination) -> None:
    want(store, row("A"), row("B"))
    destination.hangs = 1
    report = carry(store, destination, connector=HttpDestination(base_url=destination.url, timeout=0.5))
    assert (report.applied, report.unknown) == (0, 2)
    assert due(store) == [], "the destination may still be at work"
    pass_time(store, 10)
    assert due(store) == ["erp"]
    report = carry(store, destination)
    assert report.applied == 2
    assert sorted(destination.asked) == ["A/1", "B/1"]
    assert sorted(destination.applied) == [("A", 1, "upsert"), ("B", 1, "upsert")]
    assert select(store, "select result from attempts where delivery_id = 1 order by 1") == ["found", "unknown"]


def test_a_time_out_before_applying_is_looked_up_and_sent_again_at_once(store: Store, destination: Destination) -> None:
    want(store, row("A"))
    destination.swallows = 1
    assert carry(store, destination).unknown == 1
    pass_time(store, 10)
    assert carry(store, destination).applied == 1
    assert destination.applied == [("A", 1, "upsert")]
    assert select(store, "select result from attempts order by attempt_id") == [
        "unknown",
        "not found",
        "applied",
    ]


def test_what_is_unknown_is_looked_up_before_anything_else_is_sent(store: Store, destination: Destination) -> None:
    asked: list[str] = []

    class Noting(HttpDestination):
        def ask(self, method: str, path: str, **more: Any) -> requests.Response:
            asked.append(method)
            return super().ask(method, path, **more)

    want(store, row("A"))
    destination.drops = 1
    carry(store, destination)
    pass_time(store, 10)
    want(store, row("B"))
    carry(store, destination, connector=Noting(base_url=destination.url))
    assert asked == ["GET", "POST"]


def test_a_newer_version_waits_until_it_is_known_what_became_of_the_older_one(
    store: Store, destination: Destination
) -> None:
    want(store, row("A", "paid"))
    destination.swallows = 1
    carry(store, destination)
    want(store, row("A", "shipped"))
    assert carry(store, destination).applied == 0
    pass_time(store, 10)
    report = carry(store, destination)
    assert (report.replaced, report.applied) == (1, 1)
    assert destination.applied == [("A", 2, "upsert")]


def test_what_nobody_can_tell_is_parked_after_a_few_look_ups(store: Store, destination: Destination) -> None:
    class Vague(HttpDestination):
        def find(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
            return [Outcome(one.delivery_id, Result.UNKNOWN, reason="the index is rebuilt") for one in deliveries]

    want(store, row("A"))
    destination.drops = 1
    vague = Vague(base_url=destination.url)
    carry(store, destination, connector=vague)
    for _ in range(courier.LOOK_UPS):
        assert status_of(store, "A") == "unknown"
        pass_time(store, 1000)
        report = carry(store, destination, connector=vague)
    [parked] = report.parked
    assert (parked.because, parked.steward) == ("unknown", "team:finance")
    assert "the index is rebuilt" in parked.sentence


def test_a_connector_that_cannot_look_up_parks_what_is_unknown(store: Store, destination: Destination) -> None:
    class Mute(HttpDestination):
        def find(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
            raise NotImplementedError("Mute cannot look deliveries up")

    want(store, row("A"))
    destination.drops = 1
    carry(store, destination, connector=Mute(base_url=destination.url))
    pass_time(store, 10)
    [parked] = carry(store, destination, connector=Mute(base_url=destination.url)).parked
    assert parked.because == "unknown"


def test_a_destination_that_is_down_parks_nothing_before_retry_for(store: Store, destination: Destination) -> None:
    want(store, row("A"))
    destination.stop()
    for _ in range(8):
        report = carry(store, destination)
        assert report.parked == []
        assert report.unreachable
        pass_time(store, 8 * 3600)
    assert status_of(store, "A") == "due"
    destination.start()
    assert carry(store, destination).applied == 1


def test_a_destination_that_stays_down_parks_with_a_steward_after_retry_for(
    store: Store, destination: Destination
) -> None:
    want(store, row("A"))
    destination.stop()
    carry(store, destination)
    pass_time(store, 76 * 3600)
    report = carry(store, destination, run_id="run 9")
    [parked] = report.parked
    assert (parked.because, parked.steward) == ("gave up", "team:finance")
    assert "Meanwhile: key it in" in parked.sentence
    assert select(store, "select parked_because, parked_by_run from outbox") == [("gave up", "run 9")]
    assert select(store, "select subject, steward, sentence, over_at from alerts where kind = 'parked'") == [
        (f"{FLOW}/A", "team:finance", parked.sentence, None)
    ]


def test_a_flow_that_only_alerts_is_tried_on_after_retry_for(store: Store, destination: Destination) -> None:
    the_map = a_map(on_failure={"retry_for": "6h", "then": "alert", "fallback": "call them"})
    want(store, row("A"))
    destination.stop()
    carry(store, destination, the_map)
    pass_time(store, 7 * 3600)
    assert carry(store, destination, the_map).parked == []
    assert select(store, "select kind, steward from alerts where subject <> 'erp'") == [("overdue", "team:finance")]
    destination.start()
    pass_time(store, 7 * 3600)
    assert carry(store, destination, the_map).applied == 1
    assert select(store, "select over_at is not null from alerts where kind = 'overdue'") == [True]


def test_waits_double_up_to_a_limit_and_are_spread(store: Store, destination: Destination) -> None:
    want(store, *(row(f"K{number}") for number in range(40)))
    destination.stop()
    waits = """
        select tries, max(wait), bool_and(wait <= least(900, 2 * power(2, tries - 1)))
        from outbox
        cross join lateral (
            select count(*) as tries, extract(epoch from due_at - max(ended_at))::float8 as wait
            from attempts where attempts.delivery_id = outbox.delivery_id
        ) as told
        group by tries
    """
    longest = 0.0
    for _ in range(14):
        carry(store, destination)
        for _, wait, is_within in select(store, waits):
            assert is_within
            longest = max(wait, longest)
        assert select(store, "select count(distinct due_at) from outbox") == [40]
        pass_time(store, 1000)
    assert longest > 450


def test_a_refused_record_is_parked_at_once_and_the_others_go_through(store: Store, destination: Destination) -> None:
    want(store, row("A"), row("B"), row("C"))
    destination.refused = {"B"}
    report = carry(store, destination)
    assert report.applied == 2
    [parked] = report.parked
    assert (parked.key, parked.because) == ("B", "refused")
    assert "the postcode is too long" in parked.sentence
    assert not report.is_clean
    assert carry(store, destination).parked == [], "an ordinary run never takes what is parked"


def test_a_record_that_is_refused_once_more_ends_no_second_run_in_failure(
    store: Store, destination: Destination
) -> None:
    destination.refused = {"B"}
    reports = []
    for status in ("paid", "refunded"):
        want(store, row("B", status=status))
        reports.append(carry(store, destination, run_id=status))
    reports.append(carry(store, destination, run_id="again", redo_run="refunded"))
    assert [[parked.version for parked in report.parked] for report in reports] == [[1], [2], [2]]
    assert [report.is_clean for report in reports] == [False, True, False], "who has it tried again is told"
    [alert] = store.rows("open_alerts")
    assert "version 2" in alert["sentence"], "one alert, with the newest word"
    destination.refused = set()
    want(store, row("B", status="paid"))
    assert carry(store, destination, run_id="mended").is_clean
    assert store.rows("open_alerts") == []
    destination.refused = {"B"}
    want(store, row("B", status="refunded"))
    assert not carry(store, destination, run_id="refused anew").is_clean


def test_a_bad_record_is_bisected_out_of_a_batch_that_is_refused_as_a_whole_symptom_17(
    store: Store, destination: Destination
) -> None:
    want(store, *(row(f"K{number:02}") for number in range(16)))
    destination.poison = {"K11"}
    report = carry(store, destination)
    assert report.applied == 15
    assert [parked.key for parked in report.parked] == ["K11"]
    assert len(destination.batches) <= 9
    assert len(destination.applied) == 15


def test_a_parked_delivery_raises_one_alert_that_is_over_when_it_is_applied(
    store: Store, destination: Destination
) -> None:
    want(store, row("A"))
    destination.refused = {"A"}
    carry(store, destination)
    carry(store, destination, run_id="again", redo_run="run")
    assert select(store, "select over_at from alerts") == [None]
    destination.refused = set()
    carry(store, destination, run_id="once more", redo_run="run")
    assert select(store, "select over_at is not null from alerts") == [True]


def test_a_new_version_replaces_a_parked_one_and_ends_its_alert(store: Store, destination: Destination) -> None:
    want(store, row("A"))
    destination.refused = {"A"}
    carry(store, destination)
    want(store, row("A", "shipped"))
    assert [version[3] for version in versions(store, "A")] == ["replaced", "due"]
    assert select(store, "select over_at is not null from alerts") == [True]


def test_a_refused_version_that_is_overtaken_is_replaced_and_not_parked(store: Store, destination: Destination) -> None:
    destination.refused = {"A"}

    class Slow(HttpDestination):
        def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
            if deliveries[0].version == 1:
                want(store, row("A", "shipped"))
            return super().deliver(deliveries)

    want(store, row("A", "paid"))
    report = carry(store, destination, connector=Slow(base_url=destination.url))
    assert [version[3] for version in versions(store, "A")] == ["replaced", "parked"]
    assert (report.replaced, len(report.parked)) == (1, 1)


def test_under_every_a_parked_version_keeps_the_later_ones_waiting(store: Store, destination: Destination) -> None:
    the_map = a_map(deliver="every")
    want(store, row("A", "paid", deliver="every"))
    destination.refused = {"A"}
    carry(store, destination, the_map)
    destination.refused = set()
    want(store, row("A", "shipped", deliver="every"))
    assert due(store) == []
    assert carry(store, destination, the_map).applied == 0
    requeue(store, by_whom="anna", flow=FLOW, key="A")
    assert carry(store, destination, the_map).applied == 2
    assert destination.versions_of("A") == [1, 2]


def test_a_later_version_waits_while_an_earlier_one_is_on_its_way_or_waits_for_its_next_try(store: Store) -> None:
    def claim() -> list[int]:
        claimed = courier.claim(store, "erp", limit=9, lease_seconds=60, courier="me", tiers={})
        return [one.version for one in claimed]

    want(store, row("A", "paid", deliver="every"))
    assert claim() == [1]
    want(store, row("A", "shipped", deliver="every"))
    assert claim() == []
    [first] = select(store, "select delivery_id from outbox where version = 1")
    outcome = Outcome(first, Result.RETRY, reason="locked", retry_after=1000)
    told: dict[str, Any] = {"rules": {}, "run_id": "run", "parked_by_run": "run", "started_at": datetime.now(UTC)}
    courier.record(store, [outcome], courier="me", **told)
    assert claim() == []
    pass_time(store, 1001)
    assert claim() == [1]


def test_a_re_execution_claims_only_what_its_run_parked(store: Store, destination: Destination) -> None:
    destination.refused = {"A", "B", "C"}
    for key in ("A", "B"):
        want(store, row(key))
        carry(store, destination, run_id=f"run {key}")
    want(store, row("C"))
    carry(store, destination, run_id="second try of A", redo_run="run A")
    assert select(store, "select key, parked_by_run from outbox order by key") == [
        ("A", "run A"),
        ("B", "run B"),
        ("C", "run A"),
    ]
    destination.refused = set()
    carry(store, destination, run_id="third try of A", redo_run="run A")
    assert {key: status_of(store, key) for key in "ABC"} == {"A": "applied", "B": "parked", "C": "applied"}


def test_a_re_execution_tries_what_is_still_refused_once(store: Store, destination: Destination) -> None:
    want(store, row("A"))
    destination.refused = {"A"}
    carry(store, destination)
    report = carry(store, destination, run_id="again", redo_run="run")
    assert len(report.parked) == 1
    assert len(destination.batches) == 2


def test_a_re_execution_looks_up_what_is_unknown_before_it_sends_it(store: Store, destination: Destination) -> None:
    class Mute(HttpDestination):
        def find(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
            raise NotImplementedError("Mute cannot look deliveries up")

    want(store, row("A"))
    destination.drops = 1
    carry(store, destination, connector=Mute(base_url=destination.url))
    pass_time(store, 10)
    carry(store, destination, connector=Mute(base_url=destination.url))
    assert status_of(store, "A") == "parked"
    assert carry(store, destination, run_id="again", redo_run="run").applied == 1
    assert destination.versions_of("A") == [1]


def test_what_a_flood_parked_is_not_freed_by_pressing_retry(store: Store, destination: Destination) -> None:
    want(store, row("A"), row("B"))
    carry(store, destination)
    want(store, row("A", "shipped"), row("B", "shipped"), brake=Brake(rows=1, share=0.0), run_id="run 2")
    assert carry(store, destination, run_id="again", redo_run="run 2").applied == 0
    assert status_of(store, "A") == "parked"


def test_retry_after_is_honoured_for_the_delivery_and_for_its_destination(
    store: Store, destination: Destination
) -> None:
    want(store, row("A"))
    destination.busy = [40]
    assert carry(store, destination).retried == 1
    [wait] = select(store, "select extract(epoch from due_at - now())::float8 from outbox")
    assert 30 < wait <= 40
    want(store, row("B"))
    assert due(store) == []
    report = carry(store, destination)
    assert (report.applied, len(destination.batches)) == (0, 1)
    assert "left alone" in (report.stopped or "")
    pass_time(store, 41)
    assert carry(store, destination).applied == 2


def test_the_breaker_opens_after_five_times_and_lets_one_batch_through(store: Store, destination: Destination) -> None:
    the_map = a_map(limits={"batch": 1})
    want(store, *(row(f"K{number}") for number in range(9)))
    destination.broken = 99
    report = carry(store, destination, the_map)
    assert len(destination.batches) == 5
    assert "left alone" in (report.stopped or "")
    assert due(store) == []
    assert select(store, "select subject, kind, steward from alerts") == [("erp", "unreachable", "team:it")]
    assert carry(store, destination, the_map).applied == 0
    assert len(destination.batches) == 5
    pass_time(store, 31)
    assert due(store) == ["erp"]
    carry(store, destination, the_map)
    assert len(destination.batches) == 6, "one batch is let through"
    [seconds] = select(store, "select extract(epoch from open_until - now())::float8 from destinations")
    assert 45 < seconds <= 60, "and its failure doubles the wait"
    for count in range(7, 15):
        pass_time(store, 601)
        carry(store, destination, the_map)
        assert len(destination.batches) == count, "and it never waits longer than ten minutes"
    [seconds] = select(store, "select extract(epoch from open_until - now())::float8 from destinations")
    assert 500 < seconds <= 600
    destination.broken = 0
    pass_time(store, 1000)
    assert carry(store, destination, the_map).applied == 9
    assert select(store, "select failures, open_until from destinations") == [(0, None)]
    assert select(store, "select over_at is not null from alerts") == [True]


def test_while_one_courier_tries_whether_a_destination_answers_again_no_other_may(store: Store) -> None:
    def ask() -> destinations.Allowance:
        return destinations.ask(store, "erp", wanted=5, per_second=None, trial_seconds=60)

    for _ in range(destinations.BREAKS_AT):
        destinations.did_not_answer(store, "erp", steward="team:it", reason="503", retry_after=None)
    assert ask().is_closed
    pass_time(store, 31)
    trial = ask()
    assert (trial.granted, trial.is_trial) == (5, True)
    assert ask().is_closed
    destinations.give_back(store, "erp", trial, unused=5, is_idle=True, per_second=None)
    assert ask().is_trial, "the first found nothing to try it with"
    pass_time(store, 61)
    assert ask().is_trial, "the second died"


def test_the_budget_survives_a_restart(store: Store, destination: Destination) -> None:
    the_map = a_map(limits={"per_second": 0.1, "batch": 10})
    want(store, *(row(f"K{number}") for number in range(5)))
    assert carry(store, destination, the_map).applied == 1
    report = carry(store, destination, the_map)
    assert report.applied == 0
    assert "budget" in (report.stopped or "")
    pass_time(store, 10)
    assert carry(store, destination, the_map).applied == 1


def test_the_budget_is_kept_second_by_second(store: Store, destination: Destination) -> None:
    want(store, *(row(f"K{number}") for number in range(9)))
    began = time.monotonic()
    assert carry(store, destination, a_map(limits={"per_second": 6})).applied == 9
    assert 0.4 < time.monotonic() - began < 20


def test_what_was_taken_from_the_budget_and_not_sent_is_given_back(store: Store, destination: Destination) -> None:
    the_map = a_map(limits={"per_second": 3, "batch": 10})
    want(store, row("A"))
    carry(store, destination, the_map)
    assert select(store, "select tokens >= 2 from destinations") == [True]


def test_an_unexpected_error_of_a_connector_is_unknown_and_its_text_is_kept(
    store: Store, destination: Destination
) -> None:
    class Broken(HttpDestination):
        def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
            super().deliver(deliveries)
            raise KeyError("sale_state")

    want(store, row("A"), row("B"))
    assert carry(store, destination, connector=Broken(base_url=destination.url)).unknown == 2
    assert select(store, "select distinct last_error from outbox") == ["KeyError: 'sale_state'"]


def test_a_connector_that_answers_too_few_or_too_many_is_blamed_and_the_missing_ones_are_unknown(
    store: Store, destination: Destination
) -> None:
    class Careless(HttpDestination):
        def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
            outcomes = list(super().deliver(deliveries))
            return [outcomes[0], outcomes[0], Outcome(4711, Result.APPLIED)]

    want(store, row("A"), row("B"))
    report = carry(store, destination, connector=Careless(base_url=destination.url))
    assert (report.applied, report.unknown, report.is_clean) == (1, 1, False)
    assert len(report.errors) == 3
    assert "HttpDestination" in report.errors[0]


def test_a_destination_that_hangs_parks_nothing_before_retry_for(store: Store, destination: Destination) -> None:
    class Hanging(HttpDestination):
        def find(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
            raise TimeoutError("no answer in 60 s")

    want(store, row("A"))
    destination.drops = 1
    hanging = Hanging(base_url=destination.url)
    carry(store, destination, connector=hanging)
    for _ in range(courier.LOOK_UPS + 3):
        pass_time(store, 1000)
        assert carry(store, destination, connector=hanging).unreachable
    assert status_of(store, "A") == "unknown"
    assert select(store, "select kind from alerts") == ["unreachable"]


def test_a_look_up_that_fails_is_blamed_on_the_connector_and_decides_nothing(
    store: Store, destination: Destination
) -> None:
    class Broken(HttpDestination):
        def find(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
            raise KeyError("reference")

    want(store, row("A"))
    destination.drops = 1
    carry(store, destination)
    pass_time(store, 10)
    report = carry(store, destination, connector=Broken(base_url=destination.url))
    assert (report.parked, report.is_clean) == ([], False)
    assert "KeyError" in report.sentence()


def test_a_destination_that_answers_again_in_the_same_run_is_no_failure(store: Store, destination: Destination) -> None:
    want(store, *(row(f"K{number}") for number in range(3)))
    destination.broken = 1
    report = carry(store, destination, a_map(limits={"batch": 1}))
    assert (report.unreachable, report.is_clean) == (None, True)
    assert report.applied >= 2


def test_the_books_are_written_in_the_inbox_s_order(store: Store, destination: Destination) -> None:
    want(store, row("A"))
    work = threading.Thread(target=carry, args=(store, destination))
    with store.transaction() as connection:
        in_order(connection)
        work.start()
        wait_until(lambda: destination.applied, seconds=30)
        work.join(0.3)
        assert work.is_alive(), "an entry below the watermark would be lost"
    work.join(30)
    assert status_of(store, "A") == "applied"


def test_a_run_that_is_ended_records_what_was_on_its_way(store: Store, destination: Destination) -> None:
    class Ended(HttpDestination):
        def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
            super().deliver(deliveries)
            raise KeyboardInterrupt

    want(store, row("A"))
    with pytest.raises(KeyboardInterrupt):
        carry(store, destination, connector=Ended(base_url=destination.url))
    assert status_of(store, "A") == "unknown"
    pass_time(store, 10)
    assert carry(store, destination).applied == 1
    assert destination.versions_of("A") == [1]


def test_what_the_destination_says_that_it_holds_is_what_the_books_say(store: Store, destination: Destination) -> None:
    class Telling(HttpDestination):
        def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
            return [Outcome(one.delivery_id, Result.APPLIED, held={"status": "PAID"}) for one in deliveries]

    want(store, row("A"))
    carry(store, destination, connector=Telling(base_url=destination.url))
    [value] = select(store, "select value from ledger where kind = 'delivered'")
    assert json.loads(value) == {"order_number": "A", "status": "PAID"}


def test_a_remote_record_that_is_another_key_s_already_is_a_person_s_case(
    store: Store, destination: Destination
) -> None:
    class Confused(HttpDestination):
        def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
            return [Outcome(one.delivery_id, Result.APPLIED, remote_id="7") for one in deliveries]

    for key in ("A", "B"):
        want(store, row(key))
        carry(store, destination, connector=Confused(base_url=destination.url))
    assert select(store, "select key from links") == ["A"]
    assert select(store, "select subject, kind, steward from alerts") == [(f"{FLOW}/B", "link", "team:finance")]


def test_tier_one_goes_first_and_a_batch_is_of_one_flow_and_action(store: Store, destination: Destination) -> None:
    want(store, row("A"))
    carry(store, destination)
    want(store, row("Z", flow="letters"), row("A", None), row("B"), row("C"))
    tiers = {"letters": 3, FLOW: 1}
    batches = []
    for _ in range(4):
        claimed = courier.claim(store, "erp", limit=10, lease_seconds=60, courier="me", tiers=tiers)
        batches.append([(one.flow, one.action, one.key) for one in claimed])
    assert batches[2:] == [[("letters", "upsert", "Z")], []]
    assert sorted(batches[:2]) == [
        [(FLOW, "cancel", "A")],
        [(FLOW, "upsert", "B"), (FLOW, "upsert", "C")],
    ]


def test_numbers_that_a_model_left_as_numbers_lose_no_digit(store: Store, destination: Destination) -> None:
    want(store, row("A", payload='{"total":10.10,"quantity":12345678901234567890}'))
    carry(store, destination)
    assert destination.records["A"] == {"total": "10.10", "quantity": "12345678901234567890"}


def test_a_courier_that_is_killed_between_sending_and_recording_is_applied_once(
    store: Store, destination: Destination
) -> None:
    want(store, row("A"), row("B"))
    destination.hangs, destination.lateness = 1, 60.0
    command = [sys.executable, "-m", "tests.courier_process", store.url, destination.url, "60"]
    doomed = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: len(destination.applied) == 2, seconds=60)
    finally:
        doomed.kill()  # SIGKILL
        doomed.wait()
    assert carry(store, destination).applied == 0, "while its lease lasts nobody else may touch them"
    assert due(store) == []
    pass_time(store, stage.LEASE + 1)
    assert due(store) == ["erp"]
    assert carry(store, destination).applied == 2
    assert sorted(destination.applied) == [("A", 1, "upsert"), ("B", 1, "upsert")]


def wait_until(is_so: Any, *, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_a_lease_is_extended_while_its_courier_is_at_work(
    store: Store, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "LEASE", 2.0)
    monkeypatch.setattr(stage, "HEARTBEAT", 0.2)
    want(store, row("A"))
    destination.slowness = 3.5
    the_map = a_map(limits={"at_once": 2})
    first = threading.Thread(target=carry, args=(store, destination, the_map))
    first.start()
    wait_until(lambda: destination.batches, seconds=30)
    time.sleep(2.4)
    assert carry(store, destination, the_map, run_id="other").unknown == 0
    first.join()
    assert (status_of(store, "A"), destination.versions_of("A"), destination.asked) == ("applied", [1], [])


def test_a_courier_that_lost_its_lease_cannot_say_that_a_delivery_failed(store: Store) -> None:
    want(store, row("A"))
    ask: dict[str, Any] = {"limit": 1, "lease_seconds": 60.0, "tiers": {FLOW: 1}}
    [late] = courier.claim(store, "erp", courier="late", **ask)
    pass_time(store, 61)
    assert courier.claim(store, "erp", courier="other", **ask) == []
    [taken] = courier.claim(store, "erp", courier="other", to_look_up=True, **ask)
    assert taken.delivery_id == late.delivery_id

    def tell(result: Result) -> None:
        outcome = Outcome(late.delivery_id, result, reason="said too late")
        told: dict[str, Any] = {"rules": {}, "run_id": "run", "parked_by_run": "run", "started_at": datetime.now(UTC)}
        courier.record(store, [outcome], courier="late", **told)

    tell(Result.REFUSED)
    assert status_of(store, "A") == "unknown"
    tell(Result.APPLIED)
    assert status_of(store, "A") == "applied", "that it was applied is a fact"


def test_two_couriers_never_send_a_version_twice_nor_a_key_out_of_order(store: Store, destination: Destination) -> None:
    the_map = a_map(deliver="every", limits={"at_once": 3, "batch": 7})
    keys = [f"K{number}" for number in range(40)]
    for status in ("placed", "paid", "shipped"):
        want(store, *(row(key, status, deliver="every") for key in keys))
    destination.slowness = 0.004
    together = threading.Barrier(3)

    def work(number: int) -> None:
        together.wait()
        while due(store):
            carry(store, destination, the_map, run_id=f"run {number}")

    couriers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for one in couriers:
        one.start()
    for one in couriers:
        one.join()
    assert {key: destination.versions_of(key) for key in keys} == {key: [1, 2, 3] for key in keys}
    assert len(select(store, "select distinct run_id from attempts")) > 1, "more than one was at work"


def test_no_more_couriers_are_at_work_than_the_destination_bears(store: Store, destination: Destination) -> None:
    want(store, row("A"))
    with store.turn("courier erp 0", wait=False) as is_ours:
        assert is_ours
        want(store, row("B"))
        began = time.monotonic()
        deliveries_before = list(destination.batches)
        patience, stage.PATIENCE = stage.PATIENCE, 0.5
        try:
            report = carry(store, destination)
        finally:
            stage.PATIENCE = patience
        assert "another courier" in (report.stopped or "")
        assert time.monotonic() - began < 10
        assert destination.batches == deliveries_before
    assert carry(store, destination).applied == 2


def test_the_deadline_ends_a_run_between_two_batches(store: Store, destination: Destination) -> None:
    want(store, *(row(f"K{number}") for number in range(50)))
    destination.slowness = 0.1
    report = carry(store, destination, a_map(limits={"batch": 1}), deadline_seconds=1.5)
    assert 1 <= report.applied < 50
    assert "time" in (report.stopped or "")


def test_a_flow_that_went_back_to_the_shadow_delivers_no_more(store: Store, destination: Destination) -> None:
    want(store, row("A"))
    assert carry(store, destination, a_map(mode="shadow")).applied == 0
    assert select(store, "select parked_because from outbox") == ["shadow"]


def test_what_is_held_back_is_not_due(store: Store, destination: Destination) -> None:
    want(store, row("A"))
    want(store, row("A", held_because="phone 'abc' is no phone number"))
    assert due(store) == []
    assert carry(store, destination).applied == 0


def test_a_look_up_that_cannot_reach_the_destination_decides_nothing(store: Store, destination: Destination) -> None:
    class Away(HttpDestination):
        def find(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
            raise Unreachable("no route to host")

    want(store, row("A"))
    destination.drops = 1
    carry(store, destination)
    for _ in range(courier.LOOK_UPS + 3):
        pass_time(store, 1000)
        carry(store, destination, connector=Away(base_url=destination.url))
    assert status_of(store, "A") == "unknown"
    pass_time(store, 76 * 3600)
    [parked] = carry(store, destination, connector=Away(base_url=destination.url)).parked
    assert parked.because == "unknown"


names = itertools.count(1)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["want", "want", "want", "leave", "hold", "drop", "swallow", "refuse", "accept", "break", "carry"]
        ),
        st.sampled_from(["one", "two"]),
        st.sampled_from(["paid", "shipped"]),
        st.sampled_from([0.0, 0.0, 30.0]),
    ),
    min_size=1,
    max_size=9,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, word=st.sampled_from(["latest", "every"]))
def test_whatever_was_wanted_and_whatever_went_wrong_the_destination_ends_with_the_last_word(
    store: Store, destination: Destination, steps: list[tuple[str, str, str, float]], word: str
) -> None:
    example = next(names)
    the_map = a_map(deliver=word)
    last: dict[str, str | None] = {}
    for what, name, status, seconds in steps:
        key = f"{name} {example}"
        match what:
            case "want":
                want(store, row(key, status, deliver=word))
                last[key] = status
            case "leave":
                want(store, row(key, None, deliver=word))
                last[key] = None
            case "hold":
                want(store, row(key, status, deliver=word, held_because="a pending parent"))
                last[key] = status
            case "drop":
                destination.drops += 1
            case "swallow":
                destination.swallows += 1
            case "refuse":
                destination.refused.add(key)
            case "accept":
                destination.refused.discard(key)
            case "break":
                destination.broken += 1
        if what != "want":
            pass_time(store, seconds)
            carry(store, destination, the_map)
    destination.drops = destination.swallows = destination.broken = 0
    destination.refused = set()
    if last:
        want(store, *(row(key, status, deliver=word) for key, status in last.items()))
    for _ in range(20):
        for key in last:
            requeue(store, by_whom="anna", flow=FLOW, key=key)
        pass_time(store, 1000)
        carry(store, destination, the_map)
        if not select(store, "select 1 from outbox where status in ('due', 'unknown', 'sending', 'parked') limit 1"):
            break
    applied: dict[str, list[int]] = defaultdict(list)
    for key, version, _ in destination.applied:
        applied[key].append(version)
    for key, wanted in last.items():
        held = destination.records.get(key)
        assert (held["status"] if held else None) == wanted
        assert applied[key] == sorted(set(applied[key])), "no version twice, and none out of order"
    assert select(store, "select 1 from outbox where status in ('due', 'unknown', 'sending', 'parked')") == []
