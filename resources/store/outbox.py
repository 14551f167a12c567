"""The outbox: every version of every record that a destination is to hold, born once."""

import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg
import pyarrow as pa
import pyarrow.csv
import sqlalchemy as sa

from resources.store.alerts import Alert, end_alerts, raise_alerts
from resources.store.store import Store, in_order, query

COLUMNS = (
    "flow", "system", "key", "is_wanted", "action_on_leave", "payload", "remote_id", "held_because", "asked", "mode",
    "already_held", "caused_by_inbox_id", "received_at", "deliver",
)  # fmt: skip
RESTORES = 3  # of one record in 24 hours: a system that keeps overwriting us is a person's case


class Brake(Protocol):
    """More changes than this in one call wait for a person: the larger of the two."""

    @property
    def rows(self) -> int: ...

    @property
    def share(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Births:
    """How many versions were born of one reason in one flow; `parked_because` when they wait for a person."""

    flow: str
    reason: str
    parked_because: str | None
    births: int


@dataclass(frozen=True, slots=True)
class Held:
    """A record that is wanted and must wait, and why."""

    flow: str
    key: str
    because: str


@dataclass(frozen=True, slots=True)
class Flood:
    """A flow whose births were all parked, because they would have changed more than its brake allows."""

    flow: str
    changes: int
    allowed: int


@dataclass(frozen=True, slots=True)
class EnqueueReport:
    """What one call of `enqueue` did."""

    births: Sequence[Births]
    held: Sequence[Held]
    floods: Sequence[Flood]
    replaced: int  # older versions that no longer leave

    @property
    def born(self) -> int:
        """How many versions were born, parked ones included."""
        return sum(birth.births for birth in self.births)

    @property
    def parked(self) -> int:
        """How many of them were born parked."""
        return sum(birth.births for birth in self.births if birth.parked_because)


def enqueue(
    connection: sa.Connection,
    *,
    entity: str,
    wanted: Iterable[pa.RecordBatch],
    brakes: Mapping[str, Brake],
    run_id: str,
    stewards: Mapping[str, str] | None = None,
) -> EnqueueReport:
    """Hold what is wanted now against what was enqueued last, and bear a new version where they differ.

    `wanted` has the columns COLUMNS, one row per flow and key. `brakes` and `stewards` are by flow. Calling again with
    the same rows bears nothing. The caller's transaction should end soon: couriers wait for it.
    """
    _copy(connection, wanted)
    twice = connection.execute(query("wanted_twice")).first()
    if twice:
        raise ValueError(f'flow "{twice.flow}" wants key "{twice.key}" twice; its wanted model must give one row a key')
    connection.execute(query("take_turns_by_flow"))
    connection.execute(query("stop_what_has_not_left"))
    connection.execute(query("forget_judgement"))
    connection.execute(query("judge_wanted"), {"entity": entity, "restores": RESTORES})
    connection.execute(query("measure_judgement"))
    floods = _floods(connection, brakes)
    for flood in floods:
        connection.execute(query("park_flood"), {"flow": flood.flow})
    connection.execute(query("hold_back"))
    connection.execute(query("let_go"))
    replaced: int = connection.execute(query("replace_older")).scalar_one()
    replaced += connection.execute(query("take_back_what_is_gone")).scalar_one()
    connection.execute(query("bear"), {"entity": entity, "run_id": run_id})
    births = [Births(**row) for row in connection.execute(query("count_births")).mappings()]
    held = [Held(row.flow, row.key, row.held_because) for row in connection.execute(query("held_births"))]
    _tell(connection, floods, stewards or {})
    if any(birth.reason == "already held" for birth in births):
        in_order(connection)
        connection.execute(query("ledger_what_was_held"), {"entity": entity})
    return EnqueueReport(births=births, held=held, floods=floods, replaced=replaced)


def release(store: Store, flow: str) -> int:
    """Free what a flood parked in this flow: the newest version of each key goes, older ones are replaced."""
    with store.transaction() as connection:
        connection.execute(query("stop_flood"), {"flow": flow})
        freed = connection.execute(query("release_flood"), {"flow": flow}).all()
        end_alerts(connection, [flow], kinds=["flood"])
    return sum(row.is_newest for row in freed)


def requeue(
    store: Store,
    *,
    by_whom: str,
    delivery_ids: Collection[int] = (),
    flow: str | None = None,
    key: str | None = None,
    is_absent: bool = False,
) -> int:
    """Try parked deliveries again, because a person says so; how many there were.

    Unknown ones are looked up first, unless the person has looked and says that the destination does not have them.
    """
    values = {
        "delivery_ids": list(delivery_ids),
        "flow": flow,
        "key": key,
        "is_absent": is_absent,
        "reason": f"by {by_whom}",
    }
    return store.execute("requeue", **values)


def park_idle(store: Store, system: str, *, live_flows: Collection[str], run_id: str) -> int:
    """Park what is still due although its flow now runs in the shadow, or has left the map; how many there were."""
    values = {"system": system, "flows": list(live_flows), "run_id": run_id}
    return store.execute("park_what_the_map_does_not_deliver", **values)


def _copy(connection: sa.Connection, wanted: Iterable[pa.RecordBatch]) -> None:
    """The wanted rows into the temporary table `wanted_now`, piece by piece."""
    connection.execute(query("begin_wanting"))
    connection.execute(query("forget_wanting"))
    # every value is quoted and no null is, which is how COPY tells an empty text from none
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="all_valid")
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    with driver.cursor() as cursor, cursor.copy(str(query("copy_wanted")).encode()) as copy:
        for batch in wanted:
            columns = [_as_text(batch.column(name)) for name in COLUMNS]
            written = io.BytesIO()
            pyarrow.csv.write_csv(pa.table(columns, names=list(COLUMNS)), written, options)
            copy.write(written.getbuffer())
    connection.execute(query("measure_wanted"))


def _as_text(column: Any) -> Any:
    if pa.types.is_timestamp(column.type) and column.type.tz is None:
        raise ValueError("received_at has no time zone; select it as timestamptz")
    if pa.types.is_timestamp(column.type):  # our sessions speak UTC
        column = column.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    return column.cast(pa.string())


def _floods(connection: sa.Connection, brakes: Mapping[str, Brake]) -> list[Flood]:
    floods = []
    for row in connection.execute(query("count_changes")).mappings().all():
        flow, changes = row["flow"], row["changes"]
        if flow not in brakes:
            raise ValueError(f'flow "{flow}" has no brake; give `enqueue` the brake of every flow in `wanted`')
        if changes > brakes[flow].rows:  # the keys are counted only where the count can matter
            keys: int = connection.execute(query("count_keys"), {"flow": flow}).scalar_one()
            allowed = max(brakes[flow].rows, int(brakes[flow].share * keys))
            if changes > allowed:
                floods.append(Flood(flow, changes, allowed))
    return floods


def _tell(connection: sa.Connection, floods: Sequence[Flood], stewards: Mapping[str, str]) -> None:
    nobody = "the flow's steward"
    alerts = [
        Alert(
            flood.flow,
            "flood",
            stewards.get(flood.flow, nobody),
            f"{flood.flow}: one build would change {flood.changes} records, its brake allows {flood.allowed}; "
            f"nothing was sent. Look at what changed, then correct it, or let it go with `concord release {flood.flow}`",
        )
        for flood in floods
    ] + [
        Alert(
            f"{row.flow}/{row.key}",
            "parked",
            stewards.get(row.flow, nobody),
            f"{row.flow}: {row.key} was restored {RESTORES} times in 24 hours and overwritten again; it is parked. "
            "Find who writes it at the destination, or change who owns the field in the map",
        )
        for row in connection.execute(query("foreign_writes"))
    ]
    raise_alerts(connection, alerts)
