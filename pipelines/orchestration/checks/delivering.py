"""What is checked whenever couriers were under way: nothing is parked, and what was promised is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from pipelines.language.schema import Flow, IntegrationMap
from pipelines.orchestration.asset_keys import flow_key
from pipelines.orchestration.checks.result import numbers, result


@dataclass(frozen=True)
class DeliveringChecks:
    """The checks of each flow to a destination."""

    the_map: IntegrationMap

    def specs(self, system: str) -> list[dg.AssetCheckSpec]:
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

    def judged(self, system: str, flow_name: str, health: Mapping[str, Any]) -> list[dg.AssetCheckResult]:
        """The results of `specs` for one flow; `health` is the row of the query flow_health."""
        flow = self._flows_to(system)[flow_name]
        return [_parked(system, flow_name, flow, health), _lag(system, flow_name, flow, health)]

    def _flows_to(self, system: str) -> dict[str, Flow]:
        return {
            name: flow
            for name, (entity, flow) in self.the_map.flows.items()
            if any(to.system == system for to in self.the_map.destinations(entity, flow))
        }


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
