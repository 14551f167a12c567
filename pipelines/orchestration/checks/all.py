"""Asset checks: what must hold of every flow, with its threshold. One file for each moment at which they are judged."""

from dataclasses import dataclass

from pipelines.language.schema import IntegrationMap
from pipelines.orchestration.checks.dbt_tests import DbtTest
from pipelines.orchestration.checks.delivering import DeliveringChecks
from pipelines.orchestration.checks.drift import DriftChecks
from pipelines.orchestration.checks.reconciling import ReconcilingChecks
from pipelines.orchestration.checks.scheduled import ScheduledChecks
from pipelines.orchestration.checks.settling import SettlingChecks


@dataclass(frozen=True)
class Checks:
    """The checks of a map. Each kind says which there are (`specs`), and how each is judged."""

    the_map: IntegrationMap
    dbt_tests: list[DbtTest]

    @property
    def settling(self) -> SettlingChecks:
        return SettlingChecks(self.the_map)

    @property
    def delivering(self) -> DeliveringChecks:
        return DeliveringChecks(self.the_map)

    @property
    def reconciling(self) -> ReconcilingChecks:
        return ReconcilingChecks(self.the_map)

    @property
    def scheduled(self) -> ScheduledChecks:
        return ScheduledChecks(self.the_map, self.dbt_tests)

    @property
    def drift(self) -> DriftChecks:
        return DriftChecks(self.the_map)
