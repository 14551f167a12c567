"""What a sync loads once it has read its new messages: records that a complete file does not name, and the whole history of those
of which an old word comes late."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipelines.stages.compute import Computer
from resources.store import settled

if TYPE_CHECKING:
    from pipelines.stages.slices import Key, Slice


def look_back(part: "Slice") -> bool:
    """Load what the staged messages call for; whether there was any, so that all is staged again."""
    if part.batch.is_full:
        return False
    before = part.history
    touched = len(part.touched)
    _load_absences(part)
    if part.plan.has_witnesses:
        late = _told_late(part.computer, part.plan.entity, part.plan.key) - part.whole
        part.whole |= late
        part.add_history(late)
    _load_named(part)
    return part.history > before or len(part.touched) > touched


def _load_absences(part: "Slice") -> None:
    """Where a complete file is news, or a record's history another: what was known of files, and whose absence changes by it."""
    told, entity = part.plan.absences, part.plan.entity
    if told is None or f"named_{entity}" not in part.tables:
        return
    ((is_news,),) = part.computer.ask(told.news)
    if not is_news and not part.whole:
        return
    _load_named(part)
    named = f'{settled.SCHEMA}."named_{entity}"'
    connection = settled.driver(part.connection)
    files = connection.execute(f'select as_of, records from {settled.SCHEMA}."files_{entity}"').fetchall()
    cohorts = connection.execute(
        f"select as_of, absent_since, count(*) from {named} group by as_of, absent_since"
    ).fetchall()
    part.computer.load(f"previous_files_{entity}", files)
    part.computer.load(f"last_named_{entity}", [(as_of, records) for as_of, _, records in cohorts])
    known = dict(part.computer.ask(told.outcomes))
    turned = sorted({as_of for as_of, absent_since, _ in cohorts if known.get(as_of) != absent_since})
    if turned:
        key = ", ".join(f'"{column}"' for column in part.plan.key)
        rows = connection.execute(f"select {key} from {named} where as_of = any(%s)", [turned]).fetchall()
        part.touch(set(rows))


def _load_named(part: "Slice") -> None:
    """When the touched records were last named; of those that are looked at as a whole that is found out anew."""
    entity = part.plan.entity
    if part.plan.absences is None or f"named_{entity}" not in part.tables:
        return
    keys = sorted(part.touched, key=str)
    rows = settled.read(
        part.connection, f"named_{entity}", [*part.plan.key, "as_of", "absent_since"], part.plan.key, keys
    )
    width = len(part.plan.key)
    part.computer.empty(f"previous_named_{entity}")
    part.computer.load(f"previous_named_{entity}", [(*row, row[:width] not in part.whole) for row in rows])


def _told_late(computer: Computer, entity: str, key: Sequence[str]) -> "set[Key]":
    """The records with a new message that lies before one that was known: what it changes may have been forgotten."""
    names = ", ".join(key)
    told = f"stg_{entity}"
    if len(key) == 1:
        told = f"""(
            select stg.* replace (coalesce(links.key, stg.{key[0]}) as {key[0]})
            from stg_{entity} as stg left join links_{entity} as links using (system, remote_id)
        )"""
    is_new = "inbox_id > (select after_inbox_id from batch)"
    found: list[tuple[Any, ...]] = computer.ask(
        f"""
        select {names} from {told} where {key[0]} is not null
        group by {names}
        having min(if({is_new}, order_key, null)) < max(if({is_new}, null, order_key))
        """
    )
    return set(found)
