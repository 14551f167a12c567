"""Time as a trigger: a record that becomes another by itself is news when its moment has come."""

from collections.abc import Iterator

import dagster as dg
import pytest
import sqlalchemy as sa

from pipelines.language.schema import load_map
from pipelines.orchestration.sensors import CANNOT_WAIT, Sensors
from resources.host.embedded_postgres import Server
from resources.store.store import Store
from tests.fixtures_postgres import fresh_database

ENTITY = "selling_prices"


@pytest.fixture
def store(database_server: Server) -> Iterator[Store]:
    with fresh_database(database_server) as url:
        yield Store(url=url)


def settle(store: Store, turns_in: str | None) -> None:
    """A settled batch, of whose records the first turns after so long."""
    rows = (
        "insert into batches (entity, after_inbox_id, upto_inbox_id, after_ledger_id, upto_ledger_id, fingerprint, is_full,"
        " settled_at, turns_at) values (:entity, 0, 0, 0, 0, 'mark', false, now(), now() + cast(:turns_in as interval))"
    )
    with store.transaction() as connection:
        for entity in ("prices", ENTITY):  # the one reads the other
            connection.execute(sa.text(rows), {"entity": entity, "turns_in": turns_in})


def news(store: Store) -> str | None:
    """Why the sensor asks for a sync now; None: it does not."""
    marks = {entity.entity: "mark" for entity in load_map().roots}
    sensors = Sensors(load_map(), marks, {}, has_changed=lambda *_: False, jobs={}, head_start=0)
    with dg.DagsterInstance.ephemeral() as instance:
        reason = sensors.reasons(store, instance).get(ENTITY)
    return reason.told if reason and reason.is_news else None


@pytest.mark.parametrize(
    ("turns_in", "why"),
    [("1 hour", None), ("-1 second", CANNOT_WAIT["has_turned"]), (None, None)],
    ids=["later", "now", "never"],
)
def test_a_sync_is_asked_for_when_the_first_record_turns_and_not_before(
    store: Store, turns_in: str | None, why: str | None
) -> None:
    settle(store, turns_in)
    assert news(store) == why


def test_what_has_turned_is_news_until_a_batch_has_looked_at_it(store: Store) -> None:
    settle(store, "-1 second")
    bounds = {"after_inbox_id": 0, "upto_inbox_id": 0, "after_ledger_id": 0, "upto_ledger_id": 0}
    asked: dict[str, object] = {"entity": ENTITY, "of": None, "streams": [], **bounds}
    assert store.one("has_news", **asked, moment=None) == {"has_news": True}
    settle(store, "1 day")
    assert not (store.one("has_news", **asked, moment=None) or {})["has_news"]
    assert store.one("has_news", **asked, moment="2999-01-01T00:00:00Z") == {"has_news": True}
