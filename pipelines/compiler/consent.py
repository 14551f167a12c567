"""How the templates settle a field that a withdrawal wins, and the fields that came with the word which settled it."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.compiler.sql import listed
from pipelines.language.schema import EntityField


@dataclass(frozen=True)
class Withdrawal:
    """A status of which the last word is the withdrawal; `owner` is the condition on who may tell it."""

    fields: Mapping[str, EntityField]
    name: str
    owner: str

    @property
    def settles(self) -> list[str]:
        """The status itself, and the fields that follow it."""
        return [self.name, *(name for name, field in self.fields.items() if field.follows == self.name)]

    @property
    def call(self) -> str:
        """The call of the macro that picks what the decisive message said."""
        field = self.fields[self.name]
        ladder = f"[{listed(field.ladder or [])}]"
        picked = ", ".join(f"{name} := {name}" for name in ["inbox_id", *self.settles])
        told = f'owner="{self.owner}", ladder="{ladder}", lifted_by="{field.lifted_by or "false"}"'
        return f'{{{{ withdrawn_wins("{self.name}", "struct_pack({picked})", {told}) }}}}'
