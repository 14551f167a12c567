"""From the map's words to a connector that speaks: the class that a system names, with its settings from the environment."""

import importlib
import os
from typing import Any

from pipelines.map_schema import System
from resources.connector import Connector


class MissingSetting(Exception):
    """A system's setting has no value. The message names the variable and the file that asks for it."""


def connector_for(system: System) -> Connector:
    """The system's connector. Raises MissingSetting."""
    kind = connector_class(system)
    settings: dict[str, Any] = {}
    for name, source in system.settings.items():
        value = os.environ.get(source.env, source.default)
        if value is None:
            raise MissingSetting(
                f"map/systems/{system.system}.yaml: settings.{name} comes from {source.env}, which is not set; "
                f"set it in the environment (see .env.example)"
            )
        settings[name] = value
    if "streams" in kind.model_fields:
        settings["streams"] = file_streams(system)
    return kind(**settings)


def file_streams(system: System) -> dict[str, dict[str, Any]]:
    """How the files of each stream are written, as connectors of drop folders take it."""
    return {
        name: {"glob": stream.arrives.file, **stream.file.model_dump(exclude={"as_of"}, exclude_none=True)}
        for name, stream in system.streams.items()
        if stream.file
    }


def connector_class(system: System) -> type[Connector]:
    """The class that the map names by its dotted path."""
    module, _, name = system.connector.rpartition(".")
    return getattr(importlib.import_module(module), name)
