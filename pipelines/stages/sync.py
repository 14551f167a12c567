"""Judge, settle, want: one batch of one entity, computed over its slice and committed as one transaction."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from pipelines.compiler.entity import Facts
from pipelines.compiler.plan import Model, Plan, Wake, plan
from pipelines.language.schema import IntegrationMap
from pipelines.stages import closure, handwritten, people
from pipelines.stages.batch import PROJECT, Batch, BuildFailed, Built, Settled
from pipelines.stages.canary import look_when_due
from pipelines.stages.compute import FEW, Computer, Workbench
from pipelines.stages.looking_back import look_back
from pipelines.stages.poison import find as find_poison
from pipelines.stages.poison import is_of_values
from pipelines.stages.rebuild import Rebuild
from pipelines.stages.slices import Slice
from pipelines.stages.verdict_counts import count_anew, count_changes
from resources.store import settled
from resources.store.alerts import Alert, raise_alerts
from resources.store.outbox import EnqueueReport, enqueue
from resources.store.settled import NEXT, Table
from resources.store.store import Store, query

# Of one batch, or of one turn of a rebuild: what fits in 400 MB with its lines, also where an order has thousands of them.
LIMITS = {"most": 20_000, "most_bytes": 12_000_000}
BENCH = Workbench()  # of this process
PLANS: dict[tuple[int, str, Path], tuple[IntegrationMap, Plan]] = {}  # with the map, so that its id stays its own


class Tried(Exception):
    """A trial went well, and is taken back."""


class Overtaken(Exception):
    """Another sync of this entity began meanwhile and settles what this one read; nothing was written."""


def sync(
    entity: str,
    *,
    store: Store,
    the_map: IntegrationMap,
    run_id: str,
    full: bool = False,
    project: Path = PROJECT,
    log: Callable[[str], None] = print,
    moment: datetime | None = None,
) -> Settled:
    """Settle what was said about the entity since its last settled batch, and enqueue what destinations should now hold.

    Safe to repeat and to kill anywhere: state, books, outbox and the batch's end are one transaction. `project` is the dbt
    project that was written from `the_map`, and `moment` stands for now. Raises BuildFailed, Overtaken.
    """
    settle = partial(
        settle_batch, entity, store=store, the_map=the_map, run_id=run_id, project=project, log=log, moment=moment
    )
    try:
        done = _settle_what_can_be(settle, store, the_map, entity, log=log, full=full)
    except Overtaken as problem:  # its lock was lost with its connection, and another took it
        log(str(problem))
        done = settle(full=full)
    while done.has_more:
        done = done.followed_by(_settle_what_can_be(settle, store, the_map, entity, log=log, full=False))
    return done


def _settle_what_can_be(
    settle: Callable[..., Settled],
    store: Store,
    the_map: IntegrationMap,
    entity: str,
    *,
    log: Callable[[str], None],
    full: bool,
) -> Settled:
    """Settle a batch; where messages of it break a statement, set these aside, tell of it, and settle the others."""
    try:
        return settle(full=full)
    except Exception as problem:
        if not is_of_values(problem):
            raise
        log(f"{problem}; looking for what breaks it")
        if not _set_aside(settle, store, the_map, entity, full=full, log=log):
            raise
        return settle(full=full)


def _set_aside(
    settle: Callable[..., Settled],
    store: Store,
    the_map: IntegrationMap,
    entity: str,
    *,
    full: bool,
    log: Callable[[str], None],
) -> int:
    """Find the messages of the next batch that break it by themselves, and leave them out from now on; how many there are."""
    own = plan_of(the_map, entity)

    def trial(only: frozenset[int]) -> BaseException | None:
        try:
            settle(full=full, only=only)
        except Tried:
            return None
        except Exception as problem:  # noqa: BLE001  (whatever it breaks)
            return problem
        return None

    if trial(frozenset()) is not None:  # it breaks without any of them
        return 0
    inbox_ids = [
        int(one) for one in store.numbers("new_messages", entity=entity, streams=list(own.streams), is_full=full)
    ]
    found = [
        poison for part in settled.chunks(inbox_ids, LIMITS["most"]) for poison in find_poison(trial, frozenset(), part)
    ]
    steward = Facts(the_map, the_map.entities[entity]).steward
    with store.transaction() as connection:
        for poison in found:
            connection.execute(
                query("set_aside"),
                {
                    "entity": entity, "inbox_id": poison.inbox_id, "fingerprint": own.fingerprint, "stage": poison.stage,
                    "error": poison.error,
                },
            )  # fmt: skip
        if found:
            first, count = (
                found[0],
                f"{len(found)} messages about {entity} were" if found[1:] else f"A message about {entity} was",
            )
            told = (
                f"{count} set aside, for they break our own SQL (inbox_id {first.inbox_id}, {first.stage}: {first.error}); all others "
                f"are settled. {steward} answers: mend the record where it was written, or correct the map, which tries it again"
            )
            log(told)
            raise_alerts(connection, [Alert(entity, "set aside", steward, told)])
    return len(found)


def settle_batch(
    entity: str,
    *,
    store: Store,
    the_map: IntegrationMap,
    run_id: str,
    full: bool = False,
    project: Path = PROJECT,
    log: Callable[[str], None] = print,
    moment: datetime | None = None,
    only: frozenset[int] | None = None,
) -> Settled:
    """Settle one batch, of as many messages as fit in memory at once; `has_more` tells whether others are left.

    With `only`, of its new messages these alone, and for a trial: at the end everything is taken back. Raises Tried.
    """
    started = time.monotonic()
    done = Settled(entity)
    own = plan_of(the_map, entity, project)
    with store.turn(f"sync/{entity}"):
        batch = _open(own, store, the_map, full=full, moment=moment)
        if batch is None:
            return done
        done.batch, done.has_more = batch, batch.has_more
        log(f"batch {batch.batch_id}: inbox {batch.after_inbox_id} < id <= {batch.upto_inbox_id}")
        computer = computer_of(the_map, entity, project)
        with store.engine.connect() as looking:
            look_when_due(computer, looking, _fill_all)
        if batch.is_full and batch.turns > 1 and only is None:
            _rebuild(own, the_map, store, computer, batch, done, project=project, run_id=run_id, log=log)
            done.seconds = time.monotonic() - started
            return done
        with store.engine.connect().execution_options(isolation_level="REPEATABLE READ") as reading, computer.slice():
            part = Slice(own, batch, computer, reading, settled.tables(reading), only=only)
            part.settle_parts = handwritten.settle_parts if own.by_hand else None
            part.load()
            BENCH.use_threads(part.messages + part.history)
            done.built = compute(part)
            part.load_set_aside()
            before = _standing(part)
            reading.rollback()  # what was read is read: others need not wait for this snapshot
            with store.transaction() as connection:
                _fence(connection, entity, batch)
                changed = _write(connection, part, before)
                _count_books(connection, part, changed)
                _wake_others(connection, part, the_map, project, changed)
                done.rows = _count_rows(connection, part, changed)
                done.verdicts, done.heard, done.touched = _count_verdicts(part), _count_heard(part), len(part.touched)
                facts = Facts(the_map, the_map.entities[entity])
                people.tell(connection, part, facts)
                if facts.outbound:
                    done.enqueued = _enqueue(connection, part, the_map, facts, run_id)
                people.link(connection, part, changed.get(entity))
                if only is not None:
                    raise Tried
                settles = {"batch_id": batch.batch_id, "turns_at": _next_turn(connection, own)}
                connection.execute(query("settle_batch"), settles)
    done.seconds = time.monotonic() - started
    return done


def _rebuild(
    own: Plan,
    the_map: IntegrationMap,
    store: Store,
    computer: Computer,
    batch: Batch,
    done: Settled,
    *,
    project: Path,
    run_id: str,
    log: Callable[[str], None],
) -> None:
    """Settle all that was ever said, in turns, beside the tables that stand, and put the new ones in their place."""
    facts = Facts(the_map, the_map.entities[own.entity])
    live = lambda part: _prepare_going_live(store, part, facts)

    def wanted(part: Slice) -> Iterator[pa.RecordBatch]:
        live(part)
        yield from _wanted(part, facts, facts.key[0])

    rebuild = Rebuild(own, store, computer, compute, wanted if facts.outbound else None, log)
    BENCH.use_threads(FEW)
    batch = done.batch = rebuild.settle(batch)
    with store.transaction() as connection:
        connection.execute(query("begin_epoch"), {"entity": own.entity, "batch_id": batch.batch_id})
        _wake_readers(connection, own, the_map, project)
        for model in own.kept:
            table = Table(model.name, own.entity, computer.columns[model.name], own.fingerprint)
            done.rows[model.name] = settled.swap(connection, table, batch.batch_id)
        settled.count(connection, done.rows, anew=True)
        count_anew(connection, own.entity)
        _show_views(connection, own, batch)
        if facts.outbound:
            done.enqueued = _bear(connection, facts, rebuild.all_wanted(), run_id)
        bounds = {"upto_inbox_id": batch.upto_inbox_id, "upto_ledger_id": batch.upto_ledger_id}
        connection.execute(query("bound_batch"), {"batch_id": batch.batch_id, **bounds})
        connection.execute(query("settle_batch"), {"batch_id": batch.batch_id, "turns_at": None})
    rebuild.forget()


def make_plans(the_map: IntegrationMap, project: Path = PROJECT) -> None:
    """Make the plans of all entities, for whoever forks from this process."""
    for root in the_map.roots:
        plan_of(the_map, root.entity, project)


def plan_of(the_map: IntegrationMap, entity: str, project: Path = PROJECT) -> Plan:
    """The plan of an entity, made once a process and map."""
    known = PLANS.get((id(the_map), entity, project))
    if known is None:
        known = PLANS[id(the_map), entity, project] = the_map, plan(the_map, entity, project)
    return known[1]


def computer_of(the_map: IntegrationMap, entity: str, project: Path = PROJECT) -> Computer:
    """The entity's computer in this process, its statements prepared."""
    own = plan_of(the_map, entity, project)
    lent = {
        neighbour.table: computer_of(the_map, neighbour.table, project).columns[neighbour.table]
        for neighbour in own.neighbours
    }
    read = {read.table for one in own.by_hand for read in one.inputs if read.table in the_map.entities}
    known = {
        table: computer_of(the_map, the_map.entities[table].parent or table, project).columns[table] for table in read
    }
    lent |= handwritten.lent(own, known)
    return BENCH.computer(own, lent)


def compute(part: Slice) -> list[Built]:
    """Fill the tables of the slice, one statement after the other."""
    built = []
    own, computer = part.plan, part.computer
    for model in own.staging:
        built.append(_fill(computer, model))
    if look_back(part):  # there is more to stage
        computer.empty(*(model.name for model in own.staging))
        built = [_fill(computer, model) for model in own.staging]
    for neighbour in own.neighbours:
        part.load_neighbour(neighbour)
    if own.by_hand:
        handwritten.load_own(part)
    for model in own.settling[: own.opening]:
        built.append(_fill(computer, model))
    if own.groups and (more := closure.missing(part)):  # rare: they are settled with those on whom they depend
        part.load_again(more)
        return compute(part)
    for model in own.settling[own.opening :]:
        built.append(_fill(computer, model))
    if own.lost and (lost := computer.ask("execute lost")):
        key = "|".join(str(part) for part in lost[0])
        raise BuildFailed(
            f"{own.entity}: accepted messages tell of {key}, and no record came of them; nothing was written. Start the workers "
            "again; if it comes back, `concord sync` with --full judges every message anew"
        )
    if own.by_hand:
        handwritten.empty_inputs(part, own.by_hand[-1])
    return built


def _fill_all(computer: Computer, *, anew: bool) -> None:
    """Every statement over what was loaded, without neighbours."""
    computer.fill(*computer.plan.staging, *computer.plan.settling, anew=anew)


def _fill(computer: Computer, model: Model) -> Built:
    began = time.monotonic()
    try:
        computer.fill(model)
    except Exception as problem:
        raise BuildFailed(f"model {model.name} could not be built: {' '.join(str(problem).split())[:600]}") from problem
    return Built(model.name, "success", time.monotonic() - began)


# Opening a batch ---------------------------------------------------------------------------------------------------------------
def _open(own: Plan, store: Store, the_map: IntegrationMap, *, full: bool, moment: datetime | None) -> Batch | None:
    """Fix the bounds of what the run settles; None when nothing was said since the last settled batch."""
    entity = own.entity
    with store.transaction() as connection:
        last = connection.execute(query("last_settled"), {"entity": entity}).mappings().first()
        tables = settled.tables(connection)
        stands = all(model.name in tables and tables[model.name].fingerprint == own.fingerprint for model in own.kept)
        is_full = full or last is None or last["fingerprint"] != own.fingerprint or not stands
        newest = connection.execute(query("newest_ids")).mappings().one()
        bounds = {
            "after_inbox_id": 0 if is_full or last is None else last["upto_inbox_id"],
            "upto_inbox_id": newest["inbox_id"],
            "after_ledger_id": 0 if is_full or last is None else last["upto_ledger_id"],
            "upto_ledger_id": newest["ledger_id"],
        }
        size = (
            connection.execute(query("size_of_batch"), {"streams": list(own.streams), **LIMITS, **bounds})
            .mappings()
            .one()
        )
        has_more = not is_full and size["first_beyond"] is not None
        if has_more:
            bounds["upto_inbox_id"] = size["first_beyond"] - 1
        if not is_full:
            news = {"entity": entity, "streams": list(own.streams), "of": own.of, "moment": moment, **bounds}
            if not connection.execute(query("has_news"), news).scalar_one():
                return None
        is_woken: bool = connection.execute(query("has_wakes"), {"entity": entity}).scalar_one()
        row = (
            connection.execute(
                query("open_batch"), {"entity": entity, "fingerprint": own.fingerprint, "is_full": is_full, **bounds}
            )
            .mappings()
            .one()
        )
        connection.execute(query("begin_epoch"), {"entity": entity, "batch_id": row["batch_id"]})
    return Batch(
        batch_id=row["batch_id"], moment=moment or row["opened_at"].astimezone(UTC), is_full=is_full, is_woken=is_woken, has_more=has_more, turns=_turns(own, dict(size)), **bounds,
    )  # fmt: skip


def _turns(own: Plan, size: Mapping[str, Any]) -> int:
    """In how many turns a rebuild fits in memory; records that decide about each other are settled in one."""
    if own.groups or own.by_hand or own.absences:
        return 1
    return int(max(size["messages"] // LIMITS["most"], size["bytes"] // LIMITS["most_bytes"])) + 1


def _fence(connection: sa.Connection, entity: str, batch: Batch) -> None:
    """The first statement of the transaction that commits: it waits for another's commit, and finds out who is newest."""
    if connection.execute(query("hold_epoch"), {"entity": entity, "batch_id": batch.batch_id}).rowcount == 0:
        raise Overtaken(
            f"another sync of {entity} began while batch {batch.batch_id} was computed; that one settles it all"
        )


# Writing -----------------------------------------------------------------------------------------------------------------------
Rows = dict[tuple[Any, ...], tuple[Any, ...]]


def _standing(part: Slice) -> dict[str, Rows]:
    """The rows of the touched keys as they stand, by what makes each unique."""
    found: dict[str, Rows] = {}
    for model in part.plan.kept:
        if part.batch.is_full or model.name not in part.tables:
            found[model.name] = {}
            continue
        if model.name in part.in_question.standing:
            found[model.name] = part.in_question.standing[model.name]
            continue
        columns = list(part.computer.columns[model.name])
        values = _values_of(part, model)
        rows = settled.read(part.connection, model.name, columns, model.by, values)
        found[model.name] = {_of(row, columns, model.unique): row for row in rows}
    return found


def _values_of(part: Slice, model: Model) -> list[tuple[Any, ...]]:
    """By which values of its columns `by` the rows of a table are found."""
    if model.by == part.plan.key:
        return sorted(part.touched, key=str)
    if model.by == ("inbox_id",):
        return _inbox_ids(part)
    if model.by == ("key",):
        return [("|".join(str(column) for column in key),) for key in sorted(part.touched, key=str)]
    return part.computer.ask(f"select distinct {', '.join(model.by)} from {model.name}")


def _inbox_ids(part: Slice) -> list[tuple[Any, ...]]:
    """The messages whose verdicts this slice gives."""
    return part.computer.ask(f"select inbox_id from {part.plan.entity}_verdicts")


def _of(row: tuple[Any, ...], columns: list[str], names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(row[columns.index(name)] for name in names)


def _write(connection: sa.Connection, part: Slice, before: dict[str, Rows]) -> dict[str, tuple[Rows, Rows]]:
    """Write the rows that differ from what stands; of each table what went or was another before, and what is new."""
    changed: dict[str, tuple[Rows, Rows]] = {}
    for model in part.plan.kept:
        columns = part.computer.columns[model.name]
        rows = part.computer.rows(model.name)
        if part.batch.is_full:
            settled.make(
                connection, name=model.name, entity=part.plan.entity, columns=columns, indexes=part.plan.indexes(model),
                fingerprint=part.plan.fingerprint, batch_id=part.batch.batch_id,
            )  # fmt: skip
        names = list(columns)
        now = {_of(row, names, model.unique): row for row in rows}
        was = before[model.name]
        gone = {key: row for key, row in was.items() if now.get(key) != row}
        new = {key: row for key, row in now.items() if was.get(key) != row}
        whose = {_of(row, names, model.by) for row in [*gone.values(), *new.values()]}
        if was:
            settled.delete(connection, model.name, model.by, sorted(whose, key=str))
        written = [row for row in now.values() if _of(row, names, model.by) in whose]
        settled.write(connection, model.name, names, written, part.batch.batch_id)
        changed[model.name] = gone, new
    if part.batch.is_full:
        _show_views(connection, part.plan, part.batch)
    return changed


def _show_views(connection: sa.Connection, own: Plan, batch: Batch) -> None:
    for view in own.views:
        settled.make_view(
            connection, name=view.name, entity=own.entity, query=view.sql, fingerprint=own.fingerprint,
            batch_id=batch.batch_id,
        )  # fmt: skip


def _count_rows(connection: sa.Connection, part: Slice, changed: dict[str, tuple[Rows, Rows]]) -> dict[str, int]:
    """How many rows each kept table has by now: what it had, less what went, and what came."""
    more = {name: len(new) - len(gone) for name, (gone, new) in changed.items()}
    return settled.count(connection, more, anew=part.batch.is_full)


def _count_books(connection: sa.Connection, part: Slice, changed: dict[str, tuple[Rows, Rows]]) -> None:
    """Count the verdicts that this batch gave, for whoever watches."""
    books = f"{part.plan.entity}_verdicts"
    if part.batch.is_full:
        count_anew(connection, part.plan.entity)
    elif books in changed:
        count_changes(connection, part.plan.entity, list(part.computer.columns[books]), changed[books])


def _count_heard(part: Slice) -> dict[tuple[str, str], int]:
    counted = part.computer.ask(
        f"select system, stream, count(*) from landing_{part.plan.entity} where inbox_id > ? group by system, stream",
        [part.batch.after_inbox_id],
    )
    return {(system, stream): count for system, stream, count in counted}


def _next_turn(connection: sa.Connection, own: Plan) -> datetime | None:
    """When the first of the records will be another although nobody says a word."""
    if own.turns_at is None:
        return None
    asked = f'select min("{own.turns_at}") from {settled.SCHEMA}."{own.entity}"'
    return connection.execute(sa.text(asked)).scalar()


def _count_verdicts(part: Slice) -> dict[str, int]:
    counted = part.computer.ask(
        f"select verdict, count(*) from {part.plan.entity}_verdicts where inbox_id > ? and inbox_id <= ? group by verdict",
        [part.batch.after_inbox_id, part.batch.upto_inbox_id],
    )
    return dict(counted)


# Waking ------------------------------------------------------------------------------------------------------------------------
def _wake_others(
    connection: sa.Connection,
    part: Slice,
    the_map: IntegrationMap,
    project: Path,
    changed: dict[str, tuple[Rows, Rows]],
) -> None:
    """Tell who reads what changed here, and see whether what was read here changed meanwhile.

    Two syncs that each read what the other writes cannot both miss the other: whoever commits second sees it.
    """
    entity = part.plan.entity
    driver = settled.driver(connection)
    driver.execute("delete from wakes where wake_id = any(%s)", [part.wakes])
    for neighbour in part.plan.neighbours:
        driver.execute("select pg_advisory_xact_lock_shared(hashtextextended(%s, 0))", [f"rows of {neighbour.table}"])
    stale = {neighbour.column: part.changed_meanwhile(connection, neighbour) for neighbour in part.plan.neighbours}
    told: list[tuple[str, str, str, str]] = []
    for wake in part.plan.wakes:
        told += [(entity, f"{wake.table}.{wake.column}", value, wake.source) for value in stale.get(wake.key, [])]
    tables = settled.tables(connection)
    for other in the_map.roots:
        for wake in plan_of(the_map, other.entity, project).wakes:
            if wake.source in changed:
                driver.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"rows of {wake.source}"])
                if wake.is_sliced and wake.table not in tables and part.batch.is_full:
                    continue  # it will look at all of these when it begins
                values = _values(part, wake, changed[wake.source])
                if wake.is_sliced:
                    told += [(other.entity, f"{wake.table}.{wake.column}", value, wake.source) for value in values]
                elif values and wake.table in tables:
                    waiting = f" and not is_{wake.column}_known" if wake.is_waiting else ""
                    rows = driver.execute(
                        f'select distinct "{wake.column}" from settled."{wake.table}" where "{wake.column}" = any(%s){waiting}',
                        [values],
                    ).fetchall()
                    told += [(other.entity, f"{wake.table}.{wake.column}", row[0], wake.source) for row in rows]
    if told:
        with driver.cursor() as cursor:
            cursor.executemany('insert into wakes (entity, "by", value, cause) values (%s, %s, %s, %s)', told)


def _values(part: Slice, wake: Wake, changed: tuple[Rows, Rows]) -> list[str]:
    """The keys of the rows of which what others read is another now; where another table names who reads them, its keys."""
    gone, new = changed
    columns = list(part.computer.columns[wake.source])
    seen = lambda row: _of(row, columns, wake.reads)
    both = {*gone, *new}
    other = [k for k in both if k not in gone or k not in new or seen(gone[k]) != seen(new[k])]
    place = columns.index(wake.key)
    found = {rows[k][place] for k in other for rows in (gone, new) if k in rows and rows[k][place] is not None}
    if wake.through is not None and found:
        named = f"select distinct {wake.column} from {wake.through} where {wake.key} in (select unnest(?)) and {wake.column} is not null"
        found = {row[0] for row in part.computer.ask(named, [sorted(found)])}
    return sorted(found)


def _wake_readers(connection: sa.Connection, own: Plan, the_map: IntegrationMap, project: Path) -> None:
    """Wake who reads what a rebuild makes other than it stands, before it takes its place."""
    tables = settled.tables(connection)
    for other in the_map.roots:
        for wake in plan_of(the_map, other.entity, project).wakes:
            model = next((one for one in own.kept if one.name == wake.source), None)
            if model is None or wake.table not in tables or model.name not in tables:
                continue
            stands = tables[model.name].columns
            if not {wake.key, *wake.reads, *model.unique} <= set(stands):
                continue
            same = " and ".join(f'was."{name}" = now."{name}"' for name in model.unique)
            other_now = " or ".join(f'was."{name}" is distinct from now."{name}"' for name in wake.reads)
            settled.driver(connection).execute(
                f"""
                insert into wakes (entity, "by", value, cause)
                select distinct %s, %s, value, %s
                from (
                    select unnest(array[was."{wake.key}", now."{wake.key}"]) as value
                    from settled."{model.name}" as was
                    full join settled."{model.name}{NEXT}" as now on {same}
                    where {other_now}
                ) as changed
                where value in (select "{wake.column}" from settled."{wake.table}")
                """,
                [other.entity, f"{wake.table}.{wake.column}", wake.source],
            )


# Wanting -----------------------------------------------------------------------------------------------------------------------
def _enqueue(
    connection: sa.Connection, part: Slice, the_map: IntegrationMap, facts: Facts, run_id: str
) -> EnqueueReport:
    _load_going_live(connection, part, facts)
    return _bear(connection, facts, _wanted(part, facts, facts.key[0]), run_id)


def _prepare_going_live(store: Store, part: Slice, facts: Facts) -> None:
    with store.transaction() as connection:
        _load_going_live(connection, part, facts)


def _load_going_live(connection: sa.Connection, part: Slice, facts: Facts) -> None:
    """Which flows deliver for the first time, and to whom: what these hold already is not sent."""
    delivered = {row.flow for row in connection.execute(query("flows_that_delivered"), {"entity": facts.name})}
    going_live = [  # a consent is told even where the destination has spoken of it, and so is what it never speaks of
        (name, taker)
        for name, out in facts.outbound.items()
        if name not in delivered and out.flow.write == "absolute" and out.is_told_back and not facts.withdrawal
        for taker in out.takers
    ]
    part.computer.load("going_live", going_live)


def _bear(connection: sa.Connection, facts: Facts, wanted: Iterator[pa.RecordBatch], run_id: str) -> EnqueueReport:
    flows = {name: flow for name, flow in facts.entity.flows.items() if flow.to}
    return enqueue(
        connection,
        entity=facts.name,
        wanted=wanted,
        brakes={name: flow.brake for name, flow in flows.items()},
        stewards={name: flow.steward for name, flow in flows.items()},
        run_id=run_id,
    )


def _wanted(part: Slice, facts: Facts, key: str) -> Iterator[pa.RecordBatch]:
    """The wanted rows of the touched keys. What a destination holds before a flow's first delivery is only recorded; a key that no
    record has any longer wants nothing."""
    entity, outs = facts.name, facts.outbound
    flows = ", ".join(f"('{name}', '{out.takers[0]}')" for name, out in outs.items())
    yield from part.computer.db.execute(
        f"""
        select
            flow, system, {key} as key, is_wanted, action_on_leave, payload, remote_id, held_because, asked, mode,
            flow in (select flow from going_live) and (system, {key}) in (
                select stg.system, stg.{key} from stg_{entity} as stg where not is_rejected and system in (select taker from going_live)
            ) as already_held,
            caused_by_inbox_id, received_at, deliver
        from wanted_{entity}
        where system is not null
        union all
        select
            flow, system, {key}, false, 'ignore', null, null, null, null, 'live', false, null, null, 'latest'
        from touched_{entity} anti join {entity} using ({key}) cross join (values {flows}) as flows (flow, system)
        """
    ).to_arrow_table().to_batches()  # fmt: skip
