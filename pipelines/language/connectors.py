"""From the map's words to a connector that speaks: the class that a system names, with its settings from the environment."""

import importlib
import os
from typing import Any

from pipelines.language.schema import System
from resources.connectors.connector import Connector


class MissingSetting(Exception):
    """A system's setting has no value. The message names the variable and the file that asks for it."""


def missing_variables(system: System) -> dict[str, str]:
    """The settings without which the system cannot be reached, each with its variable, which is not set."""
    given = {name: os.environ.get(source.env, source.default) for name, source in system.settings.items()}
    groups = [group for group in connector_class(system).one_of if given.keys() >= set(group)]
    instead = {name for group in groups for name in group}
    lacking = {name for name, value in given.items() if value is None} - instead
    if groups and not any(all(given[name] for name in group) for group in groups):
        lacking |= {name for name in groups[0] if not given[name]}
    return {name: source.env for name, source in system.settings.items() if name in lacking}


def connector_for(system: System) -> Connector:
    """The system's connector. Raises MissingSetting."""
    if missing := missing_variables(system):
        name, variable = next(iter(missing.items()))
        raise MissingSetting(
            f"map/systems/{system.system}.yaml: settings.{name} comes from {variable}, which is not set; "
            f"set it in the environment (see .env.example)"
        )
    kind = connector_class(system)
    given = {name: os.environ.get(source.env, source.default) for name, source in system.settings.items()}
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
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
