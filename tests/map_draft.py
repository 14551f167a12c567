"""The sandbox merchant's map as plain YAML, to be broken in one place."""

from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pipelines.language.lint.report import Finding, lint
from pipelines.language.lint.rule import Rule
from pipelines.language.schema import MAP_DIR, load_map
from resources.connectors.connector import Connector, Delivery, Outcome, Result

DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten times faster, where libyaml is there


class Draft:
    """The map's files by name: a test changes what it likes and reads what the lint then says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.systems: dict[str, Any] = deepcopy(_files("systems"))
        self.entities: dict[str, Any] = deepcopy(_files("entities"))

    def write(self) -> Path:
        """The folder, with the map as it now is."""
        for kind, files in (("systems", self.systems), ("entities", self.entities)):
            (self.folder / kind).mkdir(exist_ok=True)
            for name, told in files.items():
                (self.folder / kind / f"{name}.yaml").write_text(yaml.dump(told, Dumper=DUMPER, sort_keys=False))
        return self.folder

    def findings(self) -> list[Finding]:
        """What the lint finds beyond what it says of the unbroken map."""
        return [found for found in lint(load_map(self.write())).findings if str(found) not in _said_before()]

    def reads(self, rule: Rule, *parts: str) -> Finding:
        """Exactly one finding, of this rule, whose line begins with the first part and has the others."""
        found = self.findings()
        assert [finding.rule for finding in found] == [rule.__name__], [str(finding) for finding in found]
        line = str(found[0])
        assert line.startswith(parts[0]), line
        for part in parts[1:]:
            assert part in line, line
        return found[0]


@cache
def _files(kind: str) -> dict[str, Any]:
    return {path.stem: yaml.safe_load(path.read_text()) for path in (MAP_DIR / kind).glob("*.yaml")}


@cache
def _said_before() -> frozenset[str]:
    return frozenset(str(finding) for finding in lint(load_map()).findings)


class Deaf(Connector):
    """A connector that delivers and cannot be asked what became of it."""

    def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        return [Outcome(delivery.delivery_id, Result.APPLIED) for delivery in deliveries]
