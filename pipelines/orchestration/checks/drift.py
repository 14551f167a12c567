"""The asset checks of drift: each stream keeps what the map reads of it, and nothing comes that the map does not know."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from pipelines.language.schema import IntegrationMap
from pipelines.orchestration.asset_keys import UNCLAIMED, stream_key
from resources.store.alerts import KEEPER
from resources.store.findings import Broken, Looked, sentence_of

SHOWN = 3  # findings in one sentence; `concord findings` lists them all


@dataclass(frozen=True)
class DriftChecks:
    """The checks that follow from a look at what arrived."""

    the_map: IntegrationMap

    def specs(self) -> list[dg.AssetCheckSpec]:
        """Two of each stream, and one of each sender's other traffic."""
        return [
            *(
                spec
                for system, stream in self._streams
                for spec in (
                    dg.AssetCheckSpec(
                        "contract_is_kept",
                        asset=stream_key(system, stream),
                        description="What the map reads is still there, and of the type that it was.",
                    ),
                    dg.AssetCheckSpec(
                        "fields_are_known",
                        asset=stream_key(system, stream),
                        description="It carries nothing that the map neither reads nor ignores and that is new.",
                    ),
                )
            ),
            *(
                dg.AssetCheckSpec(
                    f"{system}_is_known",
                    asset=UNCLAIMED,
                    description=f"{system} sends no topic, file or stream that the map does not name, and nobody writes in "
                    "it whom the map does not know.",
                )
                for system in self.the_map.systems
            ),
            dg.AssetCheckSpec(
                "senders_are_known",
                asset=UNCLAIMED,
                description="The inbox holds nothing of systems that the map does not have.",
            ),
        ]

    def judged(self, looked: Looked) -> Iterator[dg.AssetCheckResult]:
        """The results of `specs`."""
        for system, stream in self._streams:
            key = stream_key(system, stream)
            broken = [one for one in looked.broken if (one.system, one.stream) == (system, stream)]
            yield _contract(key, broken)
            news = [
                one
                for one in looked.findings
                if (one["system"], one["stream"], one["kind"]) == (system, stream, "field")
            ]
            yield _known(key, "fields_are_known", news, "It carries nothing new that the map does not know.")
        strange = [one for one in looked.findings if one["kind"] != "field"]
        for system in self.the_map.systems:
            mine = [one for one in strange if one["system"] == system]
            yield _known(UNCLAIMED, f"{system}_is_known", mine, f"The map knows all that {system} sends.")
        others = [one for one in strange if one["system"] not in self.the_map.systems]
        told = f"The map knows every sender. {KEEPER.capitalize()} answers when it does not."
        yield _known(UNCLAIMED, "senders_are_known", others, told)

    @property
    def _streams(self) -> list[tuple[str, str]]:
        return [
            (system.system, name)
            for system in self.the_map.systems.values()
            for name, s in system.streams.items()
            if s.says
        ]


def _contract(key: dg.AssetKey, broken: Sequence[Broken]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name="contract_is_kept",
        passed=not broken,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(one.sentence for one in broken[:SHOWN]) or "Every field that the map reads is as it was.",
        metadata={"broken": len(broken), **{f"broken: {one.path}": one.sentence for one in broken[SHOWN:]}},
    )


def _known(key: dg.AssetKey, name: str, findings: Sequence[Mapping[str, Any]], well: str) -> dg.AssetCheckResult:
    more = f"; and {len(findings) - SHOWN} more, see `concord findings`" if len(findings) > SHOWN else ""
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=not findings,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(sentence_of(one) for one in findings[:SHOWN]) + more or well,
        metadata={"findings": len(findings)},
    )
