"""Holds the map against every lint rule, and gives each flow its verdict: firm or provisional, and why."""

from dataclasses import dataclass, replace

from pipelines.language.library import LIBRARY, with_systems
from pipelines.language.lint import (  # noqa: F401  each registers its rules  # noqa: F401  each registers its rules
    allocation,
    consent,
    contracts,
    cross_entity,
    destinations,
    drift,
    effective_dates,
    flows,
    lookups,
    matching,
    names,
    ownership,
    pricing,
    reconciliation,
    routing,
    row_ownership,
    slices,
    statuses,
    streams,
    systems,
    totals,
    uniqueness,
)
from pipelines.language.lint.rule import RULES, Severity
from pipelines.language.queries import Place, joined, path_of
from pipelines.language.schema import Flow, IntegrationMap, System

WORST_FIRST: tuple[Severity, ...] = ("error", "provisional", "hint")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found. `says` names what is wrong and the fix."""

    rule: str
    severity: Severity
    place: Place
    says: str

    def __str__(self) -> str:
        return f"{self.place.file}: {self.place.key}: {self.says}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the promise of a flow can be believed, and why not."""

    flow: str
    path: str  # shopify -> us -> tryton
    why: tuple[str, ...]

    @property
    def is_firm(self) -> bool:
        return not self.why


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, the worst first, and one verdict a flow."""

    findings: list[Finding]
    verdicts: list[Verdict]

    @property
    def has_errors(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)

    def with_findings(self, others: list[Finding]) -> "Report":
        """The report with these findings, too, which touch no verdict."""
        return replace(self, findings=_worst_first([*self.findings, *others]))


def lint(told: IntegrationMap) -> Report:
    """Hold the map against every rule."""
    findings = [
        _weighed(told, Finding(rule.__name__, severity, place, says))
        for rule, severity in RULES.items()
        for place, says in rule(told)
    ]
    findings = _worst_first(findings)
    return Report(findings, [_verdict(told, name, findings) for name in told.flows])


def lint_library(told: IntegrationMap, library: dict[str, System]) -> list[Finding]:
    """What the lint would say of each ready-made system if it were live, and what the map must then say of it."""
    before = {str(finding) for finding in lint(told).findings}
    found: list[Finding] = []
    for name, system in library.items():
        file = f"map/{LIBRARY}/{name}.yaml"
        if name in told.systems:
            place, says = Place(file, "system", frozenset()), f"{name} is live already; delete this file"
            found.append(Finding(lint_library.__name__, "error", place, says))
            continue
        for one in lint(with_systems(told, [system])).findings:
            if one.place.file == f"map/systems/{name}.yaml":
                found.append(replace(one, place=replace(one.place, file=file)))
            elif str(one) not in before:
                found.append(replace(one, severity="hint", says=f"once {name} is live: {one.says}"))
    return found


def _worst_first(findings: list[Finding]) -> list[Finding]:
    return sorted(
        findings, key=lambda finding: (WORST_FIRST.index(finding.severity), finding.place.file, finding.place.key)
    )


def _weighed(told: IntegrationMap, finding: Finding) -> Finding:
    """What makes a flow provisional that delivers already is an error: such a flow may run in shadow only."""
    delivering = [name for name in finding.place.flows if _delivers(told.flows[name][1])]
    if finding.severity != "provisional" or not delivering:
        return finding
    until = f"; until then {joined(delivering)} may run in `mode: shadow` only"
    return replace(finding, severity="error", says=finding.says + until)


def _delivers(flow: Flow) -> bool:
    return flow.to is not None and flow.mode != "shadow"


def _verdict(told: IntegrationMap, name: str, findings: list[Finding]) -> Verdict:
    entity, flow = told.flows[name]
    why = [str(finding) for finding in findings if finding.severity != "hint" and name in finding.place.flows]
    return Verdict(flow=name, path=path_of(told, entity, flow), why=tuple(why))
