"""A check's result: whether it passed, and the sentence that says who must do what."""

from collections.abc import Mapping
from typing import Any

import dagster as dg


def result(
    asset: str | dg.AssetKey,
    name: str,
    *,
    passed: bool,
    told: str,
    metadata: Mapping[str, Any],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """A check's result, with its sentence as description."""
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey.from_coercible(asset),
        check_name=name,
        passed=passed,
        severity=severity,
        description=told,
        metadata=metadata,
    )


def numbers(told: Mapping[str, float | None]) -> dict[str, float]:
    """Those of the figures that there are, as numbers, so that Dagster plots them."""
    return {name: round(float(value), 3) for name, value in told.items() if value is not None}
