"""Rules of an entity that read other entities: which, through which reference, and how they are judged on settled records."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from pipelines.compiler.sql import quoted
from pipelines.language import expressions
from pipelines.language.schema import Entity, IntegrationMap, Rule


@dataclass(frozen=True)
class Neighbour:
    """An entity that rules read, the field of ours that names its key, and what of it is read."""

    entity: str
    key: str
    reference: str
    fields: list[str]


def others_of(rule: Rule) -> frozenset[tuple[str, str]]:
    """(entity, field) of everything that the rule reads of others."""
    return expressions.read(rule.that).others


@dataclass(frozen=True)
class Between:
    """The rules of one entity that hold its settled records against those of others."""

    the_map: IntegrationMap
    entity: Entity

    @cached_property
    def rules(self) -> dict[str, Rule]:
        return {name: rule for name, rule in self.entity.rules.items() if others_of(rule)}

    @cached_property
    def neighbours(self) -> list[Neighbour]:
        read = sorted({other for rule in self.rules.values() for other in others_of(rule)})
        return [
            Neighbour(entity, self.the_map.entities[entity].key[0], reference, [f for e, f in read if e == entity])
            for entity in dict.fromkeys(entity for entity, _ in read)
            for reference, field in self.entity.fields.items()
            if field.references == entity
        ]

    def joined(self, records: str, table: Callable[[str], str] = str) -> str:
        """The joins that put the neighbours beside these records, each as a struct of its entity's name."""
        return "\n".join(
            f"left join (\n    select {one.key} as key_of_{one.entity}, "
            f"struct_pack({', '.join(f'{field} := {field}' for field in one.fields)}) as {one.entity}\n"
            f"    from {table(one.entity)}\n) as of_{one.entity} on key_of_{one.entity} = {records}.{one.reference}"
            for one in self.neighbours
        )

    @property
    def broken(self) -> str:
        """The list of what records break of these rules, each reason beginning with the rule's name."""
        told = ",\n".join(
            f"            if(not coalesce({rule.that}, true), {quoted(f'{name} breaks the rule {rule.that}')}{self._values(rule)}, null)"
            for name, rule in self.rules.items()
        )
        return f"list_filter([\n{told}\n        ], lambda broken: broken is not null)"

    @property
    def rejecting(self) -> list[str]:
        """The rules that hold a record's deliveries while it breaks them."""
        return [name for name, rule in self.rules.items() if rule.severity == "reject"]

    def _values(self, rule: Rule) -> str:
        """What the rule has read, as text to be appended; what is personal is not told."""
        told = ", ".join(f"'{name} is ' || cast({name} as varchar)" for name in self._read(rule))
        return f" || ' (' || concat_ws(', ', {told}) || ')'" if told else ""

    def _read(self, rule: Rule) -> Iterator[str]:
        names = expressions.read(rule.that).names
        yield from (name for name, field in self.entity.fields.items() if name in names and not field.personal)
        for entity, name in sorted(others_of(rule)):
            if not self.the_map.entities[entity].fields[name].personal:
                yield f"{entity}.{name}"
