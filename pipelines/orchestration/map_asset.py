"""The map as an asset of its own: its pictures in Dagster's UI, drawn anew when the map changes."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import dagster as dg

from pipelines.language.schema import IntegrationMap
from pipelines.operations.pictures import draw
from pipelines.orchestration.asset_specs import owners
from pipelines.orchestration.assets import KEEPER, in_one_sentence, well
from pipelines.orchestration.sensors import STEWARD, WHY, RecentRuns

KEY = dg.AssetKey("integration_map")
JOB = "draw_map"
LOOKS_EVERY = 60  # seconds; a map changes with a deployment


def the_map_asset(told: IntegrationMap) -> dg.AssetsDefinition:
    """What should be true, as pictures."""
    stewards = dict.fromkeys(system.steward for system in told.systems.values())
    spec = dg.AssetSpec(
        KEY,
        description="What should be true: which system tells, owns and takes what, how soon, and who answers. Its latest "
        "materialization holds the pictures: the landscape, and the journey of an order from each channel.",
        group_name="map",
        owners=owners(*stewards),
        kinds={"yaml", "svg"},
        metadata={"map": "pipelines/map"},
    )

    @dg.multi_asset(
        name="draw_pictures",
        specs=[spec],
        required_resource_keys={"store"},
        description="Draws the landscape, and the journey of an order from each channel.",
    )
    def draw_pictures(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        with in_one_sentence(context, KEEPER):
            drawn = draw.draw(told)
        counts = {"systems": len(told.systems), "entities": len(told.entities), "flows": len(told.flows)}
        shown = {name.removesuffix(".svg").replace("_", " "): _shown(name, svg) for name, svg in drawn.items()}
        yield dg.MaterializeResult(metadata={**shown, **counts}, data_version=dg.DataVersion(_version(told)))
        well(context)

    return draw_pictures


def map_job() -> Any:
    """Draw the map."""
    return dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.assets(KEY),
        description="Draws the map as pictures: what every system tells, owns and takes, and the journey of an order.",
        tags={STEWARD: KEEPER, "dagster/priority": "-10", "concord/pace": "slow"},
        executor_def=dg.in_process_executor,
    )


def map_sensor(told: IntegrationMap) -> dg.SensorDefinition:
    """Asks for new pictures when the map is not the one that was drawn."""
    version = _version(told)

    @dg.sensor(
        name="changed_map",
        job_name=JOB,
        minimum_interval_seconds=LOOKS_EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="A map that says something else than the one that was drawn last.",
    )
    def changed_map(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        drawn = context.instance.get_latest_materialization_event(KEY)
        tags = (drawn.asset_materialization.tags or {}) if drawn and drawn.asset_materialization else {}
        if tags.get("dagster/data_version") == version:
            return dg.SkipReason("the pictures show the map as it is")
        wait = RecentRuns(context.instance).reason_to_wait(JOB)
        return dg.SkipReason(wait) if wait else dg.RunRequest(tags={WHY: "the map says something new"})

    return changed_map


def _version(told: IntegrationMap) -> str:
    return hashlib.sha256(told.model_dump_json().encode()).hexdigest()[:16]


def _shown(name: str, svg: str) -> dg.MarkdownMetadataValue:
    """A picture that stands in the page itself: the UI serves no files of ours, and lets images be data."""
    data = base64.b64encode(svg.encode()).decode()
    return dg.MetadataValue.md(f"![{name}](data:image/svg+xml;base64,{data})")
