"""Ready-made systems, one file each in map/library: linted with the map, and live only when moved into map/systems."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from pipelines.language.schema import MAP_DIR, IntegrationMap, MapProblem, System, read_map_file, sentence

LIBRARY = "library"


def load_library(folder: Path = MAP_DIR) -> dict[str, System]:
    """The ready-made systems of the map in that folder. Raises MapProblem with one line for each thing that is wrong."""
    systems: dict[str, System] = {}
    for path in sorted((folder / LIBRARY).glob("*.yaml")):
        try:
            systems[path.stem] = System.model_validate(read_map_file(path, "system"))
        except ValidationError as problem:
            lines = [sentence(error, f"map/{LIBRARY}/{path.name}") for error in problem.errors()]
            raise MapProblem("\n".join(lines)) from problem
    return systems


def with_systems(told: IntegrationMap, systems: Iterable[System]) -> IntegrationMap:
    """The map as it would be if these systems were live, too."""
    live = told.systems | {system.system: system for system in systems}
    return IntegrationMap.model_construct(systems=live, entities=told.entities)
