"""What came of a run, in figures that Dagster plots and in sentences for a person."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from pipelines.language.schema import System
from pipelines.orchestration.checks.result import numbers
from pipelines.stages import deliver
from pipelines.stages.batch import Settled
from resources.lake.records import Asking


def count_rows(db: Asking, names: Sequence[str]) -> dict[str, int]:
    """How many rows each table or view of the lake holds."""
    counted = " union all ".join(f"select '{name}', count(*) from {name}" for name in names)
    return dict(db.execute(counted).fetchall())


def figures_of(settled: Settled) -> dict[str, Any]:
    """A sync in numbers."""
    if settled.batch is None:
        return {"batch": "nothing new"}
    figures: dict[str, Any] = {
        "batch": settled.batch.batch_id,
        "after inbox_id": settled.batch.after_inbox_id,
        "upto inbox_id": settled.batch.upto_inbox_id,
        "is full": settled.batch.is_full,
        "sync seconds": round(settled.seconds, 3),
        "messages": sum(settled.verdicts.values()),
        **{f"messages {verdict}": count for verdict, count in settled.verdicts.items()},
        "records touched": settled.touched,
    }
    if settled.enqueued:
        figures |= {
            "deliveries born": settled.enqueued.born,
            "deliveries parked": settled.enqueued.parked,
            "deliveries held": len(settled.enqueued.held),
        }
    return figures


def health_figures(health: Mapping[str, Any], promise: int) -> dict[str, Any]:
    """A flow's last hour in numbers, which Dagster plots."""
    ended = health["applied"] + health["parked"] + health["unknown"]
    return {
        "lag promised (s)": float(promise),
        **numbers({"lag p50 (s)": health["lag_p50"], "lag p95 (s)": health["lag_p95"]}),
        **numbers({"integrity rate (%)": 100 * health["applied_at_once"] / ended if ended else None}),
        "applied in the last hour": health["applied"],
        "waiting": health["waiting"],
        "held": health["held"],
        "parked": health["parked"],
        "unknown": health["unknown"],
    }


def tell_delivery(report: deliver.DeliveryReport, system: System) -> tuple[str, dict[str, Any]]:
    """Why a delivery run failed, in one sentence, and every parked delivery as a table."""
    if report.parked:
        first, more = report.parked[0], len(report.parked) - 1
        sentence = f"{first.sentence}. {first.steward} answers."
        if more:
            sentence += f" {more} more {'is' if more == 1 else 'are'} parked by this run, see the table."
        rows = [
            dg.TableRecord(
                {"flow": one.flow, "key": one.key, "because": one.because, "who": one.steward, "what": one.sentence}
            )
            for one in report.parked[:100]
        ]
        return sentence.replace("..", "."), {"parked": dg.MetadataValue.table(rows)}
    if report.unreachable:
        sentence = (
            f"{report.unreachable}. {system.steward} answers: see that {system.system} runs and can be reached. Nothing is "
            "lost: deliveries wait and are tried again."
        )
        return sentence, {}
    return f"{report.errors[0]}. Whoever keeps the connector answers: {system.connector}.", {}
