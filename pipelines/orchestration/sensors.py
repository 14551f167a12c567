"""When runs begin: sensors that see what arrived, changed or is due, and schedules from the map's cron.

Sensors name jobs and never say what a run does. Whether there is something to do is read from our own tables, so a run
that was lost is asked for again, and a run too many finds nothing to do.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

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
LOOKS_LATEST = 5  # seconds between two looks for news of an entity
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
GOES_FIRST = "Concord has just started: what is realtime goes first"
HasChanged = Callable[[Store, str, str, Connector], bool]


@dataclass(frozen=True)
class Sensors:
    """The sensors and schedules of a map."""

    the_map: IntegrationMap
    fingerprints: Mapping[str, str]  # what the map makes of each entity: when it changes, the entity is settled again
    compared: Mapping[str, Sequence[str]]  # the entities whose tables a job of proofs reads, by the job
    has_changed: HasChanged
    head_start: float = HEAD_START

    def all(self) -> list[dg.SensorDefinition]:
        """Every sensor, running from the start."""
        return [
            *(self.new_messages(entity) for entity in self.the_map.roots),
            *(self.changes(system, name) for system, name in self._looked_at("poll")),
            *(self.changes(system, name) for system, name in self._looked_at("file")),
            *(self.due_deliveries(system) for system in self.the_map.systems.values() if self._takes(system.system)),
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
            "compaction": ("compaction", "4-59/10 * * * *"),
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

    def new_messages(self, entity: Entity) -> dg.SensorDefinition:
        """Asks for one sync for all that arrived about an entity, whether it is one message or a million."""
        name = entity.entity
        job = f"sync_{name}"
        streams = {
            (system.system, stream, self._is_urgent(entity, system))
            for told in self.the_map.family(name)
            for system, stream, _, _ in self.the_map.says(told.entity)
        }
        told = sorted(streams)
        values = {
            "entity": name,
            "systems": [system for system, _, _ in told],
            "streams": [stream for _, stream, _ in told],
            "urgent": [is_urgent for _, _, is_urgent in told],
            "reads": entity.reads,
            "needs": self._needs(entity),
            "fingerprint": self.fingerprints[name],
        }
        pace = self._pace(entity)

        @dg.sensor(
            name=f"new_{name}",
            job_name=job,
            minimum_interval_seconds=1 if any(values["urgent"]) else min(pace, LOOKS_LATEST),
            default_status=dg.DefaultSensorStatus.RUNNING,
            required_resource_keys={"store"},
            description=f"New messages, decisions or deliveries of {name} since its last settled batch.",
        )
        def new_messages(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
            store: Store = context.resources.store
            news = store.one("news", of=entity.of, **values) or {}
            if not any(values["urgent"]) and self._is_head_start(store):
                return dg.SkipReason(GOES_FIRST)
            if news["needed"]:
                return dg.SkipReason(f"{name} waits until {' and '.join(news['needed'])} was settled once")
            why = self._why(news, name)
            if why is None:
                return dg.SkipReason(f"nothing new was said about {name}")
            if why in CAN_WAIT.values() and news["seconds_since"] < pace:
                return dg.SkipReason(
                    f"{name} was settled a moment ago; its promise leaves {pace} s between two batches"
                )
            wait = reason_to_wait(context.instance, job, is_settling=True)
            return dg.SkipReason(wait) if wait else dg.RunRequest(tags={WHY: why})

        return new_messages

    def changes(self, system: System, stream: str) -> dg.SensorDefinition:
        """Asks for a poll when a system has changes or files that we have not taken."""
        name, arrives = system.system, system.streams[stream].arrives
        job = f"poll_{name}_{stream}"
        subject = f"{name}/{stream}"
        what = f"new files {arrives.file}" if arrives.file else "changes since the cursor"

        @dg.sensor(
            name=f"{'files' if arrives.file else 'changes'}_{name}_{stream}",
            job_name=job,
            minimum_interval_seconds=self._pace_of_files(system, stream) if arrives.file else seconds(arrives.poll),
            default_status=dg.DefaultSensorStatus.RUNNING,
            required_resource_keys={"store", name},
            description=f"Looks for {what} in {name}, cheaply.",
        )
        def changes(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
            store: Store = context.resources.store
            wait = GOES_FIRST if self._is_head_start(store) else reason_to_wait(context.instance, job)
            if wait:
                return dg.SkipReason(wait)
            try:
                is_changed = self.has_changed(store, name, stream, getattr(context.resources, name))
            except Unreachable as problem:
                sentence = (
                    f"{name} did not answer when asked for {stream}: {problem}. It is asked again; see that it runs"
                )
                with store.transaction() as connection:
                    raise_alerts(connection, [Alert(subject, "unheard", system.steward, sentence)])
                return dg.SkipReason(f"{sentence} ({system.steward} answers)")
            with store.transaction() as connection:
                end_alerts(connection, [subject], kinds=["unheard"])
            return dg.RunRequest(tags={WHY: what}) if is_changed else dg.SkipReason(f"no {what}")

        return changes

    def due_deliveries(self, system: System) -> dg.SensorDefinition:
        """Asks for a courier where retries are due, unless a run is at it or the destination's breaker is open."""
        name = system.system
        job = f"deliver_{name}"
        syncs = self._syncs_to(name)

        @dg.sensor(
            name=f"due_deliveries_{name}",
            job_name=job,
            minimum_interval_seconds=DUE_EVERY,
            default_status=dg.DefaultSensorStatus.RUNNING,
            required_resource_keys={"store"},
            description=f"Deliveries to {name} whose time has come, while its breaker is closed.",
        )
        def due_deliveries(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
            store: Store = context.resources.store
            if self._is_head_start(store):
                return dg.SkipReason(GOES_FIRST)
            if name not in systems_with_due(store):
                return dg.SkipReason(f"nothing is due for {name}, or it is left alone until it answers again")
            wait = under_way(context.instance, syncs) or reason_to_wait(context.instance, job, longest=30.0)
            return dg.SkipReason(wait) if wait else dg.RunRequest(tags={WHY: "deliveries are due"})

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

    def _why(self, news: Mapping[str, object], entity: str) -> str | None:
        fingerprint = news.get("fingerprint")
        if fingerprint is None:
            return "it was never settled"
        if fingerprint != self.fingerprints[entity] and not news.get(
            "was_settled_so"
        ):  # else our own map is the old one
            return "the map says something new of it"
        return next((told for name, told in {**CANNOT_WAIT, **CAN_WAIT}.items() if news.get(name)), None)

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

    def _looked_at(self, way: str) -> list[tuple[System, str]]:
        return [
            (system, name)
            for system in self.the_map.systems.values()
            for name, stream in system.streams.items()
            if stream.says and getattr(stream.arrives, way)
        ]

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


def under_way(instance: dg.DagsterInstance, jobs: Sequence[str]) -> str | None:
    """Which of these jobs has a run that is not over, as a sentence, or None."""
    unfinished = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED), limit=100)
    found = next((run.job_name for run in unfinished if run.job_name in jobs), None)
    return f"a run of {found} is under way" if found else None


def reason_to_wait(
    instance: dg.DagsterInstance, job: str, *, is_settling: bool = False, longest: float = LONGEST_BREAK
) -> str | None:
    """Why no further run of a job should be asked for now, or None.

    One is under way (with `is_settling`: and has not settled its batch yet), or the last ones failed, and the pause
    after them, which doubles each time, is not over.
    """
    failed: list[dg.RunRecord] = []
    for record in instance.get_run_records(dg.RunsFilter(job_name=job), limit=8):
        run = record.dagster_run
        has_settled = is_settling and SETTLED in run.tags
        if run.status in UNFINISHED and not has_settled:
            return f"a run of {job} is under way"
        if run.status == dg.DagsterRunStatus.SUCCESS or has_settled:
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
