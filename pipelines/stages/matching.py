"""What a build found of one record in several systems: what is sure, and what a person has to say."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from resources.lake.records import Asking


@dataclass(frozen=True, slots=True)
class Doubt:
    """A record that may be another, and goes nowhere until a person says whether it is."""

    entity: str
    key: str
    elder: str  # the key of the record that was there before
    agree_on: str  # the name of the match
    because: str
    since: datetime  # when it was last told of
    known_as: list[tuple[str, str]]  # (system, remote id)

    @property
    def sentence(self) -> str:
        return f"{self.key} may be {self.elder}: their {self.agree_on} is the same, but {self.because}"

    @property
    def next_steps(self) -> str:
        linked = [f"`concord link {self.entity} {system} {name} {self.elder}`" for system, name in self.known_as]
        system, name = self.known_as[0]
        return f"if they are one, {' and '.join(linked)}; if not, `concord unlink {self.entity} {system} {name}`"


def doubts_in_one_sentence(first: Doubt, count: int, steward: str) -> str:
    """How many records may be others, the one that waits longest, and who does what about it."""
    told = f"{count} of the {first.entity} may be others" if count > 1 else f"one of the {first.entity} may be another"
    return f"{told}; {first.sentence}. {steward} answers: {first.next_steps}; `concord matches` lists all"


def doubts(db: Asking, entity: str) -> list[Doubt]:
    """What is put before a person, oldest first."""
    rows = db.execute(f"select * from {entity}_matches where doubt is not null order by since, other")
    names = [column[0] for column in rows.description or []]
    told = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
    return [
        Doubt(
            entity,
            row[names[0]],
            row["other"],
            row["agree_on"],
            row["doubt"],
            row["since"],
            [(known["system"], known["remote_id"]) for known in _listed(row["known_as"])],
        )
        for row in told
    ]


def _listed(known_as: Any) -> list[dict[str, str]]:
    """A list of pairs, which Postgres keeps as JSON."""
    told: list[dict[str, str]] = json.loads(known_as) if isinstance(known_as, str) else known_as
    return told
