"""Where the lines of an entity are shipped from: the conditions of its routes as SQL over settled records."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from pipelines.compiler.cross_entity import Neighbour
from pipelines.compiler.sql import quoted
from pipelines.language import expressions
from pipelines.language.schema import Entity, IntegrationMap, Routes


@dataclass(frozen=True)
class Routing:
    """The routes of one child entity."""

    the_map: IntegrationMap
    entity: Entity
    told: Routes

    @property
    def conditions(self) -> dict[str, str]:
        """The places that say which lines are theirs."""
        return {name: place.when for name, place in self.told.places.items() if place.when}

    @property
    def otherwise(self) -> str:
        """The place that takes what no other does."""
        return next(name for name, place in self.told.places.items() if place.when is None)

    @cached_property
    def read(self) -> list[tuple[str, str]]:
        """(entity, field) of everything that the conditions read of others."""
        told = [*self.conditions.values(), self.told.when or "true"]
        return sorted({other for condition in told for other in expressions.read(condition).others})

    @cached_property
    def neighbours(self) -> list[Neighbour]:
        """The parent, and what a field of the line names."""
        named = {field.references: name for name, field in self.entity.fields.items() if field.references}
        if self.entity.parent:
            named[self.entity.parent] = self.entity.key[0]
        return [
            Neighbour(
                entity, self.the_map.entities[entity].key[0], named[entity], [f for e, f in self.read if e == entity]
            )
            for entity in dict.fromkeys(entity for entity, _ in self.read)
            if entity in named
        ]

    def joined(self, records: str, table: Callable[[str], str] = str) -> str:
        """The joins that put the neighbours beside these lines; of the parents only those that the run settles."""
        touched = f"""\n    where {self.entity.key[0]} in (select {self.entity.key[0]} from {{{{ ref("touched_{self.entity.parent}") }}}})"""
        return "\n".join(
            f"left join (\n    select {one.key} as key_of_{one.entity}, "
            f"struct_pack({', '.join(f'{field} := {field}' for field in one.fields)}) as {one.entity}\n"
            f"    from {table(one.entity)}{touched if one.entity == self.entity.parent else ''}\n"
            f") as of_{one.entity} on key_of_{one.entity} = {records}.{one.reference}"
            for one in self.neighbours
        )

    @property
    def places(self) -> str:
        """The list of the places whose condition the line fits; null where it is not shipped at all."""
        fits = ", ".join(f"if({condition}, {quoted(name)}, null)" for name, condition in self.conditions.items())
        found = f"list_filter([{fits or 'null'}], lambda place: place is not null)"
        return f"if({self.told.when}, {found}, null)" if self.told.when else found
