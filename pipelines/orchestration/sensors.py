"""When runs begin: sensors that see what arrived, changed or is due, and schedules from the map's cron.

Sensors name jobs and never say what a run does. Whether there is something to do is read from our own tables, so a run
that was lost is asked for again, and a run too many finds nothing to do.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg
from dagster._core.execution.plan.objects import ErrorSource

from pipelines.compiler.reconciliation import looks
from pipelines.language.schema import BusinessProof, Entity, IntegrationMap, System, seconds
from resources.connectors.connector import Connector, Unreachable
from resources.store.alerts import Alert, end_alerts, raise_alerts
from resources.store.deliveries import systems_with_due
from resources.store.store import Store

SETTLED = "concord/settled"  # a run's tag once it has settled its batch: what arrives from then on needs another run
STEWARD = "concord/steward"
ENTITY, WHY = "concord/entity", "concord/why"
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
LONGEST_BREAK = 300.0  # seconds between runs that fail before they settle anything
DUE_EVERY = 5  # seconds
LONGEST_PACE = {1: 15, 2: 60, 3: 60}  # seconds between two of its batches, by the tier of its flows
HEAD_START = 8.0  # seconds after a start in which only what is realtime begins
CANNOT_WAIT = {
    "has_urgent_messages": "new messages",
    "has_wishes": "decisions or repairs",
    "has_turned": "the time has come for one of them",
}
CAN_WAIT = {
    "has_messages": "news of those who may take longer",
    "has_deliveries": "what couriers applied",
    "has_neighbours": "what it reads was settled",
}
FILES_SOONEST, FILES_LATEST = 5, 60  # seconds between looks into a drop folder
NOTHING_NEW = "nothing new was said of anything"
GOES_FIRST = "Concord has just started: what is realtime goes first"
HasChanged = Callable[[Store, str, str, Connector], bool]


@dataclass(frozen=True)
class Sensors:
    """The sensors and schedules of a map."""

    the_map: IntegrationMap
    fingerprints: Mapping[str, str]  # what the map makes of each entity: when it changes, the entity is settled again
    compared: Mapping[str, Sequence[str]]  # the entities whose tables a job of proofs reads, by the job
    has_changed: HasChanged
    jobs: Mapping[str, Any]  # by name
    head_start: float = HEAD_START

    def all(self) -> list[dg.SensorDefinition]:
        """Every sensor, running from the start."""
        return [
            self.news(),
            *(self.changes(system) for system in self.the_map.systems.values() if self._is_looked_at(system)),
            self.due_deliveries(),
            self.failed_runs(),
        ]

    def schedules(self) -> list[dg.ScheduleDefinition]:
        """Every schedule, running from the start. What a proof looks at by the same cron is looked at once."""
        proved = {
            (*look, proof.every)
            for entity in self.the_map.entities.values()
            for proof in entity.reconcile.values()
            for look in looks(self.the_map, entity.entity)
        }
        crons = {
            **{
                f"catch_up_{system.system}_{name}": (f"poll_{system.system}_{name}", stream.arrives.catch_up)
                for system in self.the_map.systems.values()
                for name, stream in system.streams.items()
                if stream.arrives.catch_up
            },
            **{
                f"snapshot_{system.system}_{name}": (f"snapshot_{system.system}_{name}", stream.arrives.snapshot)
                for system in self.the_map.systems.values()
                for name, stream in system.streams.items()
                if stream.arrives.snapshot and (system.system, name, stream.arrives.snapshot) not in proved
            },
            **{
                f"reconcile_{entity.entity}_{name}": (f"reconcile_{entity.entity}", proof.every)
                for entity in self.the_map.entities.values()
                for name, proof in entity.reconcile.items()
            },
            **{
                f"prove_{entity.entity}_{name}": (f"reconcile_{entity.entity}", proof.every)
                for entity in self.the_map.entities.values()
                for name, proof in _at_times_of_their_own(entity)
            },
            **{
                f"check_{entity.entity}": (f"check_{entity.entity}", f"{(7 * number) % 60} * * * *")
                for number, entity in enumerate(self.the_map.roots, start=2)
            },
            "drift": ("drift", "3-59/5 * * * *"),
            "retention": ("retention", "37 * * * *"),
        }
        return [self._schedule(name, job, cron) for name, (job, cron) in crons.items() if cron]

    def _schedule(self, name: str, job: str, cron: str) -> dg.ScheduleDefinition:
        """Asks for the job by its cron, as soon as everything that it compares was settled once."""

        def asks(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
            unsettled = context.resources.store.rows("never_settled", entities=self.compared.get(job, []))
            if unsettled:
                return dg.SkipReason(f"nothing is compared until {unsettled[0]['entity']} was settled once")
            return dg.RunRequest(tags={WHY: f"schedule {cron}"})

        return dg.ScheduleDefinition(
            name=f"at_{name}",
            job_name=job,
            cron_schedule=cron,
            execution_fn=asks,
            required_resource_keys={"store"},
            default_status=dg.DefaultScheduleStatus.RUNNING,
        )

    def news(self) -> dg.SensorDefinition:
        """Asks for one sync of each entity about which something arrived, whether it is one message or a million.

        One look for all of them: a sensor each takes a quarter of a core before anything has arrived.
        """

        @dg.sensor(
            name="news",
            jobs=[self.jobs[f"sync_{entity.entity}"] for entity in self.the_map.roots],
            minimum_interval_seconds=1,
            default_status=dg.DefaultSensorStatus.RUNNING,
            required_resource_keys={"store"},
            description="New messages, decisions or deliveries of each entity since its last settled batch.",
        )
        def news(context: dg.SensorEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
            why = self.reasons(context.resources.store, context.instance)
            asks = [
                dg.RunRequest(job_name=f"sync_{name}", tags={WHY: reason.told})
                for name, reason in why.items()
                if reason.is_news
            ]
            waits = "; ".join(f"{name}: {reason.told}" for name, reason in why.items() if not reason.is_news)
            if asks and waits:
                context.log.info(waits)
            return asks or dg.SkipReason(waits or NOTHING_NEW)

        return news

    def reasons(self, store: Store, instance: dg.DagsterInstance) -> dict[str, "Reason"]:
        """By entity, why it is settled now or what it waits for; nothing of those about whom nothing is new."""
        found = store.rows("news", asked=self._asked_of_all)
        why = {row["entity"]: self._why(row, self.the_map.entities[row["entity"]], store) for row in found}
        runs = RecentRuns(instance)
        for name, reason in why.items():
            if reason and reason.is_news and (wait := runs.reason_to_wait(f"sync_{name}", is_settling=True)):
                why[name] = Reason(wait, is_news=False)
        return {name: reason for name, reason in why.items() if reason}

    @cached_property
    def _asked_of_all(self) -> str:
        return json.dumps([self._asked(entity) for entity in self.the_map.roots])

    def _asked(self, entity: Entity) -> dict[str, object]:
        """What the look for news is told of an entity."""
        streams = {
            (system.system, stream, self._is_urgent(entity, system))
            for told in self.the_map.family(entity.entity)
            for system, stream, _, _ in self.the_map.says(told.entity)
        }
        return {
            "entity": entity.entity,
            "of": entity.of,
            "fingerprint": self.fingerprints[entity.entity],
            "needs": self._needs(entity),
            "streams": [
                {"system": system, "stream": name, "is_urgent": urgent} for system, name, urgent in sorted(streams)
            ],
        }

    def changes(self, system: System) -> dg.SensorDefinition:
        """Asks for a poll of each stream of a system that has changes or files which we have not taken.

        Each stream is looked at as often as the map says. One look after the other: a system that does not answer is asked
        for nothing more.
        """
        name = system.system
        every = {
            stream: self._pace_of_files(system, stream) if how.arrives.file else seconds(str(how.arrives.poll))
            for stream, how in system.streams.items()
            if how.is_polled and how.says
        }
        looked_at: dict[str, float] = {}  # by stream, since this process began

        @dg.sensor(
            name=f"changes_{name}",
            jobs=[self.jobs[f"poll_{name}_{stream}"] for stream in every],
            minimum_interval_seconds=min(every.values()),
            default_status=dg.DefaultSensorStatus.RUNNING,
            required_resource_keys={"store", name},
            description=f"Looks for changes and files in {name}, cheaply.",
        )
        def changes(context: dg.SensorEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
            store: Store = context.resources.store
            if self._is_head_start(store):
                return dg.SkipReason(GOES_FIRST)
            runs, asks, told = RecentRuns(context.instance), [], []
            now = time.monotonic()
            for stream, pause in every.items():
                if now - looked_at.get(stream, -pause) < pause:
                    continue
                job = f"poll_{name}_{stream}"
                if wait := runs.reason_to_wait(job):
                    told.append(f"{stream}: {wait}")
                    continue
                looked_at[stream] = now
                sentence = self._unheard(store, system, stream, getattr(context.resources, name))
                if sentence is None:
                    asks.append(dg.RunRequest(job_name=job, tags={WHY: "changes since the last look"}))
                elif sentence:
                    told.append(sentence)
                    break
            return asks or dg.SkipReason("; ".join(told) or f"nothing changed in {name}")

        return changes

    def _unheard(self, store: Store, system: System, stream: str, connector: Connector) -> str | None:
        """None where the stream has changes, an empty text where it has none; else why the system could not be asked."""
        subject = f"{system.system}/{stream}"
        try:
            is_changed = self.has_changed(store, system.system, stream, connector)
        except Unreachable as problem:
            told = f"{system.system} did not answer when asked for {stream}: {problem}. It is asked again; see that it runs"
            with store.transaction() as connection:
                raise_alerts(connection, [Alert(subject, "unheard", system.steward, told)])
            return f"{told} ({system.steward} answers)"
        with store.transaction() as connection:
            end_alerts(connection, [subject], kinds=["unheard"])
        return None if is_changed else ""

    def due_deliveries(self) -> dg.SensorDefinition:
        """Asks for couriers where retries are due, unless a run is at it or the destination's breaker is open."""
        takers = [system.system for system in self.the_map.systems.values() if self._takes(system.system)]

        @dg.sensor(
            name="due_deliveries",
            jobs=[self.jobs[f"deliver_{name}"] for name in takers],
            minimum_interval_seconds=DUE_EVERY,
            default_status=dg.DefaultSensorStatus.RUNNING,
            required_resource_keys={"store"},
            description="Deliveries whose time has come, to every destination whose breaker is closed.",
        )
        def due_deliveries(context: dg.SensorEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
            store: Store = context.resources.store
            if self._is_head_start(store):
                return dg.SkipReason(GOES_FIRST)
            due = [name for name in systems_with_due(store) if name in takers]
            if not due:
                return dg.SkipReason("nothing is due, or its destination is left alone until it answers again")
            runs = RecentRuns(context.instance)
            waits = {
                name: runs.under_way(self._syncs_to(name)) or runs.reason_to_wait(f"deliver_{name}", longest=30.0)
                for name in due
            }
            asks = [
                dg.RunRequest(job_name=f"deliver_{name}", tags={WHY: "deliveries are due"})
                for name, wait in waits.items()
                if wait is None
            ]
            return asks or dg.SkipReason("; ".join(f"{name}: {wait}" for name, wait in waits.items()))

        return due_deliveries

    def failed_runs(self) -> dg.SensorDefinition:
        """Tells the steward of a failed run what it said, once, until a run of that job succeeds."""

        @dg.run_failure_sensor(
            name="failed_runs",
            minimum_interval_seconds=5,
            default_status=dg.DefaultSensorStatus.RUNNING,
            description="Raises an alert for every failed run; the next success of that job ends it.",
        )
        def failed_runs(context: dg.RunFailureSensorContext, store: dg.ResourceParam[Store]) -> None:
            run = context.dagster_run
            steward = run.tags.get(STEWARD, "whoever keeps Concord")
            sentence = sentence_of(context)
            context.log.warning(f"{run.job_name} failed: {sentence}")
            with store.transaction() as connection:
                raise_alerts(connection, [Alert(run.job_name, "failed run", steward, sentence)])

        return failed_runs

    @cached_property
    def _first_look(self) -> float:
        return time.monotonic()

    def _is_head_start(self, store: Store) -> bool:
        """Whether realtime flows still catch up alone after a start. In a lake that is new they wait for all others."""
        return self._first_look + self.head_start > time.monotonic() and store.one("was_ever_settled") is not None

    def _why(self, news: Mapping[str, Any], entity: Entity, store: Store) -> "Reason | None":
        """Why an entity is settled now, or what it waits for; None where nothing is new."""
        name = entity.entity
        is_realtime = any(self._is_urgent(entity, system) for system in self.the_map.systems.values())
        if not is_realtime and self._is_head_start(store):
            return Reason(GOES_FIRST, is_news=False)
        if news["needed"]:
            return Reason(f"waits until {' and '.join(news['needed'])} was settled once", is_news=False)
        if news["fingerprint"] is None:
            return Reason("it was never settled")
        if news["fingerprint"] != self.fingerprints[name] and not news["was_settled_so"]:  # else our map is the old one
            return Reason("the map says something new of it")
        told = next((told for what, told in {**CANNOT_WAIT, **CAN_WAIT}.items() if news[what]), None)
        pace = self._pace(entity)
        if told in CAN_WAIT.values() and news["seconds_since"] < pace:
            return Reason(f"was settled a moment ago; its promise leaves {pace} s between two batches", is_news=False)
        return Reason(told) if told else None

    def _needs(self, entity: Entity) -> list[str]:
        """The entities whose tables its models read."""
        referred = {
            field.references
            for member in self.the_map.family(entity.entity)
            for field in member.fields.values()
            if field.references
        }
        limiting = {limit.source[0] for limit in entity.limits.values()}
        roots = {self.the_map.entities[name].parent or name for name in {*entity.reads, *referred, *limiting}}
        return sorted(roots - {entity.entity})

    def _is_urgent(self, entity: Entity, system: System) -> bool:
        """Whether the map has a flow from this system that is realtime."""
        flows = [flow for member in self.the_map.family(entity.entity) for flow in member.flows.values()]
        return any(flow.timing == "realtime" and flow.from_ in (system.system, system.role) for flow in flows)

    def _pace(self, entity: Entity) -> int:
        """Seconds between two batches of what is not realtime: a sixth of the shortest promise, within what its tier allows."""
        paces = [
            min(LONGEST_PACE[flow.tier], flow.max_lag // 6)
            for flow in entity.flows.values()
            if flow.timing != "realtime"
        ]
        return max(1, min(paces, default=LONGEST_PACE[1]))

    def _pace_of_files(self, system: System, stream: str) -> int:
        """A twelfth of the shortest promise of what the files tell."""
        entities = [self.the_map.entities[name] for name in system.streams[stream].says]
        promises = [flow.max_lag for entity in entities for flow in entity.flows.values() if flow.from_]
        return max(FILES_SOONEST, min(FILES_LATEST, min(promises, default=FILES_LATEST) // 12))

    def _is_looked_at(self, system: System) -> bool:
        return any(stream.is_polled and stream.says for stream in system.streams.values())

    def _takes(self, system: str) -> bool:
        return any(
            to.system == system
            for entity, flow in self.the_map.flows.values()
            for to in self.the_map.destinations(entity, flow)
        )

    def _syncs_to(self, system: str) -> Sequence[str]:
        """The runs that carry to the system what they have settled."""
        return [
            f"sync_{entity.entity}"
            for entity in self.the_map.roots
            if any(
                to.system == system
                for flow in entity.flows.values()
                if entity.is_carried_at_once(flow)
                for to in self.the_map.destinations(entity, flow)
            )
        ]


def _at_times_of_their_own(entity: Entity) -> list[tuple[str, BusinessProof]]:
    """The business proofs whose times are not those of another proof: one run proves all of an entity."""
    seen = {proof.every for proof in entity.reconcile.values()}
    first = {proof.every: (name, proof) for name, proof in reversed(entity.proofs.items())}
    return [found for every, found in first.items() if every not in seen]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a run is asked for, or why none is."""

    told: str
    is_news: bool = True


@dataclass(frozen=True)
class RecentRuns:
    """The runs that are not over, looked at once for all the jobs that a tick asks about."""

    instance: dg.DagsterInstance

    @cached_property
    def _unfinished(self) -> list[dg.DagsterRun]:
        return list(self.instance.get_runs(dg.RunsFilter(statuses=UNFINISHED), limit=100))

    def under_way(self, jobs: Sequence[str]) -> str | None:
        """Which of these jobs has a run that is not over, as a sentence, or None."""
        found = next((run.job_name for run in self._unfinished if run.job_name in jobs), None)
        return f"a run of {found} is under way" if found else None

    def reason_to_wait(self, job: str, *, is_settling: bool = False, longest: float = LONGEST_BREAK) -> str | None:
        """Why no further run of a job should be asked for now, or None.

        One is under way (with `is_settling`: and has not settled its batch yet), or the last ones failed, and the pause
        after them, which doubles each time, is not over.
        """
        if any(run.job_name == job and not (is_settling and SETTLED in run.tags) for run in self._unfinished):
            return f"a run of {job} is under way"
        failed: list[dg.RunRecord] = []
        for record in self.instance.get_run_records(dg.RunsFilter(job_name=job), limit=8):
            run = record.dagster_run
            if run.status == dg.DagsterRunStatus.SUCCESS or (is_settling and SETTLED in run.tags):
                break
            if run.status == dg.DagsterRunStatus.FAILURE:
                failed.append(record)
        if failed:
            left = min(longest, 5.0 * 2 ** len(failed)) - (time.time() - (failed[0].end_time or 0.0))
            if left > 0:
                return f"the last {len(failed)} runs of {job} failed; the next begins in {left:.0f} s"
        return None


def sentence_of(context: dg.RunFailureSensorContext) -> str:
    """What a failed run says: its failed step's own sentence, else what ended it."""
    for event in context.get_step_failure_events():
        if event.step_failure_data.error_source == ErrorSource.INTERRUPT:
            return "it was stopped, with Concord or by a person; nothing is lost: the next run goes on where it was"
        told = event.step_failure_data.user_failure_data
        if told and told.description:
            return told.description
        if event.step_failure_data.error:
            return " ".join(event.step_failure_data.error.message.split())[:500]
    return context.failure_event.message or "it ended without a word"
