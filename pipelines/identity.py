"""What a build found of one record in several systems: what is sure, and what a person has to say."""

from dataclasses import dataclass
from datetime import datetime

import duckdb


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


def sure_matches(db: duckdb.DuckDBPyConnection, entity: str) -> list[tuple[str, str, str]]:
    """(system, remote id, key of the record that it is) of what is sure."""
    return db.execute(
        f"select known.system, known.remote_id, other from (select other, unnest(known_as) as known from {entity}_matches where doubt is null)"
    ).fetchall()


def doubts(db: duckdb.DuckDBPyConnection, entity: str) -> list[Doubt]:
    """What is put before a person, oldest first."""
    rows = db.execute(
        f"select * exclude (strength) from {entity}_matches where doubt is not null order by since, other"
    )
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
            [(known["system"], known["remote_id"]) for known in row["known_as"]],
        )
        for row in told
    ]
