"""Judge, settle, want: one batch of one entity through its dbt models and into the outbox."""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import sqlalchemy as sa
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

from pipelines.compiler.allocation import Limits
from pipelines.compiler.entity import Facts
from pipelines.compiler.generate import fingerprint
from pipelines.language.schema import Entity, IntegrationMap
from pipelines.stages import sync as in_postgres
from pipelines.stages.batch import PROJECT, Batch, BuildFailed, Built, Conflict, Settled
from pipelines.stages.conflicts import conflicts_that_wait, in_one_sentence
from pipelines.stages.matching import doubts, doubts_in_one_sentence, found_by_field, sure_matches
from resources.host import settings
from resources.lake import lake
from resources.store.alerts import Alert, end_alerts, raise_alerts
from resources.store.links import link_by_match
from resources.store.outbox import EnqueueReport, enqueue
from resources.store.store import Store, query

CONFLICT = re.compile("conflict|could not serialize|failed to commit ducklake", re.IGNORECASE)
PIECE = 20_000  # wanted rows that are in our memory at once
MANY_FILES = 20  # of a table, counting those that say what was deleted
_MET: dict[str, int | None] = {}  # the catalogue that this process last built in, by database
BUILDS = 4  # of one batch, when other writers of the lake keep being faster; DuckLake itself tries ten times


@cache
def manifest(project: Path = PROJECT) -> Manifest:
    """The parsed dbt project, once a process: passing it on makes a run ten times faster. Raises BuildFailed."""
    result = dbtRunner().invoke(["parse", *_folders(project), "--quiet"])
    if not isinstance(result.result, Manifest):
        raise BuildFailed(f"the dbt project cannot be parsed: {result.exception}; run `concord write` and look again")
    return result.result


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

    Safe to repeat and to kill anywhere: the batch is marked settled only after everything else has succeeded.
    `project` is the dbt project that was written from `the_map`, and `moment` stands for now. Raises BuildFailed.
    """
    if settings.is_settled_in_postgres():
        return in_postgres.sync(
            entity, store=store, the_map=the_map, run_id=run_id, full=full, project=project, log=log, moment=moment
        )
    started = time.monotonic()
    settled = Settled(entity)
    with store.turn(f"sync/{entity}"):
        batch = open_batch(entity, store=store, the_map=the_map, full=full, moment=moment)
        if batch is None:
            return settled
        settled.batch = batch
        log(f"batch {batch.batch_id}: inbox {batch.after_inbox_id} < id <= {batch.upto_inbox_id}")
        meet_catalogue(store.url)
        standing = ["--exclude", "config.materialized:view", "--no-populate-cache"]  # since the first build
        arguments = ["--vars", json.dumps(batch.told), *(["--full-refresh"] if batch.is_full else standing)]
        for builds in range(1, BUILDS + 1):
            try:
                settled.built = run_dbt(["run", "--select", f"tag:sync_{entity}", *arguments], project)
                break
            except Conflict as problem:
                if builds == BUILDS:
                    raise
                log(f"{problem}; it is built again")
                time.sleep(builds)
        if batch.is_full:
            _let_go_of_memory()
        with lake.reading(store.url, settings.lake()) as db:
            settled.verdicts = _verdicts(db, entity, batch)
            wakes = _woken(db, entity, store, the_map)
            delivered = {row["flow"] for row in store.rows("flows_that_delivered", entity=entity)}
            with store.transaction() as connection:
                if the_map.entities[entity].match:
                    _match(connection, db, entity, the_map)
                facts = Facts(the_map, the_map.entities[entity])
                link_by_match(connection, entity, found_by_field(db, entity, facts.key[0], facts.finders))
                if facts.has_conflicts:
                    _tell_conflicts(connection, db, entity, the_map)
                if facts.outbound:
                    wanted = _wanted(db, entity, the_map, delivered)
                    settled.enqueued = _enqueue(connection, entity, the_map, wanted, run_id)
                turns_at = _next_turn(db, the_map.entities[entity], batch)
                settles = {"batch_id": batch.batch_id, "wakes": wakes, "turns_at": turns_at}
                connection.execute(query("settle_batch"), settles)
    settled.seconds = time.monotonic() - started
    return settled


def open_batch(
    entity: str, *, store: Store, the_map: IntegrationMap, full: bool, moment: datetime | None = None
) -> Batch | None:
    """Fix the bounds of what the run settles; None when nothing was said since the last settled batch."""
    facts = Facts(the_map, the_map.entities[entity])
    mark = fingerprint(the_map, entity)
    last = store.one("last_settled", entity=entity)
    tables = {row["table_name"] for row in store.rows("lake_tables")}
    is_full = full or last is None or last["fingerprint"] != mark or not model_names(facts) <= tables
    newest = store.one("newest_ids") or {}
    bounds = {
        "after_inbox_id": 0 if is_full or last is None else last["upto_inbox_id"],
        "upto_inbox_id": newest["inbox_id"],
        "after_ledger_id": 0 if is_full or last is None else last["upto_ledger_id"],
        "upto_ledger_id": newest["ledger_id"],
    }
    unfinished = store.one("is_unfinished", entity=entity)
    goes_on = bool(unfinished and unfinished["goes_on"])
    woken = store.one("is_woken", entity=entity)
    if not is_full and not goes_on:
        asked = {"streams": facts.stream_names, "reads": facts.entity.reads, "of": facts.entity.of, "moment": moment}
        news = store.one("has_news", entity=entity, **asked, **bounds)
        if not news or not news["has_news"]:
            return None
    row = store.one("open_batch", entity=entity, fingerprint=mark, is_full=is_full, **bounds)
    return Batch(
        batch_id=row["batch_id"] if row else 0,
        moment=moment or (row["opened_at"] if row else datetime.now(UTC)),
        is_full=is_full,
        goes_on=goes_on,
        is_woken=bool(woken and woken["is_woken"]),
        **bounds,
    )


def compact(entity: str, *, store: Store, the_map: IntegrationMap) -> list[str]:
    """Write the tables of an entity anew that have many small files; which. Its syncs wait meanwhile.

    Every sync leaves a file a table, and a read opens all of them.
    """
    with store.turn(f"sync/{entity}"):
        many = {row["table_name"] for row in store.rows("tables_of_many_files", files=MANY_FILES)}
        tables = sorted(many & model_names(Facts(the_map, the_map.entities[entity])))
        lake.compact(store.url, settings.lake(), tables)
    return tables


def model_names(facts: Facts) -> set[str]:
    """The tables that a settled entity has in the lake."""
    names = {f"{kind}_{facts.name}" for kind in ("landing", "ledger", "links", "touched")} | {facts.name}
    names |= {child.name for child in facts.children}
    names |= {f"stg_{f.name}" for f in [facts, *facts.children] if f.sources}
    names |= {f"{facts.name}_verdicts"} | ({f"wanted_{facts.name}"} if facts.outbound else set())
    names |= {f"{facts.name}_matches"} if facts.entity.match else set()
    return names | ({f"{facts.name}_conflicts"} if facts.has_conflicts else set())


def run_dbt(arguments: Sequence[str], project: Path = PROJECT) -> list[Built]:
    """Run dbt in this process. Raises BuildFailed with the first model that failed and why."""
    silent = ["--no-write-json", "--log-level", "none", "--log-level-file", "none"]
    result = dbtRunner(manifest=manifest(project)).invoke([*arguments, *_folders(project), *silent])
    if result.exception and not isinstance(result.exception, Exception):
        raise result.exception  # it was stopped
    if result.exception:
        raise BuildFailed(f"dbt could not run: {result.exception}")
    nodes: Any = result.result
    built = [Built(n.node.name, str(n.status), n.execution_time, str(n.message or "")) for n in nodes]
    for node in built:
        if node.status in ("error", "runtime error"):
            kind = Conflict if CONFLICT.search(node.message) else BuildFailed
            raise kind(f"model {node.name} could not be built: {' '.join(node.message.split())[:600]}")
    return built


def meet_catalogue(url: str) -> None:
    """Close what remembers another catalogue: a worker outlives a lake that was deleted to be built again."""
    met = lake.catalogue(url)
    if _MET.setdefault(url, met) != met:
        _let_go_of_memory()
    _MET[url] = met


def _let_go_of_memory() -> None:
    """Close DuckDB's databases, which keep what they have read; the next run of this process opens them again."""
    lake.close()
    if DuckDBConnectionManager._ENV:
        DuckDBConnectionManager._ENV.close()
    DuckDBConnectionManager.close_all_connections()


def _folders(project: Path) -> list[str]:
    state = settings.state_dir() / "dbt"
    folders = {"--project-dir": project, "--profiles-dir": project, "--target-path": state, "--log-path": state}
    return [str(word) for pair in folders.items() for word in pair]


def _verdicts(db: duckdb.DuckDBPyConnection, entity: str, batch: Batch) -> dict[str, int]:
    """How many of the batch's messages were judged how."""
    counted = db.execute(
        f"select verdict, count(*) from {entity}_verdicts where inbox_id > ? and inbox_id <= ? group by verdict",
        [batch.after_inbox_id, batch.upto_inbox_id],
    )
    return dict(counted.fetchall())


def _wanted(
    db: duckdb.DuckDBPyConnection, entity: str, the_map: IntegrationMap, delivered: set[str]
) -> Iterator[pa.RecordBatch]:
    """The wanted rows of the touched keys, in pieces. What `delivered` does not name goes live now: it is matched with
    what the destination holds already.

    Two queries, one after the other: a result in pieces of a `union all` may never come (https://github.com/duckdb/duckdb/issues/22215).
    """
    facts = Facts(the_map, the_map.entities[entity])
    key = facts.key[0]
    going_live = {  # a consent is told even where the destination has spoken of it, and so is what it never speaks of
        name: out
        for name, out in facts.outbound.items()
        if name not in delivered and out.flow.write == "absolute" and out.is_told_back and not facts.withdrawal
    }
    # In a table of its own: the lake's counts forget nothing that was deleted, and would make a plan for all ever touched.
    db.execute(f"create or replace temp table touched as select {key} from touched_{entity}")
    held = f"select system, {key} from stg_{entity} semi join touched using ({key}) where not is_rejected and list_contains($takers, system)"
    yield from db.execute(
        f"""
        select
            flow, system, {key} as key, is_wanted, action_on_leave, payload, remote_id, held_because, asked, mode,
            list_contains($going_live, flow) and (system, {key}) in ({held}) as already_held,
            caused_by_inbox_id, received_at, deliver
        from wanted_{entity}
        where {key} in (select {key} from touched) and system is not null
        """,
        {"going_live": [*going_live], "takers": [taker for out in going_live.values() for taker in out.takers]},
    ).to_arrow_reader(PIECE)
    yield from db.execute(  # a key that no record has any longer wants nothing
        f"""
        select
            flow, system, {key} as key, false as is_wanted, 'ignore' as action_on_leave, null as payload, null as remote_id,
            null as held_because, null as asked, 'live' as mode, false as already_held, null as caused_by_inbox_id,
            null as received_at, 'latest' as deliver
        from touched anti join {entity} using ({key}) cross join (select unnest($flows) as flow, unnest($systems) as system)
        """,
        {"flows": [*facts.outbound], "systems": [out.takers[0] for out in facts.outbound.values()]},
    ).to_arrow_reader(PIECE)


def _next_turn(db: duckdb.DuckDBPyConnection, entity: Entity, batch: Batch) -> datetime | None:
    """When the first of the records will be another although nobody says a word."""
    if entity.turns_at is None:
        return None
    rows = f"select epoch_us(min({entity.turns_at})) from {entity.entity} where {entity.turns_at} > ?"
    ((turns_at,),) = db.execute(rows, [batch.moment]).fetchall()
    return None if turns_at is None else datetime.fromtimestamp(turns_at / 1_000_000, UTC)


def _match(connection: sa.Connection, db: duckdb.DuckDBPyConnection, entity: str, the_map: IntegrationMap) -> None:
    """Link what is sure, and tell people what is not."""
    link_by_match(connection, entity, sure_matches(db, entity))
    found, steward = doubts(db, entity), Facts(the_map, the_map.entities[entity]).steward
    if not found:
        end_alerts(connection, [entity], kinds=["match"])
        return
    sentence = doubts_in_one_sentence(found[0], len(found), steward)
    raise_alerts(connection, [Alert(entity, "match", steward, sentence)])


def _tell_conflicts(
    connection: sa.Connection, db: duckdb.DuckDBPyConnection, entity: str, the_map: IntegrationMap
) -> None:
    """Tell people which conflicts wait for them."""
    found = conflicts_that_wait(db, the_map.entities[entity])
    if not found:
        end_alerts(connection, [entity], kinds=["conflict"])
        return
    raise_alerts(connection, [Alert(entity, "conflict", found[0].steward, in_one_sentence(found[0], len(found)))])


def _woken(db: duckdb.DuckDBPyConnection, entity: str, store: Store, the_map: IntegrationMap) -> list[str]:
    """The entities with records that waited for one of these, or that are these and missed the batch of another."""
    tables = {row["table_name"] for row in store.rows("lake_tables")}
    woken = set()
    for other in the_map.roots:
        facts = Facts(the_map, other)
        for waiting, name, target in facts.references:
            if entity in (other.entity, target) and {waiting, target} <= tables:
                known = f"{name} in (select {the_map.entities[target].key[0]} from {target})"
                if db.execute(f"select 1 from {waiting} where not is_{name}_known and {known} limit 1").fetchone():
                    woken.add(other.entity)
        between = facts.between
        for neighbour in between.neighbours:
            if entity in (other.entity, neighbour.entity) and {other.entity, neighbour.entity} <= tables:
                named = neighbour.reference if entity == neighbour.entity else other.key[0]
                key = neighbour.key if entity == neighbour.entity else other.key[0]
                is_touched = f"records.{named} in (select {key} from touched_{entity})"
                stale = f"rules_broken is distinct from {between.broken} and {is_touched}"
                rows = f"select 1 from {other.entity} as records {between.joined('records')} where {stale} limit 1"
                if db.execute(rows).fetchone():
                    woken.add(other.entity)
        if entity in (other.entity, *facts.limits.others()) and _is_beyond(db, facts.limits, tables):
            woken.add(other.entity)
    if {entity, f"touched_{entity}"} <= tables and _claims_of_others(db, Facts(the_map, the_map.entities[entity])):
        woken.add(entity)
    return sorted(woken)


def _is_beyond(db: duckdb.DuckDBPyConnection, limits: Limits, tables: set[str]) -> bool:
    """Whether a record waits for a sum that it would fit by now, or no longer fits one."""
    read = {limits.entity.entity, f"wanted_{limits.entity.entity}", *limits.others()}
    return read <= tables and any(db.execute(limits.stale(name)).fetchone() for name in limits.rules)


def _claims_of_others(db: duckdb.DuckDBPyConnection, facts: Facts) -> bool:
    """Whether a record that was not settled claims what one that was has now, too."""
    key, touched = facts.key[0], f"(select {facts.key[0]} from touched_{facts.name})"
    return any(
        db.execute(
            f"select 1 from {facts.name} as mine join {facts.name} as others on {facts.uniqueness.same(rule, 'mine', 'others')} "
            f"where mine.{key} in {touched} and others.{key} not in {touched} limit 1"
        ).fetchone()
        for rule in facts.uniqueness.holding.values()
    )


def _enqueue(
    connection: sa.Connection, entity: str, the_map: IntegrationMap, wanted: Iterable[pa.RecordBatch], run_id: str
) -> EnqueueReport:
    flows = {name: flow for name, flow in the_map.entities[entity].flows.items() if flow.to}
    return enqueue(
        connection,
        entity=entity,
        wanted=wanted,
        brakes={name: flow.brake for name, flow in flows.items()},
        stewards={name: flow.steward for name, flow in flows.items()},
        run_id=run_id,
    )
