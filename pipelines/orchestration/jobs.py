"""The jobs that join the steps: one a sync, poll, courier, snapshot, reconciliation and check, and what keeps house."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from pipelines.compiler.reconciliation import looks
from pipelines.language.schema import Entity, System
from pipelines.orchestration.asset_keys import snapshot_key, stream_key
from pipelines.orchestration.asset_specs import Lineage
from pipelines.orchestration.checks import metrics
from pipelines.orchestration.checks.all import Checks
from pipelines.orchestration.sensors import ENTITY, STEWARD
from pipelines.runtime.tags import AS_PROMPT_AS
from resources.store.alerts import KEEPER

PRIORITY = "dagster/priority"
WAITS = {"realtime": 0, "near_realtime": 12, "batch": 18}  # how far a sync stands back, by the soonest of its flows
SLOW = {"concord/pace": "slow"}  # at most two of these at once, so that they never take every place from a sync


@dataclass(frozen=True)
class Jobs:
    """The jobs of a map."""

    lineage: Lineage
    checks: Checks

    def all(self) -> list[Any]:
        """Every job: syncs, polls, couriers, snapshots, reconciliations, checks, and what forgets."""
        told = self.lineage
        return [
            *(self.sync_job(entity) for entity in self._roots),
            *(self.poll_job(system, name) for system, name, stream in told.streams if stream.is_polled),
            *(self.deliver_job(system) for system in told.destinations),
            *(self.snapshot_job(system, name) for system, name, _ in told.snapshots),
            *(self.reconcile_job(entity) for entity in self._roots if entity.is_proved),
            *(self.check_job(entity) for entity in self._roots),
            self.drift_job(),
        ]

    def drift_job(self) -> Any:
        """Look for what the map does not know."""
        return _job(
            "drift",
            [],
            [spec.key for spec in self.checks.drift.specs()],
            description="Looks for fields that are new, gone or retyped, and for traffic that the map does not know.",
            tags={STEWARD: KEEPER, PRIORITY: "-10", **SLOW},
        )

    def sync_job(self, entity: Entity) -> Any:
        """Settle, enqueue and deliver in one run."""
        name = entity.entity
        flows = self.lineage.deliveries_of(entity)
        keys = [spec.key for spec in self.lineage.settled(name)] + flows
        checks = [spec.key for spec in self.checks.settling.specs(name)] + [
            spec.key
            for system in self.lineage.destinations
            for spec in self.checks.delivering.specs(system.system)
            if spec.asset_key in flows
        ]
        return _job(
            f"sync_{name}",
            keys,
            checks,
            description=f"Settles what was said about {name}, enqueues what destinations should now hold, and delivers it.",
            tags={ENTITY: name, STEWARD: self.lineage.steward(name), PRIORITY: str(priority(entity))},
        )

    def poll_job(self, system: System, name: str) -> Any:
        """Poll one stream."""
        return _job(
            f"poll_{system.system}_{name}",
            [stream_key(system.system, name)],
            description=f"Keeps what {system.system} has told since the cursor of {name}.",
            tags={STEWARD: system.steward, PRIORITY: "5"},
        )

    def deliver_job(self, system: System) -> Any:
        """Retry what is due at one destination."""
        name = system.system
        return _job(
            f"deliver_{name}",
            [spec.key for spec in self.lineage.delivered(name)],
            [spec.key for spec in self.checks.delivering.specs(name)],
            description=f"Carries what is due to {name}: retries, and what a person released.",
            tags={STEWARD: system.steward, PRIORITY: "10"},
        )

    def snapshot_job(self, system: System, name: str) -> Any:
        """Look at everything that a system holds."""
        return _job(
            f"snapshot_{system.system}_{name}",
            [snapshot_key(system.system, name)],
            description=f"Looks at everything that {system.system} holds of {name}.",
            tags={STEWARD: system.steward, PRIORITY: "-5", **SLOW},
        )

    def reconcile_job(self, entity: Entity) -> Any:
        """Take the snapshots that are needed, and compare."""
        name = entity.entity
        return _job(
            f"reconcile_{name}",
            [snapshot_key(*look) for look in looks(self.lineage.the_map, name)]
            + [spec.key for spec in self.lineage.proved(name)],
            [spec.key for spec in self.checks.reconciling.specs(name)],
            description=f"Looks at what the systems hold of {name}, and proves that they agree.",
            tags={
                ENTITY: name,
                STEWARD: self.lineage.steward(name),
                PRIORITY: "-5",
                AS_PROMPT_AS: str(priority(entity)),
                **SLOW,
            },
        )

    def check_job(self, entity: Entity) -> Any:
        """Run the checks that stand on a schedule."""
        name = entity.entity
        return _job(
            f"check_{name}",
            [],
            [spec.key for spec in [*self.checks.scheduled.specs(name), *metrics.specs(entity)]],
            description=f"Listens for silent senders of {name}, and runs dbt's tests of its models.",
            tags={ENTITY: name, STEWARD: self.lineage.steward(name), PRIORITY: "-10", **SLOW},
        )

    @property
    def _roots(self) -> list[Entity]:
        return self.lineage.the_map.roots


def _job(
    name: str,
    assets: Sequence[dg.AssetKey],
    checks: Sequence[dg.AssetCheckKey] = (),
    *,
    description: str,
    tags: Mapping[str, str],
) -> Any:
    """A job of exactly these assets and checks: by default Dagster adds every check of an asset."""
    selection: dg.AssetSelection = dg.AssetSelection.checks(*checks)
    if assets:
        selection = dg.AssetSelection.assets(*assets).without_checks() | selection
    return dg.define_asset_job(
        name, selection=selection, description=description, tags=tags, executor_def=dg.in_process_executor
    )


def priority(entity: Entity) -> int:
    """Of a sync: by the tier of its flows, and within a tier by what they promise."""
    tier = min((flow.tier for flow in entity.flows.values()), default=3)
    soonest = min((WAITS[flow.timing] for flow in entity.flows.values()), default=max(WAITS.values()))
    return 40 - 10 * tier - soonest
