"""What is checked whenever an entity was reconciled: each pair of systems agrees, and each proof holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import dagster as dg

from pipelines.compiler.reconciliation import NOT_WRONG
from pipelines.language.schema import IntegrationMap
from pipelines.orchestration.checks.result import result


@dataclass(frozen=True)
class ReconcilingChecks:
    """The checks of an entity's reconciliations and proofs."""

    the_map: IntegrationMap

    def specs(self, entity: str) -> list[dg.AssetCheckSpec]:
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

    def judged(
        self, entity: str, *, counts: Mapping[tuple[str, str], int], records: int, sentences: list[str]
    ) -> Iterator[dg.AssetCheckResult]:
        """The results of `specs`; `sentences` are those of the reconciliations above their alarm."""
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


def in_words(name: str) -> str:
    """A proof's name as a sentence begins with it."""
    return name.replace("_", " ")
