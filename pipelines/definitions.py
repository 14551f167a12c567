"""The one file that Dagster loads: the map as assets, jobs, sensors, schedules and checks."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from pipelines.compiler.generate import fingerprint
from pipelines.language.connectors import connector_class, files_of, missing_variables
from pipelines.language.schema import IntegrationMap, System, load_map
from pipelines.orchestration.asset_specs import Lineage, read_models
from pipelines.orchestration.assets import Steps
from pipelines.orchestration.checks.all import Checks
from pipelines.orchestration.checks.dbt_tests import read_dbt_tests
from pipelines.orchestration.jobs import Jobs
from pipelines.orchestration.map_asset import map_job, map_sensor, the_map_asset
from pipelines.orchestration.override_jobs import decision_jobs
from pipelines.orchestration.retention import retention
from pipelines.orchestration.sensors import HEAD_START, Sensors
from pipelines.stages.arrive import has_changed
from resources.connectors.connector import Connector, Delivery, Outcome, Page, Unreachable
from resources.host import settings
from resources.store.store import Store


def build(
    the_map: IntegrationMap, resources: Mapping[str, Any] | None = None, head_start: float = HEAD_START
) -> dg.Definitions:
    """The definitions of a map, which need neither a database nor a system.

    `resources` take the place of the map's own: another database as `store`, another system under its name. `head_start`
    is in seconds.
    """
    lineage, checks = Lineage(the_map, read_models()), Checks(the_map, read_dbt_tests())
    steps = Steps(lineage, checks)
    marks = {entity.entity: fingerprint(the_map, entity.entity) for entity in the_map.roots}
    jobs = Jobs(lineage, checks).all()
    sensors = Sensors(the_map, marks, lineage.compared, has_changed, {job.name: job for job in jobs}, head_start)
    return dg.Definitions(
        assets=[*steps.assets(), the_map_asset(the_map)],
        asset_checks=steps.scheduled_checks(),
        jobs=[*jobs, map_job(), retention, *decision_jobs(the_map)],
        sensors=[*sensors.all(), map_sensor(the_map)],
        schedules=sensors.schedules(),
        resources={
            "store": the_store(),
            **{system.system: connector_of(system) for system in the_map.systems.values()},
            **(resources or {}),
        },
        executor=dg.in_process_executor,  # a process a step costs 2.6 s; our steps wait for databases and systems
    )


def the_store() -> Store:
    """The operational database; an address that somebody named may hold a password, and is not shown."""
    is_named = "CONCORD_DATABASE_URL" in os.environ
    return Store(url=dg.EnvVar("CONCORD_DATABASE_URL") if is_named else settings.database_url())


def connector_of(system: System) -> Connector:
    """The system's connector as a resource, with settings that are read when a run begins and shown by their names only."""
    kind = connector_class(system)
    if missing := [*missing_variables(system).values()]:
        return Unset(
            why=f"{system.system} cannot be reached, for {missing[0]} is not set; set it in the environment or in .env "
            f"(map/systems/{system.system}.yaml asks for it), then start again"
        )
    values: dict[str, Any] = {
        name: dg.EnvVar(source.env) if source.env in os.environ else source.default
        for name, source in system.settings.items()
        if source.env in os.environ or source.default is not None
    }
    return kind(**values, **files_of(kind, system))


class Unset(Connector):
    """A system whose settings are missing: it cannot be reached, and says why."""

    why: str

    def has_changed(self, stream: str, cursor: str | None) -> bool:
        raise Unreachable(self.why)

    def changed_since(self, stream: str, cursor: str | None) -> Iterator[Page]:
        raise Unreachable(self.why)

    def snapshot(self, stream: str) -> Iterator[Page]:
        raise Unreachable(self.why)

    def unclaimed(self) -> Sequence[str]:
        raise Unreachable(self.why)

    def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        raise Unreachable(self.why)

    def find(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        raise Unreachable(self.why)


the_map = load_map()  # whoever forks from here makes its plans once
defs = build(the_map)
