"""Rules on systems: their connectors, settings and time zones."""

import inspect
import re
from zoneinfo import available_timezones

from pipelines.language.connectors import connector_class
from pipelines.language.lint.rule import Found, Problem, error, hint
from pipelines.language.queries import at_system, joined, outbound, perhaps
from pipelines.language.schema import IntegrationMap, System
from resources.connectors.connector import Connector


@error
def connectors_answer_their_questions(told: IntegrationMap) -> Found:
    """The connector exists, and can do what the map asks of it."""
    for system in told.systems.values():
        connector = connector_of(system)
        if isinstance(connector, str):
            yield Problem(at_system(told, system, "connector"), connector)
            continue
        for question, key in _questions(told, system).items():
            if getattr(connector, question) is getattr(Connector, question):
                yield Problem(
                    at_system(told, system, key),
                    f"{system.connector} has no {question}(); write it, or take this out of the map",
                )


def connector_of(system: System) -> type[Connector] | str:
    """The connector's class, or the sentence that says why there is none."""
    try:
        found = connector_class(system)
    except (ImportError, AttributeError, ValueError) as problem:
        return f"{system.connector} cannot be imported ({problem}); name a class by its dotted path"
    if not (inspect.isclass(found) and issubclass(found, Connector)):
        return f"{system.connector} is no connector; name a class that extends resources.connectors.connector.Connector"
    return found


def _questions(told: IntegrationMap, system: System) -> dict[str, str]:
    """What the map asks of the connector, each with the key that asks."""
    asked: dict[str, str] = {}
    for name, stream in system.streams.items():
        arrives = stream.arrives
        told_by = {
            "read_webhook": arrives.webhook,
            "changed_since": arrives.poll or arrives.file or arrives.catch_up,
            "snapshot": arrives.snapshot,
        }
        for question, is_asked in told_by.items():
            if is_asked:
                asked.setdefault(question, f"streams.{name}.arrives")
    if any(system in told.destinations(entity, flow) for entity, _, flow in outbound(told)):
        asked["deliver"] = "takes"
    return asked


@hint
def destinations_can_be_asked(told: IntegrationMap) -> Found:
    """A destination that answers "did it arrive?" spares people deliveries that are parked as unknown."""
    for system in told.systems.values():
        connector = connector_of(system)
        if isinstance(connector, str) or "deliver" not in _questions(told, system):
            continue
        if connector.find is Connector.find:
            yield Problem(
                at_system(told, system, "connector"),
                f"{system.connector} has no find(), so a delivery without an answer waits for a person; write it",
            )


@error
def settings_are_the_connectors(told: IntegrationMap) -> Found:
    """Settings are those that the connector knows, and none that it needs is missing."""
    for system in told.systems.values():
        connector = connector_of(system)
        if isinstance(connector, str):
            continue
        known = connector.model_fields
        for name in sorted(system.settings.keys() - known.keys()):
            yield Problem(
                at_system(told, system, f"settings.{name}"),
                f"{system.connector} has no such setting{perhaps(name, known)}; use {joined(known)}",
            )
        for name, field in known.items():
            if field.is_required() and name not in system.settings and name != "streams":  # which the map itself gives
                yield Problem(
                    at_system(told, system, f"settings.{name}"),
                    f"{system.connector} cannot do without it; add {name}: {{env: {system.system}_{name}}}".replace(
                        f"{system.system}_{name}", f"{system.system}_{name}".upper()
                    ),
                )
        if connector.one_of and not any(system.settings.keys() >= set(group) for group in connector.one_of):
            group = connector.one_of[0]
            name = next(name for name in group if name not in system.settings)
            either = ", or ".join(joined(group) for group in connector.one_of)
            yield Problem(
                at_system(told, system, f"settings.{name}"),
                f"{system.connector} needs {either}; add {name}: {{env: {f'{system.system}_{name}'.upper()}}}",
            )


@error
def secrets_stay_outside(told: IntegrationMap) -> Found:
    """Settings come from environment variables, and a secret has no default."""
    for system in told.systems.values():
        for name, setting in system.settings.items():
            key = f"settings.{name}"
            if not re.fullmatch(r"[A-Z][A-Z0-9_]*", setting.env):
                yield Problem(
                    at_system(told, system, f"{key}.env"),
                    f"{setting.env!r} is no variable's name; write it in CAPITALS",
                )
            if setting.default is not None and re.search(r"token|secret|password|private|api_key", name):
                yield Problem(
                    at_system(told, system, f"{key}.default"),
                    f"a secret has no default; delete it and set {setting.env} where Concord runs",
                )


@error
def time_zones_exist(told: IntegrationMap) -> Found:
    """A system's time zone is one of the IANA's."""
    for system in told.systems.values():
        if system.time_zone not in available_timezones():
            guess = perhaps(system.time_zone, available_timezones())
            yield Problem(
                at_system(told, system, "time_zone"), f"{system.time_zone!r} is no zone{guess}; write Europe/Berlin"
            )


@hint
def temporary_systems_go(told: IntegrationMap) -> Found:
    """A temporary system is reminded of until it is gone."""
    for system in told.systems.values():
        if system.temporary:
            yield Problem(
                at_system(told, system, "temporary"),
                f"{system.system} is here for a time only; ask {system.steward} when its file can be deleted",
            )
