"""Asset checks: what must hold of every flow, with its threshold, and the sentence that says who must do what."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import numpy as np
import yaml

from pipelines.asset_keys import flow_key, stream_key
from pipelines.conflicts import Conflict, conflicts_that_wait, in_one_sentence
from pipelines.facts import Facts
from pipelines.identity import doubts
from pipelines.map_schema import Entity, Flow, IntegrationMap, Stream, System
from pipelines.proofs import NOT_WRONG
from resources.store import Store

MODELS = Path(__file__).parents[1] / "dbt_project" / "models"
QUARANTINE_SHARE = 0.05  # of the last day's messages: beyond it a sender has changed, rather than erred
SILENCE = 10  # times its usual pace: below it, quiet hours are taken for silence
SHORTEST_SILENCE = 1800.0  # seconds
LISTED = 20  # of what waits for a person, in a check's metadata: who wants all of them has a command
MOMENTS = 5  # at which a sender was heard before a pace can be told


@dataclass(frozen=True, slots=True)
class Batch:
    """The inbox ids that a sync has settled: after is exclusive, upto inclusive."""

    after_inbox_id: int
    upto_inbox_id: int


@dataclass(frozen=True)
class DbtTest:
    """A test of a column that stands in a model's properties."""

    model: str
    column: str
    kind: str  # not_null, unique

    @property
    def name(self) -> str:
        """How the check is called on its asset."""
        return f"{self.column}_is_{'never_null' if self.kind == 'not_null' else self.kind}"

    @property
    def node(self) -> str:
        """How dbt calls it."""
        return f"{self.kind}_{self.model}_{self.column}"


def read_dbt_tests(folder: Path = MODELS) -> list[DbtTest]:
    """Every test of a column in the models' properties."""
    return [
        DbtTest(model["name"], column["name"], test)
        for path in sorted(folder.rglob("*.yml"))
        for model in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("models", [])
        for column in model.get("columns", [])
        for test in column.get("data_tests", [])
        if isinstance(test, str)
    ]


@dataclass(frozen=True)
class Checks:
    """The checks of a map: which there are, and how each is judged."""

    the_map: IntegrationMap
    dbt_tests: list[DbtTest]

    # after a sync

    def of_settling(self, entity: str) -> list[dg.AssetCheckSpec]:
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

    def judge_settling(
        self, entity: str, *, steward: str, store: Store, batch: Batch, db: duckdb.DuckDBPyConnection
    ) -> Iterator[dg.AssetCheckResult]:
        """The results of `of_settling`, read from the lake."""
        if not self._sources(entity):
            return
        yield self._books(entity, steward=steward, store=store, batch=batch, db=db)
        yield self._quarantine(entity, db=db)
        if self._ladders(entity):
            yield self._statuses(entity, steward=steward, db=db)
        if self.the_map.entities[entity].match:
            yield self._doubts(entity, steward=steward, db=db)

    def _doubts(self, entity: str, *, steward: str, db: duckdb.DuckDBPyConnection) -> dg.AssetCheckResult:
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

    def _books(
        self, entity: str, *, steward: str, store: Store, batch: Batch, db: duckdb.DuckDBPyConnection
    ) -> dg.AssetCheckResult:
        streams = [f"{system.system}/{name}" for system, name, _, _ in self._sources(entity)]
        bounds = {"after_inbox_id": batch.after_inbox_id, "upto_inbox_id": batch.upto_inbox_id}
        kept = store.numbers("messages_in_batch", streams=streams, **bounds)
        judged = db.execute(
            f"select inbox_id from {entity}_verdicts where inbox_id > ? and inbox_id <= ?", list(bounds.values())
        ).fetchnumpy()["inbox_id"]
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

    def _quarantine(self, entity: str, *, db: duckdb.DuckDBPyConnection) -> dg.AssetCheckResult:
        counted = db.execute(
            f"""
            select count(*), count(*) filter (where verdict = 'quarantined')
            from {entity}_verdicts where received_at > now() - interval 1 day
            """
        ).fetchone()
        seen, bad = counted or (0, 0)
        share = bad / seen if seen else 0.0
        passed = share <= QUARANTINE_SHARE
        told = f"{bad} of the last day's {seen} messages about {entity} are quarantined ({share:.1%})"
        if bad:
            worst = db.execute(
                f"""
                select system, stream, reason, steward, next_step, count(*) as messages
                from {entity}_quarantine where received_at > now() - interval 1 day
                group by all order by messages desc, reason limit 1
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

    def _statuses(self, entity: str, *, steward: str, db: duckdb.DuckDBPyConnection) -> dg.AssetCheckResult:
        rows = db.execute(
            f"""
            select system, stream, reason, count(*) as messages
            from {entity}_quarantine
            where reason like '%is no status that the map knows%' and received_at > now() - interval 1 day
            group by all order by messages desc, reason
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

    # after a delivery

    def of_delivering(self, system: str) -> list[dg.AssetCheckSpec]:
        """What is checked whenever couriers were under way to this destination."""
        return [
            spec
            for name, flow in self._flows_to(system).items()
            for spec in (
                dg.AssetCheckSpec(
                    "nothing_is_parked",
                    asset=flow_key(system, name),
                    description="No delivery waits for a person.",
                ),
                dg.AssetCheckSpec(
                    "lag_is_kept",
                    asset=flow_key(system, name),
                    description=f"95 of 100 deliveries of the last hour were applied within {flow.max_lag} s of their "
                    "message, and none waits longer.",
                ),
            )
        ]

    def judge_delivering(self, system: str, flow_name: str, health: Mapping[str, Any]) -> list[dg.AssetCheckResult]:
        """The results of `of_delivering` for one flow; `health` is the row of the query flow_health."""
        flow = self._flows_to(system)[flow_name]
        return [_parked(system, flow_name, flow, health), _lag(system, flow_name, flow, health)]

    # after a reconciliation

    def of_reconciling(self, entity: str) -> list[dg.AssetCheckSpec]:
        """What is checked whenever the entity was reconciled."""
        return [
            dg.AssetCheckSpec(
                name,
                asset=f"reconcile_{entity}",
                description=f"{' and '.join(proof.between)} agree about {entity}; alarm above {proof.alarm_above}, "
                f"differences that are merely late left aside.",
            )
            for name, proof in self.the_map.entities[entity].reconcile.items()
        ] + [
            dg.AssetCheckSpec(
                name,
                asset=f"proofs_{entity}",
                description=f"{proof.meaning} Alarm above {proof.alarm_above}; {proof.steward} answers.",
            )
            for name, proof in self.the_map.entities[entity].proofs.items()
        ]

    def judge_reconciling(
        self, entity: str, *, counts: Mapping[tuple[str, str], int], records: int, sentences: list[str]
    ) -> Iterator[dg.AssetCheckResult]:
        """The results of `of_reconciling`; `sentences` are those of the reconciliations above their alarm."""
        for name, proof in self.the_map.entities[entity].reconcile.items():
            kinds = {kind: count for (told_of, kind), count in counts.items() if told_of == name}
            wrong = sum(count for kind, count in kinds.items() if kind not in NOT_WRONG)
            alarm = next((told for told in sentences if told.startswith(f"{' and '.join(proof.between)} ")), None)
            told = alarm or (
                f"{' and '.join(proof.between)} agree about {entity}, but for {wrong} differences, "
                f"and {kinds.get('late', 0)} that are late within their promise"
                f"{', and ' + str(kinds['ignored']) + ' that a person leaves alone' if 'ignored' in kinds else ''}."
            )
            yield result(
                f"reconcile_{entity}",
                name,
                passed=alarm is None,
                told=told,
                metadata={
                    "differences": wrong,
                    "records": records,
                    **{f"kind: {kind}": n for kind, n in kinds.items()},
                },
            )

        for name in self.the_map.entities[entity].proofs:
            kinds = {kind: count for (told_of, kind), count in counts.items() if told_of == name}
            wrong = sum(count for kind, count in kinds.items() if kind not in NOT_WRONG)
            alarm = next((told for told in sentences if told.startswith(f"{in_words(name)}: ")), None)
            told = alarm or f"{wrong} differences, and {kinds.get('late', 0)} that are late within their promise."
            found = {"differences": wrong, **{f"kind: {kind}": count for kind, count in kinds.items()}}
            yield result(f"proofs_{entity}", name, passed=alarm is None, told=told, metadata=found)

    # on a schedule

    def of_schedule(self, entity: str) -> list[dg.AssetCheckSpec]:
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
                        description=f"At most {QUARANTINE_SHARE:.0%} of the last day's records break the contract.",
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

    def judge_senders(self, entity: str, store: Store) -> Iterator[dg.AssetCheckResult]:
        """Whether each stream of the entity is still heard."""
        for system, name, stream in self._streams_grouped_with(entity):
            yield _heard(system, name, stream, store)

    def judge_flags(self, entity: str, db: duckdb.DuckDBPyConnection) -> Iterator[dg.AssetCheckResult]:
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
            passed=share <= QUARANTINE_SHARE,
            told=f"{sentence}.",
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"records": told, "flagged": flagged, "share (%)": 100 * share},
        )

    def judge_conflicts(self, entity: str, db: duckdb.DuckDBPyConnection) -> Iterator[dg.AssetCheckResult]:
        """Whether no conflict about the entity's records waits for a person."""
        if not self._has_conflicts(entity):
            return
        found = conflicts_that_wait(db, self.the_map.entities[entity])
        told = f"No conflict about {entity} waits for a person."
        if found:
            told = f"{in_one_sentence(found)}."
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

    def judge_tests(self, entity: str, outcomes: Mapping[str, tuple[str, str]]) -> Iterator[dg.AssetCheckResult]:
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
        names = family | {f"landing_{entity}", f"{entity}_verdicts"}
        return [test for test in self.dbt_tests if test.model in names]

    def _has_conflicts(self, entity: str) -> bool:
        return Facts(self.the_map, self.the_map.entities[entity]).has_conflicts

    def _has_flags(self, entity: str) -> bool:
        return bool(self._sources(entity)) and not self.the_map.entities[entity].model

    def _sources(self, entity: str) -> list[Any]:
        return self.the_map.says(entity)

    def _ladders(self, entity: str) -> list[str]:
        return [name for name, field in self.the_map.entities[entity].fields.items() if field.ladder]

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

    def _flows_to(self, system: str) -> dict[str, Flow]:
        return {
            name: flow
            for name, (entity, flow) in self.the_map.flows.items()
            if any(to.system == system for to in self.the_map.destinations(entity, flow))
        }


def result(
    asset: str | dg.AssetKey,
    name: str,
    *,
    passed: bool,
    told: str,
    metadata: Mapping[str, Any],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """A check's result, with its sentence as description."""
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey.from_coercible(asset),
        check_name=name,
        passed=passed,
        severity=severity,
        description=told,
        metadata=metadata,
    )


def _parked(system: str, name: str, flow: Flow, health: Mapping[str, Any]) -> dg.AssetCheckResult:
    parked = health["parked"]
    told = "No delivery waits for a person."
    if parked:
        what = {
            "flood": f"look at what changed, then run `concord release {name}`",
            "foreign writes": f"find out who overwrites it in {system}",
            "own field": "find who wrote it into the flow, and take the field out",
        }.get(health["parked_because"], f"mend the cause, then re-execute run {(health['parked_by_run'] or '?')[:8]}")
        told = (
            f"{parked} {'delivery waits' if parked == 1 else 'deliveries wait'} for a person, the oldest of "
            f"{health['parked_key']} ({health['parked_because']}): {health['parked_error'] or 'no reason was given'}. "
            f"{flow.steward} answers: {what}."
        )
        if flow.on_failure and flow.on_failure.fallback:
            told += f" Meanwhile: {flow.on_failure.fallback}."
    return result(
        flow_key(system, name), "nothing_is_parked", passed=not parked, told=told, metadata={"parked": parked}
    )


def _lag(system: str, name: str, flow: Flow, health: Mapping[str, Any]) -> dg.AssetCheckResult:
    p95, oldest = health["lag_p95"], health["oldest"]
    is_late = p95 is not None and p95 > flow.max_lag
    is_waiting = oldest is not None and oldest > flow.max_lag
    if is_waiting:
        told = f"A delivery has waited for {oldest:.0f} s, {flow.max_lag} s are promised ({health['waiting']} wait)"
    elif is_late:
        told = f"95 of 100 deliveries of the last hour took up to {p95:.0f} s, {flow.max_lag} s are promised"
    else:
        told = (
            "Nothing was delivered in the last hour" if p95 is None else f"95 of 100 deliveries took up to {p95:.1f} s"
        )
    told += (
        f". {flow.steward} answers: see whether {system} is slow or down, and its failed runs."
        if is_late or is_waiting
        else "."
    )
    return result(
        flow_key(system, name),
        "lag_is_kept",
        passed=not (is_late or is_waiting),
        told=told,
        severity=dg.AssetCheckSeverity.ERROR if flow.tier == 1 else dg.AssetCheckSeverity.WARN,
        metadata={"promised lag (s)": float(flow.max_lag), **numbers({"lag p95 (s)": p95, "oldest open (s)": oldest})},
    )


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


def in_words(name: str) -> str:
    """A proof's name as a sentence begins with it."""
    return name.replace("_", " ")


def numbers(told: Mapping[str, float | None]) -> dict[str, float]:
    """Those of the figures that there are, as numbers, so that Dagster plots them."""
    return {name: round(float(value), 3) for name, value in told.items() if value is not None}
