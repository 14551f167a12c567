"""What no arrival would bring about: senders that say nothing more, records that break the contract as they stand, conflicts
that wait, and dbt's tests."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import dagster as dg
import duckdb

from pipelines.compiler.entity import Facts
from pipelines.language.schema import Entity, IntegrationMap, Stream, System
from pipelines.orchestration.asset_keys import stream_key
from pipelines.orchestration.checks.dbt_tests import DbtTest
from pipelines.orchestration.checks.result import numbers, result
from pipelines.stages.conflicts import Conflict, conflicts_that_wait, in_one_sentence
from resources.store.store import Store

FLAGGED_SHARE = 0.05  # of the last day's records: beyond it a sender has changed, rather than erred
SILENCE = 10  # times its usual pace: below it, quiet hours are taken for silence
SHORTEST_SILENCE = 1800.0  # seconds
LISTED = 20  # of what waits for a person, in a check's metadata: who wants all of them has a command
MOMENTS = 5  # at which a sender was heard before a pace can be told


@dataclass(frozen=True)
class ScheduledChecks:
    """The checks of each entity that are made from time to time."""

    the_map: IntegrationMap
    dbt_tests: list[DbtTest]

    def specs(self, entity: str) -> list[dg.AssetCheckSpec]:
        """What is checked from time to time: senders that say nothing more, and dbt's tests."""
        return [
            *(
                dg.AssetCheckSpec(
                    "sender_is_heard",
                    asset=stream_key(system.system, name),
                    description=f"It was silent for less than {SILENCE} times its usual pace.",
                )
                for system, name, _ in self._streams_grouped_with(entity)
            ),
            *(
                [
                    dg.AssetCheckSpec(
                        "few_are_flagged",
                        asset=f"{entity}_flags",
                        description=f"At most {FLAGGED_SHARE:.0%} of the last day's records break the contract.",
                    )
                ]
                if self._has_flags(entity)
                else []
            ),
            *(
                [
                    dg.AssetCheckSpec(
                        "no_conflict_waits",
                        asset=f"{entity}_conflicts",
                        description="No foreign write is held, and no status was taken back that may not be.",
                    )
                ]
                if self._has_conflicts(entity)
                else []
            ),
            *(
                dg.AssetCheckSpec(
                    test.name, asset=test.model, description=f"dbt: {test.kind} of {test.model}.{test.column}"
                )
                for test in self.tests_of(entity)
            ),
        ]

    def senders(self, entity: str, store: Store) -> Iterator[dg.AssetCheckResult]:
        """Whether each stream of the entity is still heard."""
        for system, name, stream in self._streams_grouped_with(entity):
            yield _heard(system, name, stream, store)

    def flags(self, entity: str, db: duckdb.DuckDBPyConnection) -> Iterator[dg.AssetCheckResult]:
        """Whether few records that were told of in the last day break the contract as they stand."""
        if not self._has_flags(entity):
            return
        day = "last_received_at > now() - interval 1 day"
        told, flagged = db.execute(
            f"select (select count(*) from {entity} where {day}), count(distinct key) from {entity}_flags where {day}"
        ).fetchone() or (0, 0)
        share = flagged / told if told else 0.0
        sentence = f"{flagged} of the last day's {told} {entity} break the contract as they stand ({share:.1%})"
        if flagged:
            worst = db.execute(
                f"""
                select split_part(reason, ' ', 1) as rule, count(*) as records, min(key), min_by(reason, key), any_value(steward),
                    any_value(next_step)
                from {entity}_flags where {day} group by rule order by records desc, rule limit 1
                """
            ).fetchone()
            _, count, key, reason, steward, next_step = worst or ("", 0, "", "", "", "")
            sentence += f", most often ({count}) as {key}: {reason}. {steward} answers: {next_step}"
        yield result(
            f"{entity}_flags",
            "few_are_flagged",
            passed=share <= FLAGGED_SHARE,
            told=f"{sentence}.",
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"records": told, "flagged": flagged, "share (%)": 100 * share},
        )

    def conflicts(self, entity: str, db: duckdb.DuckDBPyConnection) -> Iterator[dg.AssetCheckResult]:
        """Whether no conflict about the entity's records waits for a person."""
        if not self._has_conflicts(entity):
            return
        found = conflicts_that_wait(db, self.the_map.entities[entity])
        told = f"No conflict about {entity} waits for a person."
        if found:
            told = f"{in_one_sentence(found[0], len(found))}."
        yield result(
            f"{entity}_conflicts",
            "no_conflict_waits",
            passed=not found,
            told=told,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "waiting": len(found),
                **numbers({"oldest (s)": found[0].age if found else None}),
                **({"the oldest": dg.MetadataValue.md(_listed(found[:LISTED]))} if found else {}),
            },
        )

    def tests(self, entity: str, outcomes: Mapping[str, tuple[str, str]]) -> Iterator[dg.AssetCheckResult]:
        """The results of dbt's tests; `outcomes` are (status, message) by the name of the node."""
        for test in self.tests_of(entity):
            status, message = outcomes.get(test.node, ("not run", ""))
            passed = status == "pass"
            told = (
                f"dbt found {test.model}.{test.column} as it should be."
                if passed
                else f"{test.model}.{test.column} is not {'always filled' if test.kind == 'not_null' else 'unique'} "
                f"({message or status}). Whoever keeps the map answers: read the rows in {test.model}, "
                f"then launch sync_{entity} with full: true."
            )
            yield result(
                test.model, test.name, passed=passed, told=told, severity=dg.AssetCheckSeverity.WARN, metadata={}
            )

    def tests_of(self, entity: str) -> list[DbtTest]:
        """dbt's tests of the entity's own models."""
        family = {member.entity for member in self.the_map.family(entity)}
        names = family | {f"{entity}_verdicts"}
        return [test for test in self.dbt_tests if test.model in names]

    def _has_conflicts(self, entity: str) -> bool:
        return Facts(self.the_map, self.the_map.entities[entity]).has_conflicts

    def _has_flags(self, entity: str) -> bool:
        return bool(self.the_map.says(entity)) and not self.the_map.entities[entity].model

    @cached_property
    def _grouped(self) -> dict[str, list[tuple[System, str, Stream]]]:
        grouped: dict[str, list[tuple[System, str, Stream]]] = {}
        for system in self.the_map.systems.values():
            for name, stream in system.streams.items():
                if stream.says:
                    told: Entity = self.the_map.entities[next(iter(stream.says))]
                    grouped.setdefault(told.parent or told.entity, []).append((system, name, stream))
        return grouped

    def _streams_grouped_with(self, entity: str) -> list[tuple[System, str, Stream]]:
        return self._grouped.get(entity, [])


def _heard(system: System, name: str, stream: Stream, store: Store) -> dg.AssetCheckResult:
    is_file = stream.arrives.file is not None
    seen = store.one("files_of_stream" if is_file else "arrivals_of_stream", system=system.system, stream=name) or {}
    moments, silent_for = seen.get("moments", 0), seen.get("silent_for")
    metadata = {"moments": moments, **numbers({"silent for (s)": silent_for})}
    passed = True
    if moments < MOMENTS:
        told = f"It was heard {moments} times: too few to tell its pace."
    else:
        pace = (seen["last_at"] - seen["first_at"]).total_seconds() / (moments - 1)
        limit = max(SILENCE * pace, SHORTEST_SILENCE)
        metadata |= numbers({"usual pace (s)": pace, "alarm after (s)": limit})
        passed = silent_for <= limit
        told = f"It was last heard {silent_for:.0f} s ago; its usual pace is {pace:.0f} s"
        told += "." if passed else f". {system.steward} answers: see that {system.system} runs and still sends {name}."
    return result(
        stream_key(system.system, name),
        "sender_is_heard",
        passed=passed,
        told=told,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )


def _listed(found: list[Conflict]) -> str:
    """Conflicts as a list that Dagster shows."""
    return "\n".join(f"- {one.sentence} ({one.steward}): {one.next_steps}" for one in found)
