"""The figures of an entity that its map names: measured on its settled records, plotted, and held against a threshold."""

from collections.abc import Iterator

import dagster as dg

from pipelines.language.schema import Entity
from resources.lake.records import Asking


def measured(entity: Entity, db: Asking) -> dict[str, float]:
    """Each figure as it is now; nothing to measure is nothing."""
    found = {}
    for name, figure in entity.figures.items():
        (value,) = db.execute(f"select {figure.is_} from {entity.entity}").fetchone() or (None,)
        found[name] = round(float(value or 0), 3)
    return found


def plotted(entity: Entity, db: Asking) -> dict[str, float]:
    """The figures by the names under which Dagster plots them."""
    return {f"{name} ({entity.figures[name].unit})": value for name, value in measured(entity, db).items()}


def specs(entity: Entity) -> Iterator[dg.AssetCheckSpec]:
    for name, figure in entity.figures.items():
        told = f"{figure.meaning} At most {figure.alarm_above:g} {figure.unit}."
        yield dg.AssetCheckSpec(name, asset=entity.entity, description=told)


def judged(entity: Entity, db: Asking) -> Iterator[dg.AssetCheckResult]:
    """Whether each figure is within its threshold."""
    for name, value in measured(entity, db).items():
        figure = entity.figures[name]
        is_well = value <= figure.alarm_above
        sentence = f"{name.replace('_', ' ')}: {value:g} {figure.unit}, of {figure.alarm_above:g} that are borne"
        yield dg.AssetCheckResult(
            asset_key=entity.entity,
            check_name=name,
            passed=is_well,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{sentence}." if is_well else f"{sentence}. {figure.meaning} {figure.steward} answers.",
            metadata={figure.unit: value},
        )
