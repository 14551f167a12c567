"""Wanted rows, a map of one flow, and time that passes at once: what the tests of outbox and couriers share."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from pipelines.language.schema import Brake, IntegrationMap
from resources.store.outbox import COLUMNS, EnqueueReport, enqueue
from resources.store.store import Store

FLOW = "orders_to_erp"
TYPES = {
    "is_wanted": pa.bool_(),
    "already_held": pa.bool_(),
    "caused_by_inbox_id": pa.int64(),
    "received_at": pa.timestamp("us", "UTC"),
}
SCHEMA = pa.schema([(name, TYPES.get(name, pa.string())) for name in COLUMNS])


def row(key: str, status: str | None = "paid", **more: Any) -> dict[str, Any]:
    """A wanted row whose payload tells key and status; with `status=None` it is not wanted."""
    return {
        "flow": FLOW,
        "system": "erp",
        "key": key,
        "is_wanted": status is not None,
        "action_on_leave": "cancel",
        "payload": f'{{"order_number":"{key}","status":"{status}"}}',
        "remote_id": None,
        "held_because": None,
        "asked": None,
        "mode": "live",
        "already_held": False,
        "caused_by_inbox_id": 1,
        "received_at": datetime.now(UTC),
        "deliver": "latest",
    } | more


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def want(store: Store, *rows: dict[str, Any], brake: Brake | None = None, run_id: str = "run") -> EnqueueReport:
    """Enqueue these rows in a transaction of their own."""
    brakes = {one["flow"]: brake or Brake() for one in rows}
    with store.transaction() as connection:
        return enqueue(
            connection,
            entity="orders",
            wanted=table(*rows).to_reader(),
            brakes=brakes,
            run_id=run_id,
            stewards={FLOW: "team:finance"},
        )


def a_map(*, limits: dict[str, Any] | None = None, **flow: Any) -> IntegrationMap:
    """A map of one system, one entity and one flow to it."""
    return IntegrationMap.model_validate(
        {
            "systems": {
                "erp": {
                    "system": "erp",
                    "role": "erp",
                    "steward": "team:it",
                    "connector": "tests.destination.HttpDestination",
                    "limits": limits or {},
                    "takes": {"orders": ["status"]},
                }
            },
            "entities": {
                "orders": {
                    "entity": "orders",
                    "meaning": "One row per order.",
                    "key": "order_number",
                    "fields": {"status": {"type": "text", "owner": "storefront"}},
                    "flows": {
                        FLOW: {
                            "to": "erp",
                            "timing": "near_realtime",
                            "max_lag": "2m",
                            "tier": 1,
                            "on_failure": {"retry_for": "75h", "then": "park", "fallback": "key it in"},
                            "steward": "team:finance",
                        }
                        | flow
                    },
                }
            },
        }
    )


def pass_time(store: Store, seconds: float) -> None:
    """Let so much time pass, as far as the outbox and its destinations can tell."""
    past = "- make_interval(secs => :seconds)"
    with store.transaction() as connection:
        connection.execute(
            sa.text(
                f"update outbox set due_at = due_at {past}, leased_until = leased_until {past}, "
                f"first_sent_at = first_sent_at {past}, created_at = created_at {past}"
            ),
            {"seconds": seconds},
        )
        connection.execute(
            sa.text(f"update destinations set open_until = open_until {past}, refilled_at = refilled_at {past}"),
            {"seconds": seconds},
        )


def select(store: Store, sql: str, **values: Any) -> list[Any]:
    """The rows of a query; of one column, its values."""
    with store.transaction() as connection:
        rows = connection.execute(sa.text(sql), values).all()
    return [one[0] if len(one) == 1 else tuple(one) for one in rows]


def versions(store: Store, key: str) -> list[tuple[int, str, str, str]]:
    """What the outbox knows of a key: (version, action, reason, status)."""
    return select(
        store,
        "select version, action, reason, cast(status as text) from outbox where key = :key order by version",
        key=key,
    )
