"""Whose word a row of a record is, where whoever owns its rows tells them: who is asked first, and who merely repeats another."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.compiler.mapping import Source
from pipelines.compiler.sql import listed, quoted
from pipelines.language import expressions
from pipelines.language.schema import Entity, Says

OTHERS = "any other"  # the rows that no `only` names


@dataclass(frozen=True)
class Tellers:
    """What the templates ask about a child entity whose rows have owners of their own."""

    entity: Entity
    sources: Sequence[Source]

    @property
    def part(self) -> str:
        """The part of a row's key that says which of its record's rows it is."""
        return self.entity.key[-1]

    def echo(self, says: Says) -> str:
        """Which rows of a message its sender holds and does not say itself, as SQL."""
        held = [f"({says.key[-1]}) not in ({listed(says.only)})"] if says.only else []
        found = " or ".join([*held, *([f"({says.echo})"] if says.echo else [])])
        return f"coalesce({found}, false)" if found else "false"

    @property
    def named(self) -> list[str]:
        """The rows that some stream tells alone."""
        return sorted({part for source in self.sources for part in source.says.only})

    @property
    def part_of_row(self) -> str:
        """Under which part a row is told, as SQL."""
        return (
            f"if({self.part} in ({listed(self.named)}), {self.part}, {quoted(OTHERS)})"
            if self.named
            else quoted(OTHERS)
        )

    @property
    def parts_of_message(self) -> str:
        """The parts of which a message tells, as an SQL list."""
        everything = f"[{listed([*self.named, OTHERS])}]"
        some = " ".join(
            f"when system = {quoted(one.system.system)} and stream = {quoted(one.stream_name)} then [{listed(one.says.only)}]"
            for one in self.sources
            if one.says.only
        )
        return f"case {some} else {everything} end" if some else everything

    @property
    def knowing(self) -> list[str]:
        """The systems that tell which rows they merely repeat."""
        told = {source.system.system for source in self.sources if source.says.echo}
        return sorted(told - {source.system.system for source in self.sources if not source.says.echo})

    @property
    def wording(self) -> list[str]:
        """The fields by which one row words another: those that several own, but for the area, which each spells its own way."""
        area = self.entity.address.area if self.entity.address else None
        return [name for name, field in self.entity.fields.items() if len(field.owner) > 1 and name != area]

    @property
    def parent_fields(self) -> list[str]:
        """What is asked of a row's record before it is known who tells the row."""
        asked = self.entity.exists.first.values() if self.entity.exists else []
        return sorted(
            {field for text in asked for other, field in expressions.read(text).others if other == self.entity.parent}
        )
