"""Hand-written models over their slices: what brings a slice into question, which rows of their inputs it needs, and what it moved."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from psycopg import sql

from pipelines.compiler.plan import Model, Plan
from pipelines.language.handwritten import CAUSES, ByHand, Input
from pipelines.stages.in_question import Rows
from resources.store import settled

if TYPE_CHECKING:
    from pipelines.stages.slices import Key, Slice

MOST_TURNS = 20_000  # rows of a model that one batch looks at because their time has come; the others are of the next
PIECE = 20_000  # rows that are in our memory at once when all of a table is loaded


def lent(plan: Plan, known: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """The columns of other entities' tables that the models of a plan say they read: whoever reads more is found out."""
    wanted: dict[str, dict[str, str]] = {}
    for one in plan.by_hand:
        for read in one.inputs:
            if read.table in known:
                named = {*read.by, *read.reads, *CAUSES}
                columns = {name: kind for name, kind in known[read.table].items() if name in named}
                wanted[read.table] = wanted.get(read.table, {}) | columns
    return wanted


def settle_parts(part: "Slice") -> "set[Key]":
    """Settle the models of which an entity's own is made, each over the slices in question; which records that touches."""
    plan, asked = part.plan, part.in_question
    own = plan.by_hand[-1]
    for one in plan.by_hand:
        asked.add(one.name, _turned(part, one))
    for one, model in zip(plan.by_hand[:-1], plan.made_of, strict=True):
        _settle(part, one, model)
    if part.batch.is_full:
        asked.add(own.name, _all_slices(part, own))
    return {(value,) for value in asked.slices.get(own.name, ())}


def _settle(part: "Slice", one: ByHand, model: Model) -> None:
    computer, asked = part.computer, part.in_question
    slices = sorted(asked.slices.get(one.name, ()))
    before: Rows = {}
    columns = list(computer.columns[one.name])
    if slices or part.batch.is_full:
        computer.load(f"touched_{one.name}", [(value,) for value in slices])
        load_inputs(part, one)
        computer.fill(model)
        if not part.batch.is_full and one.name in part.tables:
            rows = settled.read(part.connection, one.name, columns, model.by, [(value,) for value in slices])
            before = {_of(row, columns, model.unique): row for row in rows}
        causes = {row[0]: row[1:] for row in _causes(part, one)}
        empty_inputs(part, one)
        now = {_of(row, columns, model.unique): row for row in computer.rows(one.name)}
        for other in part.plan.by_hand:
            for read in other.inputs:
                if read.table == one.name:
                    _bring_into_question(part, other, read, one, columns, (before, now), causes)
    asked.standing[one.name] = before


def _bring_into_question(
    part: "Slice",
    other: ByHand,
    read: Input,
    one: ByHand,
    columns: list[str],
    changed: tuple[Rows, Rows],
    causes: dict[Any, tuple[Any, ...]],
) -> None:
    """The slices of a model that read rows of another which are others now."""
    before, now = changed
    seen = [columns.index(name) for name in ({*read.reads, *read.by} if read.reads else columns)]
    rows = [
        row
        for key in {*before, *now}
        if key not in before or key not in now or any(before[key][i] != now[key][i] for i in seen)
        for row in (before.get(key), now.get(key))
        if row is not None
    ]
    if other.sliced_by in columns:
        place, whose = columns.index(other.sliced_by), columns.index(one.sliced_by)
        part.in_question.add(other.name, (row[place] for row in rows))
        if other is part.plan.by_hand[-1]:
            moved = part.in_question.causes.setdefault(other.name, set())
            moved |= {
                (row[place], *causes[row[whose]]) for row in rows if row[place] is not None and row[whose] in causes
            }
    elif not part.batch.is_full and other.name in part.tables:
        (by,) = read.by
        values = sorted({(row[columns.index(by)],) for row in rows if row[columns.index(by)] is not None})
        part.in_question.add(
            other.name, (row[0] for row in settled.read(part.connection, other.name, [other.sliced_by], [by], values))
        )


def _turned(part: "Slice", one: ByHand) -> list[str]:
    """The slices with a row whose time has come, those that wait longest first."""
    turns_at = part.plan.turns_at if one is part.plan.by_hand[-1] else one.turns_at
    if turns_at is None or one.name not in part.tables or part.batch.is_full:
        return []
    asked = sql.SQL("select {} from {} where {} <= %s order by {} limit %s").format(
        sql.Identifier(one.sliced_by), sql.Identifier(settled.SCHEMA, one.name), *[sql.Identifier(turns_at)] * 2
    )
    return [row[0] for row in settled.driver(part.connection).execute(asked, [part.batch.moment, MOST_TURNS])]


def _all_slices(part: "Slice", own: ByHand) -> set[str]:
    """Every slice of an entity's model: those that an input names, and those that it has."""
    found: set[str] = set()
    made = {model.name for model in part.plan.made_of}
    for table in [*(read.table for read in own.inputs if own.sliced_by in read.by), own.name]:
        if table in made:
            found |= {row[0] for row in part.computer.ask(f"select distinct {own.sliced_by} from {table}")}
        elif table in part.tables and own.sliced_by in part.tables[table].columns:
            asked = sql.SQL("select distinct {} from {}").format(
                sql.Identifier(own.sliced_by), sql.Identifier(settled.SCHEMA, table)
            )
            found |= {row[0] for row in settled.driver(part.connection).execute(asked)}
    return found


# What a slice reads --------------------------------------------------------------------------------------------------------------
def load_own(part: "Slice") -> None:
    """What the entity's own model reads beside what was said: its inputs, its rows as they stand, and what moved them."""
    own = part.plan.by_hand[-1]
    load_inputs(part, own)
    columns = list(own.previous)
    if columns and own.name in part.tables and set(columns) <= part.tables[own.name].columns.keys():
        if part.batch.is_full:
            rows: list[tuple[Any, ...]] = _all(part, own.name, columns)
        else:
            rows = settled.read(part.connection, own.name, columns, [own.sliced_by], sorted(part.touched, key=str))
        part.computer.load(f"previous_{own.name}", rows)
    moved = [*part.in_question.causes.get(own.name, ()), *_causes(part, own)]
    part.computer.load(f"moved_{own.name}", moved)


def load_inputs(part: "Slice", one: ByHand) -> None:
    """Of each input the rows that the slice names; of what was settled just now those that this slice did not settle."""
    helpers = {other.name: other for other in part.plan.by_hand[:-1]}
    for read in one.inputs:
        helper = helpers.get(read.table)
        if read.table not in part.tables or (helper and part.batch.is_full):
            continue
        wanted, stands = list(part.computer.columns[read.table]), part.tables[read.table].columns
        named = {*read.by, *read.reads, *helper.key, helper.sliced_by} if helper and read.reads else {*wanted}
        chosen = [name for name in wanted if name in stands and name in named]
        if part.batch.is_full:
            _load_all(part, read.table, wanted, chosen)
            continue
        rows = _found(part, one, read, chosen)
        if helper:
            fresh, place = part.in_question.slices.get(helper.name, set()), chosen.index(helper.sliced_by)
            rows = [row for row in rows if row[place] not in fresh]
        part.computer.load(read.table, _widened(rows, chosen, wanted))


def _found(part: "Slice", one: ByHand, read: Input, chosen: Sequence[str]) -> list[tuple[Any, ...]]:
    """The rows of an input that the slice names."""
    names = ", ".join(read.by)
    some = " and ".join(f"{name} is not null" for name in read.by)
    if read.of is None:
        values = part.computer.ask(f"select distinct {names} from touched_{one.name}")
    elif read.since is None:
        values = part.computer.ask(f"select distinct {names} from {read.of} where {some}")
    else:
        at, after = read.since
        values = part.computer.ask(
            f"select {names}, min({after}) from {read.of} where {some} and {after} is not null group by all"
        )
        return _read_since(part, read, chosen, at, values)
    return settled.read(part.connection, read.table, chosen, read.by, values)


def _read_since(
    part: "Slice", read: Input, chosen: Sequence[str], at: str, values: Collection[Sequence[Any]]
) -> list[tuple[Any, ...]]:
    if not values:
        return []
    found = sql.SQL("select {} from {} as found join unnest({}) as asked ({}) on {}").format(
        sql.SQL(", ").join(sql.SQL("found.{}").format(sql.Identifier(name)) for name in chosen),
        sql.Identifier(settled.SCHEMA, read.table),
        sql.SQL(", ").join([*[sql.SQL("%s::text[]")] * len(read.by), sql.SQL("%s::timestamptz[]")]),
        sql.SQL(", ").join(map(sql.Identifier, [*read.by, "since"])),
        sql.SQL(" and ").join(
            [
                *(sql.SQL("found.{0} = asked.{0}").format(sql.Identifier(name)) for name in read.by),
                sql.SQL("found.{} > asked.since").format(sql.Identifier(at)),
            ]
        ),
    )
    given = [list(column) for column in zip(*values, strict=True)]
    return settled.driver(part.connection).execute(found, given).fetchall()


def _load_all(part: "Slice", table: str, wanted: Sequence[str], chosen: Sequence[str]) -> None:
    asked = sql.SQL("select {} from {}").format(
        sql.SQL(", ").join(map(sql.Identifier, chosen)), sql.Identifier(settled.SCHEMA, table)
    )
    with settled.driver(part.connection).cursor(name=f"all_{table}") as cursor:
        cursor.execute(asked)
        while rows := cursor.fetchmany(PIECE):
            part.computer.load(table, _widened(rows, chosen, wanted))


def _all(part: "Slice", table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    asked = sql.SQL("select {} from {}").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(settled.SCHEMA, table)
    )
    return settled.driver(part.connection).execute(asked).fetchall()


def _widened(
    rows: Sequence[tuple[Any, ...]], chosen: Sequence[str], wanted: Sequence[str]
) -> Sequence[tuple[Any, ...]]:
    """The rows with nothing in the columns that were not asked for."""
    if list(chosen) == list(wanted):
        return rows
    places = [chosen.index(name) if name in chosen else None for name in wanted]
    return [tuple(None if place is None else row[place] for place in places) for row in rows]


def empty_inputs(part: "Slice", one: ByHand) -> None:
    """Let the next model begin with nothing but what was settled just now."""
    helpers = {other.name: other for other in part.plan.by_hand[:-1]}
    for read in one.inputs:
        helper = helpers.get(read.table)
        if helper is None:
            part.computer.empty(read.table)
        elif not part.batch.is_full:
            fresh = f"(select {helper.sliced_by} from touched_{helper.name})"
            part.computer.db.execute(f"delete from {helper.name} where {helper.sliced_by} not in {fresh}")


def _causes(part: "Slice", one: ByHand) -> list[tuple[Any, ...]]:
    """The newest message behind each slice's inputs."""
    tables = [read.table for read in one.inputs if {one.sliced_by, *CAUSES} <= part.computer.columns[read.table].keys()]
    told = " union all ".join(f"select {one.sliced_by}, {', '.join(CAUSES)} from {table}" for table in tables)
    return (
        part.computer.ask(
            f"select {one.sliced_by}, max(last_inbox_id), max(last_received_at) from ({told}) group by {one.sliced_by}"
        )
        if told
        else []
    )


def _of(row: tuple[Any, ...], columns: list[str], names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(row[columns.index(name)] for name in names)
