"""dbt's tests of columns, as the models' properties list them; each is an asset check."""

from dataclasses import dataclass
from pathlib import Path

import yaml

MODELS = Path(__file__).parents[3] / "dbt_project" / "models"


@dataclass(frozen=True)
class DbtTest:
    """A test of a column that stands in a model's properties."""

    model: str
    column: str
    kind: str  # not_null, unique

    @property
    def name(self) -> str:
        """How the check is called on its asset."""
        return f"{self.column}_is_{'never_null' if self.kind == 'not_null' else self.kind}"

    @property
    def node(self) -> str:
        """How dbt calls it."""
        return f"{self.kind}_{self.model}_{self.column}"


def read_dbt_tests(folder: Path = MODELS) -> list[DbtTest]:
    """Every test of a column in the models' properties."""
    return [
        DbtTest(model["name"], column["name"], test)
        for path in sorted(folder.rglob("*.yml"))
        for model in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("models", [])
        for column in model.get("columns", [])
        for test in column.get("data_tests", [])
        if isinstance(test, str)
    ]
