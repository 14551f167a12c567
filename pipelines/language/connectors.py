"""From the map's words to a connector that speaks: the class that a system names, with its settings from the environment."""

import importlib
import os
from typing import Any

from pipelines.language.schema import System
from resources.connectors.connector import Connector


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
    return kind(**settings, **files_of(kind, system))


def files_of(kind: type[Connector], system: System) -> dict[str, Any]:
    """How the files are written that a system drops and takes, for a connector of drop folders; of any other, nothing."""
    told = {
        "streams": {
            name: {"glob": stream.arrives.file, **stream.file.model_dump(exclude={"as_of"}, exclude_none=True)}
            for name, stream in system.streams.items()
            if stream.file
        },
        "drops": {entity: drop.model_dump() for entity, drop in system.drops.items()},
    }
    return {name: value for name, value in told.items() if name in kind.model_fields}


def connector_class(system: System) -> type[Connector]:
    """The class that the map names by its dotted path."""
    module, _, name = system.connector.rpartition(".")
    return getattr(importlib.import_module(module), name)
