"""Values that one record alone may have: who claims what another has, judged on settled records."""

from dataclasses import dataclass

from pipelines.compiler.sql import quoted
from pipelines.language.schema import Entity, Unique


@dataclass(frozen=True)
class Uniqueness:
    """What the templates ask about the values that are unique among an entity's records.

    Who is known longer keeps the value; of both it is told that there is another.
    """

    entity: Entity

    @property
    def rules(self) -> dict[str, Unique]:
        return self.entity.unique

    @property
    def holding(self) -> dict[str, Unique]:
        """The rules that keep the younger record from going anywhere."""
        return {name: rule for name, rule in self.rules.items() if rule.severity == "reject"}

    @property
    def columns(self) -> list[str]:
        """What of a record is compared, its key first."""
        fields = dict.fromkeys(field for rule in self.rules.values() for field in rule.fields)
        return [*self.entity.key, *fields, "deleted_at"]

    def same(self, rule: Unique, one: str, other: str) -> str:
        """The condition under which two different records, neither of them deleted, claim the same."""
        equal = " and ".join(f"{one}.{field} = {other}.{field}" for field in rule.fields)
        key = self.entity.key[0]
        return f"({equal} and {one}.{key} <> {other}.{key} and {one}.deleted_at is null and {other}.deleted_at is null)"

    def reason(self, name: str, rule: Unique, mine: str, other: str) -> str:
        """What is told of a record, as SQL; a value that is personal is not."""
        told = [
            f"{quoted(field)}" if self.entity.fields[field].personal else f"{quoted(field + ' ')} || {mine}.{field}"
            for field in rule.fields
        ]
        return f"{quoted(name + ': has the ')} || concat_ws(', ', {', '.join(told)}) || ' of ' || {other}"
