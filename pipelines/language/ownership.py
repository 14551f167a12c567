"""Of which records a system owns a field, and which fields are made of several owners' words."""

from typing import Literal

from pipelines.language.queries import originates
from pipelines.language.schema import Entity, EntityField, IntegrationMap, System

MERGING = ("furthest", "sum", "collect", "withdrawn_wins")  # the answer may be no single owner's word
Owns = Literal["always", "its own records", "its own locations", "its own rows", "never"]


def merges(field: EntityField) -> bool:
    """Whether the field is made of several owners' words, so that each may be told what came of them."""
    return (field.resolve in MERGING or field.follows is not None) and len(field.owner) > 1


def owns(told: IntegrationMap, entity: Entity, field: EntityField, system: System) -> Owns:
    """Of which records the system owns the field, as the canonical model decides whose word counts."""
    if merges(field):
        return "never"
    if entity.has_tellers:  # a row is one owner's as a whole, and of which, the rows themselves say
        mine = [owner for owner in field.owner if owner == system.system or owner == system.role]
        return "its own rows" if mine else "never"
    found: set[Owns] = {_owns_as(told, entity, owner, system) for owner in field.owner}
    every: tuple[Owns, ...] = ("always", "its own records", "its own locations")
    return next((one for one in every if one in found), "never")


def _owns_as(told: IntegrationMap, entity: Entity, owner: str, system: System) -> Owns:
    if owner == "location":
        return "its own locations" if system.locations else "never"
    if system.system == owner:
        return "always"
    if owner in told.systems or system.role != owner:
        return "never"
    beginning = [other for other in told.systems_named(owner) if _begins_in(told, entity, other)]
    if not beginning:
        return "always"
    return "its own records" if system in beginning else "never"


def _begins_in(told: IntegrationMap, entity: Entity, system: System) -> bool:
    return any(originates(told, entity.entity, stream) for stream in system.streams.values())
