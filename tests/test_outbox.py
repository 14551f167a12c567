"""The outbox bears every version once, and holds back what must not leave."""

import threading

import pyarrow as pa
import pytest
import sqlalchemy as sa

from pipelines.language.schema import Brake
from resources.store.outbox import Births, Flood, Held, enqueue, park_idle, release, requeue
from resources.store.store import Store, in_order
from tests.wanting import FLOW, pass_time, row, select, table, versions, want


def mark(store: Store, key: str, status: str, **columns: object) -> None:
    """What a courier would have left: this status on the key's newest version."""
    sets = "".join(f", {name} = :{name}" for name in columns)
    with store.transaction() as connection:
        connection.execute(
            sa.text(
                f"update outbox set status = cast(:status as delivery_status){sets} where key = :key and version = "
                "(select max(version) from outbox where key = :key)"
            ),
            {"key": key, "status": status, **columns},
        )


def apply(store: Store, key: str) -> None:
    mark(store, key, "applied", attempts=1)


def ledger(store: Store, kind: str, key: str) -> None:
    with store.transaction() as connection:
        in_order(connection)
        connection.execute(
            sa.text("insert into ledger (entity, key, kind, by_whom) values ('orders', :key, :kind, 'anna')"),
            {"key": key, "kind": kind},
        )


def test_the_same_call_again_bears_nothing(store: Store) -> None:
    rows = [row("A"), row("B", "shipped")]
    first = want(store, *rows)
    assert first.births == [Births(FLOW, "new", None, 2)]
    second = want(store, *rows)
    assert (second.born, second.replaced) == (0, 0)
    assert versions(store, "A") == [(1, "upsert", "new", "due")]


def test_what_was_never_wanted_needs_no_withdrawal(store: Store) -> None:
    assert want(store, row("A", None)).born == 0
    assert select(store, "select count(*) from outbox") == [0]


def test_under_latest_a_changed_row_replaces_the_version_that_has_not_left(store: Store) -> None:
    want(store, row("A", "paid"))
    report = want(store, row("A", "shipped"))
    assert report.births == [Births(FLOW, "changed", None, 1)]
    assert report.replaced == 1
    assert versions(store, "A") == [(1, "upsert", "new", "replaced"), (2, "upsert", "changed", "due")]


def test_under_every_no_version_replaces_another(store: Store) -> None:
    for status in ("paid", "shipped", "paid"):
        want(store, row("A", status, deliver="every"))
    assert [version[3] for version in versions(store, "A")] == ["due", "due", "due"]


def test_back_to_an_earlier_value_is_a_new_version(store: Store) -> None:
    for status in ("paid", "shipped", "paid"):
        want(store, row("A", status))
        apply(store, "A")
    assert [version[0] for version in versions(store, "A")] == [1, 2, 3]


def test_a_version_that_is_on_its_way_is_not_replaced(store: Store) -> None:
    want(store, row("A", "paid"))
    mark(store, "A", "sending")
    want(store, row("A", "shipped"))
    assert [version[3] for version in versions(store, "A")] == ["sending", "due"]


@pytest.mark.parametrize("action", ["cancel", "archive", "delete"])
def test_leaving_the_condition_is_delivered_as_the_flow_says(store: Store, action: str) -> None:
    want(store, row("A"))
    apply(store, "A")
    leaving = row("A", None, payload=None, action_on_leave=action)
    assert want(store, leaving).births == [Births(FLOW, "withdrawn", None, 1)]
    assert versions(store, "A")[-1] == (2, action, "withdrawn", "due")
    assert select(store, "select payload from outbox where version = 2") == ['{"order_number":"A","status":"paid"}']
    assert want(store, leaving).born == 0


def test_leaving_the_condition_may_be_ignored(store: Store) -> None:
    want(store, row("A"))
    apply(store, "A")
    assert want(store, row("A", None, action_on_leave="ignore")).born == 0


def test_what_was_never_sent_is_withdrawn_without_a_word_and_born_again_when_wanted_again(store: Store) -> None:
    want(store, row("A", deliver="every"))
    want(store, row("A", "shipped", deliver="every"))
    report = want(store, row("A", None, deliver="every"))
    assert (report.born, report.replaced) == (0, 2)
    assert want(store, row("A", None, deliver="every")).replaced == 0
    want(store, row("A", "shipped", deliver="every"))
    assert [version[1:] for version in versions(store, "A")] == [
        ("upsert", "new", "replaced"),
        ("upsert", "changed", "replaced"),
        ("upsert", "new", "due"),
    ]


def test_what_may_have_arrived_is_withdrawn_aloud(store: Store) -> None:
    want(store, row("A"))
    mark(store, "A", "unknown", attempts=1)
    want(store, row("A", None))
    assert versions(store, "A")[-1] == (2, "cancel", "withdrawn", "due")


def test_after_a_withdrawal_the_same_payload_is_born_again(store: Store) -> None:
    want(store, row("A"))
    apply(store, "A")
    want(store, row("A", None))
    apply(store, "A")
    want(store, row("A"))
    assert versions(store, "A")[-1] == (3, "upsert", "changed", "due")


def test_a_quarantined_field_holds_the_record_and_is_reported(store: Store) -> None:
    because = "phone 'abc' is no phone number"
    report = want(store, row("A", held_because=because), row("B"))
    assert report.held == [Held(FLOW, "A", because)]
    assert versions(store, "A") == []
    assert want(store, row("A")).births == [Births(FLOW, "new", None, 1)]


def test_a_held_record_that_has_not_changed_is_not_reported(store: Store) -> None:
    want(store, row("A"))
    apply(store, "A")
    assert want(store, row("A", held_because="a pending parent")).held == []


def test_a_cancellation_passes_a_hold(store: Store) -> None:
    want(store, row("A"))
    apply(store, "A")
    report = want(store, row("A", None, held_because="phone 'abc' is no phone number"))
    assert report.births == [Births(FLOW, "withdrawn", None, 1)]
    assert report.held == []


def test_a_version_that_waits_to_leave_is_held_back_and_let_go(store: Store) -> None:
    want(store, row("A"))
    for _ in range(2):
        report = want(store, row("A", "shipped", held_because="a pending parent"))
        assert report.held == [Held(FLOW, "A", "a pending parent")]
        assert select(store, "select cast(due_at as text), last_error from outbox") == [
            ("infinity", "a pending parent")
        ]
    want(store, row("A"))
    assert select(store, "select due_at <= now(), last_error from outbox") == [(True, None)]


def test_a_cancellation_does_not_wait_behind_what_is_held_back_or_parked(store: Store) -> None:
    for key, status in (("A", "due"), ("B", "parked")):
        want(store, row(key, deliver="every"))
        apply(store, key)
        want(store, row(key, "shipped", deliver="every"))
        mark(store, key, status, parked_because="refused" if status == "parked" else None)
        want(store, row(key, "refunded", deliver="every", held_because="a pending parent"))
        want(store, row(key, None, deliver="every", held_because="a pending parent"))
        assert [version[3] for version in versions(store, key)] == ["applied", "replaced", "due"]


def test_what_the_destination_held_already_is_recorded_and_not_sent(store: Store) -> None:
    report = want(store, row("A", already_held=True, remote_id="77"), row("B"))
    assert {(birth.reason, birth.births) for birth in report.births} == {("already held", 1), ("new", 1)}
    assert versions(store, "A") == [(1, "upsert", "already held", "applied")]
    assert select(store, "select key, kind, system, remote_id, value, flow from ledger") == [
        ("A", "held", "erp", "77", '{"order_number":"A","status":"paid"}', FLOW)
    ]
    assert want(store, row("A", already_held=True)).born == 0
    want(store, row("A", "shipped", already_held=True))
    assert versions(store, "A")[-1] == (2, "upsert", "changed", "due")


def known(store: Store, count: int) -> list[str]:
    keys = [f"K{number}" for number in range(count)]
    want(store, *(row(key) for key in keys))
    with store.transaction() as connection:
        connection.execute(sa.text("update outbox set status = 'applied', attempts = 1"))
    return keys


def test_new_records_are_no_flood(store: Store) -> None:
    report = want(store, *(row(f"N{number}") for number in range(300)), brake=Brake(rows=10, share=0.0))
    assert report.floods == []
    assert report.parked == 0


def test_more_changes_than_the_brake_allows_are_all_parked(store: Store) -> None:
    keys = known(store, 20)
    changes = [row(key, "shipped") for key in keys[:4]] + [row(key, None) for key in keys[4:6]] + [row("N")]
    report = want(store, *changes, brake=Brake(rows=5, share=0.01), run_id="run 7")
    assert report.floods == [Flood(FLOW, 6, 5)]
    assert report.parked == report.born == 7
    assert select(store, "select distinct status, parked_because, parked_by_run from outbox where version = 2") == [
        ("parked", "flood", "run 7")
    ]
    assert select(store, "select subject, kind, steward from alerts") == [(FLOW, "flood", "team:finance")]
    assert want(store, *changes, brake=Brake(rows=5, share=0.01)).born == 0


def test_the_brake_is_the_larger_of_rows_and_share(store: Store) -> None:
    keys = known(store, 20)
    changes = [row(key, "shipped") for key in keys[:6]]
    assert want(store, *changes, brake=Brake(rows=5, share=0.3)).floods == []


def test_a_release_frees_the_newest_version_of_each_key(store: Store) -> None:
    keys = known(store, 6)
    tight = Brake(rows=2, share=0.0)
    want(store, *(row(key, "shipped", deliver="every") for key in keys), brake=tight)
    want(store, *(row(key, "refunded", deliver="every") for key in keys), brake=tight)
    assert release(store, FLOW) == 6
    assert [version[3] for version in versions(store, "K0")] == ["applied", "replaced", "due"]
    assert select(store, "select over_at is not null from alerts") == [True]
    assert release(store, FLOW) == 0


def test_a_release_sends_nothing_that_a_newer_version_has_overtaken(store: Store) -> None:
    keys = known(store, 6)
    want(store, *(row(key, "shipped", deliver="every") for key in keys), brake=Brake(rows=2, share=0.0))
    want(store, row("K0", None, deliver="every"))
    with store.transaction() as connection:
        connection.execute(sa.text("update outbox set status = 'parked' where key = 'K0' and version = 2"))
    assert release(store, FLOW) == 5
    assert [version[3] for version in versions(store, "K0")] == ["applied", "replaced", "due"]


def test_what_follows_a_flood_waits_with_it_except_a_withdrawal(store: Store) -> None:
    keys = known(store, 6)
    want(store, *(row(key, "shipped") for key in keys), brake=Brake(rows=2, share=0.0))
    report = want(store, row("K0", "refunded"), row("K1", None))
    assert set(report.births) == {Births(FLOW, "changed", "flood", 1), Births(FLOW, "withdrawn", None, 1)}


def test_a_shadow_delivers_nothing_and_going_live_begins_anew(store: Store) -> None:
    report = want(store, row("A", mode="shadow", deliver="every"), row("B", mode="shadow"))
    assert report.births == [Births(FLOW, "new", "shadow", 2)]
    assert want(store, row("A", mode="shadow", deliver="every")).born == 0
    report = want(store, row("A", deliver="every"), row("B", already_held=True), brake=Brake(rows=0, share=0.0))
    assert report.floods == []
    assert versions(store, "A") == [(1, "upsert", "new", "replaced"), (2, "upsert", "new", "due")]
    assert versions(store, "B") == [(1, "upsert", "new", "replaced"), (2, "upsert", "already held", "applied")]


def test_what_was_applied_before_a_shadow_is_remembered_after_it(store: Store) -> None:
    want(store, row("A"))
    apply(store, "A")
    want(store, row("A", "shipped", mode="shadow"))
    assert want(store, row("A")).born == 0
    want(store, row("A", None))
    assert versions(store, "A")[-1] == (3, "cancel", "withdrawn", "due")


@pytest.mark.parametrize("asked", ["restore", "repair", "decision"])
def test_an_asked_version_is_born_although_it_is_equal_and_once(store: Store, asked: str) -> None:
    want(store, row("A"))
    apply(store, "A")
    again = row("A", asked=asked, caused_by_inbox_id=2)
    assert want(store, again).births == [Births(FLOW, asked, None, 1)]
    assert want(store, again | {"caused_by_inbox_id": 3}).born == 0, "while it waits, another ask is the same"
    apply(store, "A")
    assert want(store, again).born == 0, "after it was applied"


def test_another_cause_or_another_word_of_a_person_asks_anew(store: Store) -> None:
    want(store, row("A"))
    apply(store, "A")
    want(store, row("A", asked="restore", caused_by_inbox_id=2))
    apply(store, "A")
    assert want(store, row("A", asked="restore", caused_by_inbox_id=3)).born == 1
    apply(store, "A")
    want(store, row("A", asked="repair", caused_by_inbox_id=3))
    apply(store, "A")
    ledger(store, "repair", "A")
    assert want(store, row("A", asked="repair", caused_by_inbox_id=3)).born == 1


def test_an_answered_ask_is_not_asked_again_when_everything_is_read_again(store: Store) -> None:
    want(store, row("A"))
    apply(store, "A")
    ledger(store, "repair", "A")
    assert want(store, row("A", asked="repair")).born == 1
    apply(store, "A")
    want(store, row("A", "shipped", caused_by_inbox_id=2))
    apply(store, "A")
    assert want(store, row("A", "shipped", asked="repair", caused_by_inbox_id=2)).born == 0
    assert want(store, row("A", "refunded", asked="repair", caused_by_inbox_id=3)).births == [
        Births(FLOW, "changed", None, 1)
    ]


def test_the_fourth_restore_in_a_day_is_a_persons_case_symptom_21(store: Store) -> None:
    want(store, row("A"))
    for cause in range(2, 5):
        apply(store, "A")
        assert want(store, row("A", asked="restore", caused_by_inbox_id=cause)).parked == 0
    apply(store, "A")
    report = want(store, row("A", asked="restore", caused_by_inbox_id=5))
    assert report.births == [Births(FLOW, "restore", "foreign writes", 1)]
    assert select(store, "select subject, kind, steward from alerts") == [(f"{FLOW}/A", "parked", "team:finance")]
    pass_time(store, 90000)
    assert want(store, row("A", asked="restore", caused_by_inbox_id=6)).parked == 1, "until a person has looked"
    assert want(store, row("A", "shipped")).parked == 0, "the owner's new word goes"


def test_restores_a_day_apart_are_not_counted_together(store: Store) -> None:
    want(store, row("A"))
    for cause in range(2, 7):
        apply(store, "A")
        pass_time(store, 43200)
        assert want(store, row("A", asked="restore", caused_by_inbox_id=cause)).parked == 0


def test_two_writers_at_the_same_time_bear_one_version(store: Store) -> None:
    together = threading.Barrier(2)
    born = []

    def write() -> None:
        together.wait()
        born.append(want(store, *(row(f"K{number}") for number in range(50))).born)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(born) == [0, 50]
    assert select(store, "select count(*), max(version) from outbox") == [(50, 1)]


def test_the_database_itself_refuses_a_version_twice(store: Store) -> None:
    want(store, row("A"))
    with pytest.raises(sa.exc.IntegrityError, match="outbox_flow_key_version_key"), store.transaction() as connection:
        connection.execute(
            sa.text(
                "insert into outbox (flow, entity, system, key, version, action, payload, reason) "
                "select flow, entity, system, key, version, action, payload, reason from outbox"
            )
        )


def test_a_key_that_is_wanted_twice_is_an_error_of_the_model(store: Store) -> None:
    with pytest.raises(ValueError, match=f'flow "{FLOW}" wants key "A" twice'):
        want(store, row("A"), row("A", "shipped"))


def test_a_flow_without_a_brake_is_an_error(store: Store) -> None:
    known(store, 1)
    with pytest.raises(ValueError, match="has no brake"), store.transaction() as connection:
        enqueue(connection, entity="orders", wanted=table(row("K0", "shipped")).to_reader(), brakes={}, run_id="run")


def test_a_time_without_a_zone_is_an_error(store: Store) -> None:
    naive = table(row("A")).set_column(12, "received_at", pa.array([0], pa.timestamp("us")))
    with pytest.raises(ValueError, match="no time zone"), store.transaction() as connection:
        enqueue(connection, entity="orders", wanted=naive.to_reader(), brakes={FLOW: Brake()}, run_id="run")


def test_text_arrives_as_it_was_written(store: Store) -> None:
    payload = '{"name":"Zoë \\"Q\\" O\'Neil, \\\\","note":"","lines":["a\\nb",null],"emoji":"🧦"}'
    key = 'A,"1"\n\\N'
    want(store, row(key, payload=payload, remote_id=""))
    assert select(store, "select key, payload, remote_id from outbox") == [(key, payload, "")]


def test_the_message_behind_a_version_and_its_receipt_are_kept(store: Store) -> None:
    told = row("A", caused_by_inbox_id=42)
    want(store, told)
    assert select(store, "select caused_by_inbox_id, received_at from outbox") == [(42, told["received_at"])]


def test_a_person_may_requeue_by_id_or_by_key_and_what_is_unknown_stays_unknown(store: Store) -> None:
    want(store, row("A"), row("B"), row("C"))
    for key, because in (("A", "refused"), ("B", "unknown"), ("C", "gave up")):
        mark(store, key, "parked", parked_because=because, parked_by_run="run", attempts=9)
    [first] = select(store, "select delivery_id from outbox where key = 'A'")
    assert requeue(store, by_whom="anna", delivery_ids=[first]) == 1
    assert requeue(store, by_whom="anna", flow=FLOW, key="B") == 1
    assert select(store, "select key, cast(status as text), parked_because from outbox order by key") == [
        ("A", "due", None),
        ("B", "unknown", None),
        ("C", "parked", "gave up"),
    ]
    assert select(store, "select result, reason from attempts") == [("requeued", "by anna")] * 2


def test_a_person_who_has_looked_may_have_an_unknown_version_sent(store: Store) -> None:
    want(store, row("A"))
    mark(store, "A", "parked", parked_because="unknown", attempts=1)
    assert requeue(store, by_whom="anna", flow=FLOW, key="A", is_absent=True) == 1
    assert versions(store, "A")[0][3] == "due"


def test_what_is_unknown_is_replaced_by_a_withdrawal_and_not_by_another_upsert(store: Store) -> None:
    want(store, row("A"))
    mark(store, "A", "parked", parked_because="unknown", attempts=1)
    want(store, row("A", "shipped"))
    assert [version[3] for version in versions(store, "A")] == ["parked", "due"]
    want(store, row("A", None))
    assert [version[3] for version in versions(store, "A")] == ["replaced", "replaced", "due"]


def test_a_flow_that_is_no_longer_live_parks_what_was_due(store: Store) -> None:
    want(store, row("A"), row("B", flow="gone"))
    assert park_idle(store, "erp", live_flows=[FLOW], run_id="run") == 1
    assert select(store, "select cast(status as text), parked_because from outbox where flow = 'gone'") == [
        ("parked", "shadow")
    ]
