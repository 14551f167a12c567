"""What a run does: each step of the path of the data as assets with their checks.

This file stands above the middle row: it brings together what that row keeps apart.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from pipelines.language.connectors import MissingSetting
from pipelines.language.schema import Entity, Stream, System
from pipelines.orchestration.asset_keys import flow_key, stream_key
from pipelines.orchestration.asset_specs import Lineage
from pipelines.orchestration.checks import metrics
from pipelines.orchestration.checks.all import Checks
from pipelines.orchestration.checks.result import numbers
from pipelines.orchestration.checks.settling import Batch
from pipelines.orchestration.run_metadata import count_rows, figures_of, health_figures, tell_delivery
from pipelines.orchestration.sensors import SETTLED
from pipelines.stages import arrive, deliver, prove
from pipelines.stages.batch import BuildFailed
from pipelines.stages.compare import compare, run_tests
from pipelines.stages.drift import look
from pipelines.stages.sync import sync
from resources.connectors.connector import Unreachable
from resources.host import settings
from resources.lake import lake
from resources.lake.records import asking
from resources.store.alerts import KEEPER, end_alerts
from resources.store.store import Store
from resources.store.troubles import sentence_of

COURIER_SECONDS = 120.0  # one run's share of a long backlog: then the next goes on, and this one can be looked at
SNAPSHOT_IS_FRESH = 60.0  # seconds: a reconciliation and a schedule of the same minute look once


class Rebuild(dg.Config):
    """How a sync settles."""

    full: bool = False  # judge and settle every message again, not only the new ones


@dataclass(frozen=True)
class Steps:
    """The steps of a map."""

    lineage: Lineage
    checks: Checks

    def assets(self) -> list[dg.AssetsDefinition | dg.AssetSpec]:
        """Every asset, with the step that makes it; what is posted to us is made by no step."""
        told = self.lineage
        return [
            *(told.stream(*stream) for stream in told.streams if not stream[2].is_polled),
            *(self.arriving(*stream) for stream in told.streams if stream[2].is_polled),
            *(self.settling(entity) for entity in self._roots),
            *(self.delivering(system) for system in told.destinations),
            *(self.looking(*snapshot) for snapshot in told.snapshots),
            *(self.proving(entity) for entity in self._roots if entity.is_proved),
            told.unclaimed(),
        ]

    def scheduled_checks(self) -> list[dg.AssetChecksDefinition]:
        """The checks that no step of an asset makes."""
        return [*(self.checking(entity) for entity in self._roots), self.watching()]

    def arriving(self, system: System, name: str, stream: Stream) -> dg.AssetsDefinition:
        """Poll one stream, or take its files."""
        spec = self.lineage.stream(system, name, stream)

        @dg.multi_asset(
            name=f"keep_{system.system}_{name}",
            specs=[spec],
            required_resource_keys={"store", system.system},
            description=f"Keeps what {system.system} has told since the cursor of {name}.",
        )
        def arriving(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
            store: Store = context.resources.store
            with in_one_sentence(context, system.steward):
                connector = getattr(context.resources, system.system)
                arrived = arrive.poll(store, self.lineage.the_map, system.system, name, connector)
            counts = {"messages": arrived.seen, "new messages": arrived.kept, "unreadable files": len(arrived.problems)}
            yield dg.MaterializeResult(asset_key=spec.key, metadata=counts)
            if arrived.problems:
                raise failure(
                    f"{len(arrived.problems)} files of {system.system}/{name} cannot be read, the rest is taken: "
                    f"{arrived.problems[0]}. {system.steward} answers: have them sent again."
                )
            well(context)

        return arriving

    def settling(self, entity: Entity) -> dg.AssetsDefinition:
        """Judge, settle and enqueue one batch of an entity, through all its models."""
        name, told = entity.entity, self.lineage
        specs = told.settled(name)
        posted = [(system.system, stream) for system, stream, how in told.streams_of(name) if not how.is_polled]

        @dg.multi_asset(
            name=f"settle_{name}",
            specs=specs,
            check_specs=self.checks.settling.specs(name),
            can_subset=False,
            required_resource_keys={"store"},
            description=f"Settles what was said about {name} since the last batch, and enqueues what follows.",
        )
        def settling(
            context: dg.AssetExecutionContext, config: Rebuild
        ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
            store: Store = context.resources.store
            with in_one_sentence(context, told.steward(name)):
                settled = sync(
                    name,
                    store=store,
                    the_map=told.the_map,
                    run_id=context.run_id,
                    full=config.full,
                    log=context.log.info,
                )
                context.instance.add_run_tags(
                    context.run_id, {SETTLED: str(settled.batch.batch_id) if settled.batch else "nothing new"}
                )
                batch = settled.batch
                bounds = Batch(batch.after_inbox_id, batch.upto_inbox_id) if batch else Batch(0, 0)
                rows = settled.rows
                heard = {stream: count for stream, count in settled.heard.items() if stream in posted}
                with asking(store) as db:
                    judged = list(
                        self.checks.settling.judged(name, steward=told.steward(name), store=store, batch=bounds, db=db)
                    )
            for (system, stream), count in heard.items():
                context.log_event(
                    dg.AssetMaterialization(
                        stream_key(system, stream), metadata={"new messages": count}, description="Told by webhooks."
                    )
                )
            figures = figures_of(settled)
            seconds = {built.name: built.seconds for built in settled.built}
            for spec in specs:
                model = spec.key.path[-1]
                own = figures if model in (name, f"wanted_{name}") else {}
                counted = {"dagster/row_count": rows[model]} if model in rows else {}
                metadata = {**counted, **numbers({"seconds": seconds.get(model)}), **own}
                yield dg.MaterializeResult(asset_key=spec.key, metadata=metadata)
            yield from judged
            floods = settled.enqueued.floods if settled.enqueued else []
            if floods:
                flood = floods[0]
                raise failure(
                    f"{flood.flow}: this batch would change {flood.changes} records, the brake allows {flood.allowed}, "
                    f"so all are parked. {entity.flows[flood.flow].steward} answers: look at what changed, then run "
                    f"`concord release {flood.flow}`."
                )
            if not self.lineage.deliveries_of(entity):
                well(context)

        return settling

    def delivering(self, system: System) -> dg.AssetsDefinition:
        """Carry what is due to one destination."""
        name, told = system.system, self.lineage
        flows = {flow_key(name, flow): flow for to, flow, _, _ in told.deliveries if to.system == name}

        @dg.multi_asset(
            name=f"carry_to_{name}",
            specs=told.delivered(name),
            check_specs=self.checks.delivering.specs(name),
            can_subset=True,
            required_resource_keys={"store", name},
            description=f"Carries what is due to {name} until nothing is; what cannot be applied is parked.",
        )
        def delivering(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
            store: Store = context.resources.store
            with in_one_sentence(context, system.steward):
                report = deliver.deliver(
                    store,
                    told.the_map,
                    name,
                    getattr(context.resources, name),
                    run_id=context.run_id,
                    redo_run=context.run.root_run_id,
                    deadline_seconds=COURIER_SECONDS,
                    log=context.log.info,
                )
                health = {
                    flow: store.one("flow_health", system=name, flow=flow) or {}
                    for key, flow in flows.items()
                    if key in context.selected_asset_keys
                }
            for flow, found in health.items():
                promise = told.the_map.flows[flow][1].max_lag
                yield dg.MaterializeResult(
                    asset_key=flow_key(name, flow),
                    metadata=health_figures(found, promise) | {"this run": report.sentence()},
                )
                for result in self.checks.delivering.judged(name, flow, found):
                    if (
                        dg.AssetCheckKey(flow_key(name, flow), str(result.check_name))
                        in context.selected_asset_check_keys
                    ):
                        yield result
            # what was carried by the way, or says again what its alert says, is not this run's to answer for
            news = [one for one in report.parked if one.is_news and one.flow in health]
            for one in report.parked:
                if one not in news:
                    context.log.warning(f"{one.sentence}. {one.steward} answers.")
            report = replace(report, parked=news)
            if not report.is_clean:
                raise failure(*tell_delivery(report, system))
            well(context)

        return delivering

    def looking(self, system: System, name: str, stream: Stream) -> dg.AssetsDefinition:
        """Look at everything that a system holds."""
        spec = self.lineage.snapshot(system, name, stream)

        @dg.multi_asset(
            name=f"look_at_{system.system}_{name}",
            specs=[spec],
            required_resource_keys={"store", system.system},
            description=f"Looks at everything that {system.system} holds of {name}.",
        )
        def looking(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
            store: Store = context.resources.store
            told = {"system": system.system, "stream": name}
            with in_one_sentence(context, system.steward):
                fresh = store.one("fresh_snapshot", seconds=SNAPSHOT_IS_FRESH, **told)
                if fresh:
                    context.log.info(f"{system.system}/{name} was looked at a moment ago")
                    records = fresh["records"]
                else:
                    connector = getattr(context.resources, system.system)
                    records = prove.take_snapshot(store, system.system, name, connector)
            yield dg.MaterializeResult(asset_key=spec.key, metadata={"dagster/row_count": records})
            if context.run.job_name.startswith("snapshot_"):
                well(context)

        return looking

    def proving(self, entity: Entity) -> dg.AssetsDefinition:
        """Compare what systems hold, after what the snapshots told was settled."""
        name, told = entity.entity, self.lineage
        specs = told.proved(name)

        @dg.multi_asset(
            name=f"prove_{name}",
            specs=specs,
            check_specs=self.checks.reconciling.specs(name),
            can_subset=False,
            required_resource_keys={"store"},
            description=f"Settles what the snapshots told of {name}, then compares the systems field by field.",
        )
        def proving(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
            store: Store = context.resources.store
            with in_one_sentence(context, told.steward(name)):
                url, folder = store.url, settings.lake()
                lake.prepare(url, folder)
                sync(name, store=store, the_map=told.the_map, run_id=context.run_id, log=context.log.info)
                built = compare(name, store=store, the_map=told.the_map)
                found = prove.count_differences(name, store=store, the_map=told.the_map)
                with lake.reading(url, folder) as db:
                    names = [spec.key.path[-1] for spec in specs]
                    rows = count_rows(db, [model for model in names if not told.models[model].is_view])
            seconds = {node.name: node.seconds for node in built}
            for spec in specs:
                model = spec.key.path[-1]
                asked = {f"reconcile_{name}": [*entity.reconcile], f"proofs_{name}": [*entity.proofs]}.get(model, [])
                kinds = {f"{proof}: {kind}": n for (proof, kind), n in found.counts.items() if proof in asked}
                count = (
                    {"dagster/row_count": rows[model]} if model in rows else {}
                )  # to count a view is to ask it again
                yield dg.MaterializeResult(
                    asset_key=spec.key, metadata={**count, **numbers({"seconds": seconds.get(model)}), **kinds}
                )
            yield from self.checks.reconciling.judged(
                name, counts=found.counts, records=found.records, sentences=found.over_alarm
            )
            well(context)

        return proving

    def checking(self, entity: Entity) -> dg.AssetChecksDefinition:
        """Checks that no arrival would bring about: silent senders, and dbt's tests."""
        name, told, checks = entity.entity, self.lineage, self.checks.scheduled

        @dg.multi_asset_check(
            name=f"examine_{name}",
            specs=[*checks.specs(name), *metrics.specs(entity)],
            can_subset=False,
            required_resource_keys={"store"},
            description=f"Listens for silent senders of {name}, and runs dbt's tests of its models.",
        )
        def checking(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
            store: Store = context.resources.store
            with in_one_sentence(context, told.steward(name)):
                yield from checks.senders(name, store)
                lake.prepare(store.url, settings.lake())
                tests = checks.tests_of(name)
                tested = run_tests([test.node for test in tests], store=store, the_map=told.the_map)
                outcomes = {node.name: (node.status, node.message) for node in tested}
                yield from checks.tests(name, outcomes)
                with lake.reading(store.url, settings.lake()) as db:
                    yield from checks.flags(name, db)
                    yield from checks.conflicts(name, db)
                    yield from metrics.judged(entity, db)
            well(context)

        return checking

    def watching(self) -> dg.AssetChecksDefinition:
        """Hold what arrived since the last look against what the map reads and knows."""
        the_map, checks = self.lineage.the_map, self.checks.drift
        droppers = [
            system.system
            for system in the_map.systems.values()
            if any(stream.arrives.file for stream in system.streams.values())
        ]

        @dg.multi_asset_check(
            name="look_for_drift",
            specs=checks.specs(),
            can_subset=False,
            required_resource_keys={"store", *droppers},
            description="Looks for fields that are new, gone or retyped, and for traffic that the map does not know.",
        )
        def watching(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
            with in_one_sentence(context, KEEPER):
                connectors = {name: getattr(context.resources, name) for name in droppers}
                looked = look(context.resources.store, the_map, connectors)
                context.log.info(
                    f"{looked.messages} messages: {len(looked.broken)} broken promises, {len(looked.findings)} open findings"
                )
            yield from checks.judged(looked)
            well(context)

        return watching

    @property
    def _roots(self) -> list[Entity]:
        return self.lineage.the_map.roots


def failure(sentence: str, metadata: Mapping[str, Any] | None = None) -> dg.Failure:
    """A run's end with one sentence for a person; the run is repeated by a person or by the next sensor, not by itself."""
    return dg.Failure(description=sentence, metadata=metadata or {}, allow_retries=False)


@contextmanager
def in_one_sentence(context: Any, steward: str) -> Iterator[None]:
    """Whatever goes wrong inside ends the run with a sentence: what, who answers, what to do."""
    try:
        yield
    except dg.Failure:
        raise
    except Unreachable as problem:
        raise failure(f"{problem}. {steward} answers: see that it runs; this run is asked for again.") from problem
    except (
        BuildFailed,
        prove.SnapshotIncomplete,
        MissingSetting,
        settings.BadSetting,
        lake.LakeProblem,
    ) as problem:
        _fail_by_database(problem)
        raise failure(f"{problem}. {steward} answers; nothing is lost: the next run does it again.") from problem
    except Exception as problem:
        if type(problem) is RuntimeError and str(problem) == "Query interrupted":  # how DuckDB tells of a signal
            raise DagsterExecutionInterruptedError from problem
        _fail_by_database(problem)
        told = " ".join(f"{type(problem).__name__}: {problem}".split())[:400]
        raise failure(
            f"{context.run.job_name} met something that it does not know: {told}. {steward} answers: read the cause below, "
            "then re-execute the run."
        ) from problem


def _fail_by_database(problem: Exception) -> None:
    """End the run when it is the database or the warehouse that is not well, for which no system's steward answers."""
    told = sentence_of(problem.__cause__ if isinstance(problem, lake.LakeProblem) and problem.__cause__ else problem)
    if told:
        raise failure(
            f"{told[0].upper()}{told[1:]}. {KEEPER[0].upper()}{KEEPER[1:]} answers; nothing is lost, and the next run goes on."
        ) from problem


def well(context: Any) -> None:
    """The job's last step went well: the alert about its failed runs is over."""
    store: Store = context.resources.store
    with store.transaction() as connection:
        end_alerts(connection, [context.run.job_name], kinds=["failed run"])
