"""How a stream spells an entity: the places that its expressions look up, and whether a message speaks of them at all."""

import re
from dataclasses import dataclass
from functools import cached_property

from pipelines.compiler.sql import quoted
from pipelines.language.paths import PLACE
from pipelines.language.schema import Entity, Says, Stream, System


class Hoist:
    """Collects the places that a stream's spellings look up, so that each body is parsed once and not once a field."""

    def __init__(self) -> None:
        self.places: dict[str, list[str]] = {"payload": [], "item": []}

    def __call__(self, expression: str) -> str:
        """The expression with every look-up replaced by its position in what was heard."""
        return PLACE.sub(lambda m: self._heard(m[1], m[2], m[3]), expression)

    def is_said(self, expression: str, absent_is_null: bool) -> str:
        """The condition under which the message speaks of the expression's places at all."""
        places = [(m[1], m[3]) for m in PLACE.finditer(expression)]
        if not places or absent_is_null:
            return "true"
        return " or ".join(dict.fromkeys(self._mentioned(scope, path) for scope, path in places))

    def _mentioned(self, scope: str, path: str) -> str:
        mentioned = f"{self._position(scope, path)} is not null"
        parent = re.match(r"(\$\.\w+)\.", path)
        if parent:  # a parent that is null says that its children are
            mentioned += f" or {self._position(scope, parent[1])} = 'null'"
        return mentioned

    def _heard(self, scope: str, arrow: str, path: str) -> str:
        position = self._position(scope, path)
        return f"({position} ->> '$')" if arrow == "->>" else position

    def _position(self, scope: str, path: str) -> str:
        places = self.places[scope]
        if path not in places:
            places.append(path)
        return f"{'heard' if scope == 'payload' else 'item_heard'}[{places.index(path) + 1}]"


@dataclass(frozen=True)
class Source:
    """One stream that speaks of one entity, as the templates see it."""

    system: System
    stream_name: str
    stream: Stream
    says: Says
    entity: Entity
    parent_says: Says | None

    @cached_property
    def hoist(self) -> Hoist:
        hoist = Hoist()
        for expression in [
            self.remote_id,
            *self.says.key,
            self.says.when or "",
            self.says.echo or "",
            self.says.originates,
            self.occurred_at or "",
        ]:
            hoist(expression)
        for expression in [self.says.line or "", *self.says.fields.values()]:
            hoist(expression)
            hoist.is_said(expression, False)
        return hoist

    @property
    def name(self) -> str:
        """What the template calls it; one of several that a message tells, by its place among them."""
        said = self.stream.says[self.entity.entity].parts(self.stream.remote_id)
        place = f"_{said.index(self.says) + 1}" if len(said) > 1 else ""
        return f"{self.system.system}_{self.stream_name}{place}"

    @property
    def remote_id(self) -> str:
        return self.says.remote_id or self.stream.remote_id

    @property
    def tells_lines(self) -> str:
        """Which messages also tell which lines exist, as SQL: of a stream that tells some rows alone, not every one does."""
        unfolded = [says for says in self.stream.says.values() if says.unfold]
        some = [f"({says.when})" for says in unfolded if says.only and says.when]
        return f"coalesce({' or '.join(some)}, false)" if some else "true" if unfolded else "false"

    @property
    def occurred_at(self) -> str | None:
        if self.says.occurred_at:
            return self.says.occurred_at
        if self.stream.occurred_at:
            return self.stream.occurred_at
        return "as_of" if self.stream.file and self.stream.file.as_of else None

    def told(self, field: str) -> str:
        """The field's text in our words."""
        expression = self.says.fields.get(field)
        if expression is None:
            return "cast(null as varchar)"
        text = f"told({self.hoist(expression)})"
        words = self.says.words.get(field)
        if not words:
            return text
        ours = " ".join(f"when {quoted(theirs)} then {quoted(word)}" for theirs, word in words.items())
        return f"case {text} {ours} else {text} end"

    def is_said(self, field: str) -> str:
        expression = self.says.fields.get(field)
        if expression is None:
            return "false"
        return self.hoist.is_said(expression, self.stream.absent == "null")
