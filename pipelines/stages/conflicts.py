"""Where a system's word and ours differ and a person has to decide: what they are told, oldest first."""

from dataclasses import dataclass
from datetime import datetime

from pipelines.compiler.plan import WAITING
from pipelines.language.schema import Entity
from resources.lake.records import Asking


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field of a record on which a system and we disagree until a person decides."""

    entity: str
    key: str
    system: str
    field: str
    theirs: str | None
    ours: str | None
    kind: str  # hold: changed by who does not own it; forbidden: a status taken back by who does
    steward: str
    since: datetime
    age: float  # seconds

    @property
    def sentence(self) -> str:
        return (
            f"{self.system} says that {self.field} of {self.key} is {self.theirs or 'nothing'}, and it is "
            f"{self.ours or 'nothing'} here, for {self.age / 3600:.1f} h"
        )

    @property
    def next_steps(self) -> str:
        return f"mend it in {self.system}, or decide it (`concord decide {self.entity} {self.key} {self.field} ... --why ...`)"


def conflicts_that_wait(db: Asking, entity: Entity) -> list[Conflict]:
    """Those about the entity's records."""
    key = entity.key[0]
    rows = db.execute(
        f"""
        select {key}, system, field, value_now, our_value, on_foreign_write, steward, seen_at,
            cast(extract(epoch from now() - seen_at) as double precision)
        from {entity.entity}_conflicts
        where {WAITING}
        order by seen_at, {key}, system, field
        """
    ).fetchall()
    return [Conflict(entity.entity, *row) for row in rows]


def in_one_sentence(oldest: Conflict, count: int) -> str:
    """How many conflicts about an entity wait, the oldest of them, and who does what about it."""
    told = f"{count} conflicts about {oldest.entity} wait" if count > 1 else f"One conflict about {oldest.entity} waits"
    return (
        f"{told} for a person; {oldest.sentence}. {oldest.steward} answers: {oldest.next_steps}; "
        "`concord conflicts` lists all"
    )
