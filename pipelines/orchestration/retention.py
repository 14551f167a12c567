"""Forgetting what nobody reads any more: Dagster's runs, events and ticks, our own journal, and what tables of the lake
held before. Books are never forgotten."""

import dagster as dg

from resources.host import settings
from resources.lake import lake
from resources.store.alerts import end_alerts
from resources.store.store import Store

SUCCESS_HOURS = 48  # at a run a second this is the largest part of the database
FAILURE_DAYS = 30
JOURNAL_DAYS = 90
LAKE_HOURS = 2  # what tables held before; their files are kept as long
AT_ONCE = 5000  # runs in one statement, so that no lock is held for long


class Forgetting(dg.Config):
    """For how long things are kept."""

    success_hours: int = SUCCESS_HOURS
    failure_days: int = FAILURE_DAYS
    journal_days: int = JOURNAL_DAYS
    lake_hours: int = LAKE_HOURS


@dg.op(required_resource_keys={"store"}, description="Deletes what is older than its time.")
def forget(context: dg.OpExecutionContext, config: Forgetting) -> None:
    """Delete old runs with their events, old ticks, the journal of what was applied long ago, and alerts that are over."""
    store: Store = context.resources.store
    counts = {}
    if store.one("has_dagster_tables"):
        counts["runs"] = 0
        while forgotten := store.execute(
            "forget_dagster_runs",
            success_hours=config.success_hours,
            failure_days=config.failure_days,
            at_once=AT_ONCE,
        ):
            counts["runs"] += forgotten
        counts["ticks"] = store.execute("forget_dagster_ticks", failure_days=config.failure_days)
    counts["attempts"] = store.execute("forget_attempts", days=config.journal_days)
    counts["alerts"] = store.execute("forget_alerts", days=config.journal_days)
    counts["minutes of the door"] = store.execute("forget_webhook_health")
    lake.prepare(store.url, settings.lake())
    lake.forget(store.url, settings.lake(), config.lake_hours)
    with store.transaction() as connection:
        end_alerts(connection, ["retention"], kinds=["failed run"])
    context.log.info("forgot " + ", ".join(f"{count} {what}" for what, count in counts.items()))


@dg.job(
    name="retention",
    description="Forgets old runs, events and ticks of Dagster, and our own journal after 90 days.",
    tags={"dagster/priority": "-10", "concord/pace": "slow", "concord/steward": "whoever keeps Concord"},
    executor_def=dg.in_process_executor,
)
def retention() -> None:
    """Forget what nobody reads any more."""
    forget()
