"""What is checked whenever an entity was settled: its books, what is quarantined, its statuses, and who is in doubt."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import numpy as np

from pipelines.language.schema import IntegrationMap
from pipelines.orchestration.checks.result import result
from pipelines.stages.matching import doubts
from resources.lake.records import Asking, ids_judged
from resources.store.store import Store

QUARANTINE_SHARE = 0.05  # of the last day's messages: beyond it a sender has changed, rather than erred


@dataclass(frozen=True, slots=True)
class Batch:
    """The inbox ids that a sync has settled: after is exclusive, upto inclusive."""

    after_inbox_id: int
    upto_inbox_id: int


@dataclass(frozen=True)
class SettlingChecks:
    """The checks of each entity that some system tells of."""

    the_map: IntegrationMap

    def specs(self, entity: str) -> list[dg.AssetCheckSpec]:
        """What is checked whenever the entity was settled."""
        if not self._sources(entity):
            return []
        specs = [
            dg.AssetCheckSpec(
                "books_balance",
                asset=f"{entity}_verdicts",
                description="Every message of the batch has exactly one verdict: the two sets of ids are equal.",
            ),
            dg.AssetCheckSpec(
                "few_are_quarantined",
                asset=f"{entity}_quarantine",
                description=f"At most {QUARANTINE_SHARE:.0%} of the last day's messages broke the data contract.",
            ),
        ]
        if self._ladders(entity):
            specs.append(
                dg.AssetCheckSpec(
                    "statuses_are_mapped",
                    asset=f"stg_{entity}",
                    description=f"The map knows every word that senders use for {', '.join(self._ladders(entity))}.",
                )
            )
        if self.the_map.entities[entity].match:
            specs.append(
                dg.AssetCheckSpec(
                    "nobody_is_in_doubt",
                    asset=f"{entity}_matches",
                    description=f"No person has to say which of the {entity} are one.",
                )
            )
        return specs

    def judged(
        self, entity: str, *, steward: str, store: Store, batch: Batch, db: Asking
    ) -> Iterator[dg.AssetCheckResult]:
        """The results of `specs`, read where tables are settled."""
        if not self._sources(entity):
            return
        yield self._books(entity, steward=steward, store=store, batch=batch)
        yield self._quarantine(entity, store=store, db=db)
        if self._ladders(entity):
            yield self._statuses(entity, steward=steward, db=db)
        if self.the_map.entities[entity].match:
            yield self._doubts(entity, steward=steward, db=db)

    def _doubts(self, entity: str, *, steward: str, db: Asking) -> dg.AssetCheckResult:
        found = doubts(db, entity)
        told = f"Nobody among the {entity} may be another without being linked."
        if found:
            told = f"{found[0].sentence}. {steward} answers: {found[0].next_steps}."
        return result(
            f"{entity}_matches",
            "nobody_is_in_doubt",
            passed=not found,
            told=told,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"in doubt": len(found), **({"oldest": found[0].since.isoformat()} if found else {})},
        )

    def _books(self, entity: str, *, steward: str, store: Store, batch: Batch) -> dg.AssetCheckResult:
        streams = [f"{system.system}/{name}" for system, name, _, _ in self._sources(entity)]
        bounds = {"after_inbox_id": batch.after_inbox_id, "upto_inbox_id": batch.upto_inbox_id}
        kept = store.numbers("messages_in_batch", streams=streams, **bounds)
        judged = ids_judged(store, entity, batch.after_inbox_id, batch.upto_inbox_id)
        missing, strange = np.setdiff1d(kept, judged), np.setdiff1d(judged, kept)  # both are in order
        twice = len(judged) - len(np.unique(judged))
        wrong = []
        if len(missing):
            wrong.append(f"{len(missing)} messages have no verdict (the first is inbox_id {missing[0]})")
        if len(strange):
            wrong.append(f"{len(strange)} verdicts speak of no message (inbox_id {strange[0]})")
        if twice:
            wrong.append(f"{twice} messages have more than one verdict")
        if not wrong:
            told = f"All {len(kept)} messages of the batch have one verdict."
        else:
            told = (
                f"The books of {entity} do not balance: {' and '.join(wrong)}. {steward} answers: "
                f"launch sync_{entity} with full: true, which judges every message again."
            )
        metadata = {
            "messages": len(kept),
            "verdicts": len(judged),
            "missing": len(missing),
            "told of none": len(strange),
        }
        return result(f"{entity}_verdicts", "books_balance", passed=not wrong, told=told, metadata=metadata)

    def _quarantine(self, entity: str, *, store: Store, db: Asking) -> dg.AssetCheckResult:
        seen, bad = _judged_in_the_last_day(entity, store)
        share = bad / seen if seen else 0.0
        passed = share <= QUARANTINE_SHARE
        told = f"{bad} of the last day's {seen} messages about {entity} are quarantined ({share:.1%})"
        if bad:
            worst = db.execute(
                f"""
                select system, stream, reason, steward, next_step, count(*) as messages
                from {entity}_quarantine where received_at > now() - interval '1 day'
                group by system, stream, reason, steward, next_step order by messages desc, reason limit 1
                """
            ).fetchone()
            if worst:
                system, stream, reason, who, what, count = worst
                told += f", most often ({count}) from {system}/{stream}: {reason}. {who} answers: {what}"
        return result(
            f"{entity}_quarantine",
            "few_are_quarantined",
            passed=passed,
            told=f"{told}.",
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "messages": seen,
                "quarantined": bad,
                "share (%)": 100 * share,
                "at most (%)": 100 * QUARANTINE_SHARE,
            },
        )

    def _statuses(self, entity: str, *, steward: str, db: Asking) -> dg.AssetCheckResult:
        rows = db.execute(
            f"""
            select system, stream, reason, count(*) as messages
            from {entity}_quarantine
            where reason like '%is no status that the map knows%' and received_at > now() - interval '1 day'
            group by system, stream, reason order by messages desc, reason
            """
        ).fetchall()
        if not rows:
            told = "Every status of the last day is known."
        else:
            system, stream, reason, count = rows[0]
            told = (
                f"{system}/{stream} sent a status that the map does not know, in {count} messages: {reason}. "
                f"{steward} answers: add the word to words in map/systems/{system}.yaml."
            )
        return result(
            f"stg_{entity}",
            "statuses_are_mapped",
            passed=not rows,
            told=told,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"unmapped": sum(row[3] for row in rows)},
        )

    def _sources(self, entity: str) -> list[Any]:
        return self.the_map.says(entity)

    def _ladders(self, entity: str) -> list[str]:
        return [name for name, field in self.the_map.entities[entity].fields.items() if field.ladder]


def _judged_in_the_last_day(entity: str, store: Store) -> tuple[int, int]:
    """How many messages were judged, and how many of them are quarantined."""
    row = store.one("judged_in_the_last_day", entity=entity) or {"messages": 0, "quarantined": 0}
    return row["messages"], row["quarantined"]
