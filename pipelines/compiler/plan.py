"""What one sync of an entity runs: the statements that its models come to, and by which keys each of them finds its rows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

from pipelines.compiler.absences import KEPT_ABSENCES, Absences, absences
from pipelines.compiler.entity import Facts
from pipelines.compiler.generate import DBT_PROJECT, environment, fingerprint
from pipelines.compiler.groups import Group, alike, groups
from pipelines.compiler.witnesses import witnesses
from pipelines.language import handwritten
from pipelines.language.handwritten import ByHand
from pipelines.language.schema import IntegrationMap

# What the loader fills, beside the neighbours: what was heard, what became of it, and of which keys.
GIVEN = {
    "landing": "inbox_id bigint, system varchar, stream varchar, arrived_by varchar, remote_id varchar, body_hash varchar, "
    "file_name varchar, file_occurrence varchar, row_number integer, received_at timestamptz, payload varchar",
    "ledger": "ledger_id bigint, key varchar, kind varchar, system varchar, remote_id varchar, field varchar, value varchar, "
    "flow varchar, by_whom varchar, happened_at timestamptz",
    "links": "system varchar, remote_id varchar, key varchar, by_whom varchar",
}
BATCH = (
    "after_inbox_id bigint, upto_inbox_id bigint, after_ledger_id bigint, upto_ledger_id bigint, moment timestamptz, "
    "is_full boolean"
)
SET_ASIDE = (
    "inbox_id bigint, system varchar, stream varchar, remote_id varchar, received_at timestamptz, reason varchar"
)
WAITING = (
    "on_foreign_write in ('hold', 'forbidden')"  # conflicts for people: what is restored or ignored waits for nobody
)
MODELS = ("resolve", "told")  # macros that models are spelled in, whoever runs them


@dataclass(frozen=True, slots=True)
class Model:
    """One table that a sync fills: its name, the query that gives its rows, and the columns by which its rows are known."""

    name: str
    sql: str
    unique: tuple[str, ...] = ()  # of the table in which it is kept; empty: it is not kept
    by: tuple[str, ...] = ()  # the columns that the touched keys fill: all rows of such a key are written together


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Rows of another entity's table that models of this one read: those whose `column` is one of the values."""

    table: str
    column: str
    values: str  # a query over the slice


@dataclass(frozen=True, slots=True)
class Wake:
    """Which records of an entity are settled again when something that they read changes elsewhere.

    A record of `source` with other values in `reads` than before wakes the records whose `column` in `table` is its `key`.
    """

    source: str  # a table
    key: str  # its column whose old and new values are told
    reads: tuple[str, ...]
    table: str  # of the entity that is woken
    column: str
    is_waiting: bool  # only those that wait for it: what it must be is that it is there
    is_sliced: bool = False  # the values are slices of a hand-written model, whether it has rows of them yet or not
    through: str | None = None  # the table of the source's sync that names these, where the source itself does not


@dataclass(frozen=True, slots=True)
class Plan:
    """One entity's sync, made once from the map."""

    entity: str
    key: tuple[str, ...]
    streams: tuple[str, ...]  # system/stream
    fingerprint: str
    keys: str  # which record each message names
    lost: str  # keys of which accepted words tell and that no record has: never right
    staging: tuple[Model, ...]
    settling: tuple[Model, ...]
    views: tuple[Model, ...]  # over what is kept
    neighbours: tuple[Neighbour, ...]
    wakes: tuple[Wake, ...]
    of: str | None  # the entity on whose records these hang, and
    each: tuple[str, ...]  # the parts that each of them has
    has_hot_keys: bool  # orders speak of these records, too, so that some hear thousands of words
    groups: tuple[Group, ...]  # what binds its records: known once those that open `settling` are settled
    opening: int  # how many of the models these are
    finders: tuple[tuple[str, str, str], ...]  # (system, stream, field) of senders that know no key of ours
    numbers: tuple[str, ...]  # the fields by whose values people name a record
    by_hand: tuple[ByHand, ...] = ()  # models that people wrote, in their order; the last is the entity's
    made_of: tuple[
        Model, ...
    ] = ()  # what these come to, but for the last: settled before the entity's own keys are known
    asked_by: tuple[
        tuple[str, str], ...
    ] = ()  # (table, columns) by which hand-written models of others find rows of these
    turns_at: str | None = None  # the column that says when a record becomes another by itself
    absences: Absences | None = None
    has_witnesses: bool = False  # of what a record heard, those words alone are loaded that still decide something

    @property
    def kept(self) -> Iterator[Model]:
        """The models whose rows stay."""
        yield from (model for model in (*self.made_of, *self.settling) if model.unique)

    @property
    def given(self) -> dict[str, str]:
        """What the loader fills for this entity beside what every entity has, with its columns."""
        told = dict(self.absences.given) if self.absences else {}
        for one in self.by_hand[:-1]:
            told[f"touched_{one.name}"] = f"{one.sliced_by} varchar"
        for one in self.by_hand[-1:]:
            told[f"moved_{one.name}"] = f"{one.sliced_by} varchar, last_inbox_id bigint, last_received_at timestamptz"
            told[f"previous_{one.name}"] = ", ".join(f"{name} {kind}" for name, kind in one.previous.items())
        if any(group.most for group in self.groups):
            told[f"crowded_{self.entity}"] = "agree_on varchar, value varchar"
        if any(
            model.name == f"{self.entity}_matches" for model in self.settling
        ):  # stays empty: all whom they are like are touched
            told[f"previous_{self.entity}_matches"] = f"{self.key[0]} varchar, other varchar, strength integer"
        return told

    def indexes(self, model: Model) -> list[str]:
        """By what rows of a kept model are looked up, as SQL after `create`."""
        is_unique = model.by != ("inbox_id",) or model.unique == model.by
        told = [f"unique index on {{table}} ({', '.join(model.unique)})"] if is_unique else []
        if model.by != model.unique[: len(model.by)] or not told:
            told.append(f"index on {{table}} ({', '.join(model.by)})")
        if model.name.startswith("said_") and "remote_id" in model.sql:
            told.append("index on {table} (system, stream, remote_id)")
        if model.name == f"{self.entity}_verdicts":
            told += ["index on {table} (told_key)", "index on {table} (system, remote_id)"]
        if model.name == f"{self.entity}_quarantine":
            told.append("index on {table} (received_at)")
        told += [
            f"index on {{table}} ({wake.column})" + (f" where not is_{wake.column}_known" if wake.is_waiting else "")
            for wake in self.wakes
            if wake.table == model.name and not wake.is_sliced
        ]
        sought = [columns for table, columns in self.asked_by if table == model.name]
        told += [f"index on {{table}} ({columns})" for columns in dict.fromkeys(sought)]
        told += [
            f"index on {{table}} ({', '.join(group.columns)})" for group in self.groups if group.table == model.name
        ]
        if model.name in (self.entity, f"said_{self.entity}"):
            told += [f"index on {{table}} ({field})" for _, _, field in self.finders]
        if model.name == f"said_{self.entity}":
            told += [f"index on {{table}} ({self.key[0]})" for _ in self.finders]
            told += [f"index on {{table}} ({field})" for field in self.numbers]
        if model.name == f"{self.entity}_conflicts":  # what waits for a person, as it is told to them
            told.append(f"index on {{table}} (seen_at) where {WAITING}")
        if model.name == f"{self.entity}_matches":
            told.append("index on {table} (since) where doubt is not null")
        return [*dict.fromkeys(told)]


def plan(the_map: IntegrationMap, entity: str, project: Path = DBT_PROJECT) -> Plan:
    """The plan of an entity, from the models that stand in the dbt project."""
    facts = Facts(the_map, the_map.entities[entity])
    spell = _Speller(the_map, facts, project)
    names = [f"stg_{one.name}" for one in [*facts.children, facts] if one.sources]
    family = {
        f"{entity}_verdicts",
        f"{entity}_conflicts",
        f"{entity}_matches",
        f"wanted_{entity}",
        f"{entity}_quarantine",
        f"{entity}_past",
    }
    settled = [facts.entity.model or entity, *(child.name for child in facts.children)]
    by_hand = handwritten.family(facts.entity.model, project) if facts.entity.model else []
    gone = absences(facts)
    found = [name for name in spell.files if name in {*family, *settled}]
    bound = tuple(groups(facts))
    opening = [entity] if bound else []
    opened = [_model(name, spell, facts) for name in opening]
    if facts.entity.match:
        opened.append(Model(f"alike_{entity}", alike(facts), (*facts.key, "agree_on"), tuple(facts.key)))
    return Plan(
        entity=entity,
        key=tuple(facts.key),
        streams=tuple(facts.stream_names),
        fingerprint=fingerprint(the_map, entity),
        keys=spell.text(environment().get_template("keys.sql").render(e=facts, the_map=the_map))
        if facts.sources
        else "",
        lost=_lost(spell, facts) if facts.sources and not facts.entity.model else "",
        staging=tuple(Model(name, spell.file(name)) for name in names),
        settling=(
            *(Model(name, sql, unique, by) for name, sql, unique, by in (gone.tables if gone else ())),
            *(Model(name, spell.file(name)) for name in spell.constant(by_hand)),
            *opened,
            *(_model(name, spell, facts) for name in spell.in_order(found) if name not in opening),
            *_said(facts),
            *(kept := [Model(name, sql, unique, by) for name, sql, unique, by in witnesses(facts)]),
        ),
        views=tuple(Model(name, spell.file(name)) for name in (f"{entity}_flags",) if name in spell.files),
        neighbours=tuple(_neighbours(facts)),
        wakes=(*_wakes(the_map, facts), *_wakes_by_hand(the_map, by_hand)),
        of=facts.entity.of,
        each=tuple(facts.entity.each),
        has_hot_keys=bool(facts.entity.of or any(child.tellers for child in facts.children)),
        groups=bound,
        opening=(len(gone.tables) if gone else 0) + len(opened) if opened else 0,
        finders=tuple(facts.finders),
        numbers=tuple(facts.numbers),
        by_hand=tuple(by_hand),
        made_of=tuple(_made_of(one, spell) for one in by_hand[:-1]),
        asked_by=tuple(dict.fromkeys(_asked_by(the_map, project))),
        turns_at=facts.entity.turns_at,
        absences=gone,
        has_witnesses=bool(kept),
    )


def _made_of(one: ByHand, spell: "_Speller") -> Model:
    """A hand-written model over its slice: what else its inputs come to is incomplete."""
    sql = f"""
        select * from ({spell.file(one.name)})
        where (select is_full from batch) or {one.sliced_by} in (select {one.sliced_by} from touched_{one.name})"""
    return Model(one.name, sql, one.key, (one.sliced_by,))


def _wakes_by_hand(the_map: IntegrationMap, by_hand: list[ByHand]) -> Iterator[Wake]:
    """Which changes of other entities' rows bring slices of the hand-written models into question."""
    for one in by_hand:
        for read in one.inputs:
            if read.table in the_map.entities:
                through = None if one.sliced_by in read.by else read.of
                key = one.sliced_by if through is None else read.by[0]
                reads = (*read.reads, key)
                yield Wake(read.table, key, reads, one.name, one.sliced_by, False, is_sliced=True, through=through)


def _asked_by(the_map: IntegrationMap, project: Path) -> Iterator[tuple[str, str]]:
    """(table, columns) by which hand-written models look for rows, where no key begins with them."""
    models = [
        (one, other) for other in the_map.roots if other.model for one in handwritten.family(other.model, project)
    ]
    keys = {name: tuple(entity.key) for name, entity in the_map.entities.items()} | {
        one.name: one.key for one, _ in models
    }
    for one, entity in models:
        for read in one.inputs:
            columns = (*read.by, *(read.since[:1] if read.since else ()))
            if keys[read.table][: len(columns)] != columns:
                yield read.table, ", ".join(columns)
            if read.table not in the_map.entities and one.sliced_by not in read.by and read.of:
                yield one.name, ", ".join(read.by)  # which of its own rows are in question is found by them
        if turns_at := one.turns_at or (one.name == entity.model and entity.turns_at):
            yield one.name, turns_at


def _model(name: str, spell: "_Speller", facts: Facts) -> Model:
    """A model of the family, and by which columns its rows are known."""
    entity, key = facts.name, tuple(facts.key)
    children = {child.name: tuple(child.key) for child in facts.children}
    unique = {
        entity: key,
        f"{entity}_verdicts": ("inbox_id",),
        f"{entity}_conflicts": (*key, "system", "field"),
        f"{entity}_matches": (*key, "other"),
        f"wanted_{entity}": ("flow", "system", *key),
        f"{entity}_quarantine": ("inbox_id", "reason"),
        f"{entity}_past": (*key, "field", "inbox_id"),
        **children,
    }[name]
    by = ("inbox_id",) if unique[0] == "inbox_id" else key
    if name == facts.entity.model:
        (own,) = handwritten.family(name, spell.project)[-1:]
        return _made_of(own, spell)
    sql = spell.file(name)
    if name == f"{entity}_past":
        sql = f"select * from ({sql}) semi join touched_{entity} using ({', '.join(key)})"
    return Model(name, _books(sql, facts) if name == f"{entity}_verdicts" else sql, unique, by)


def _lost(spell: "_Speller", facts: Facts) -> str:
    """A plan that silently answers nothing must not look like a record that is gone: its deliveries would be taken back."""
    name, key = facts.name, ", ".join(facts.key)
    told = f"(select *, null as by_whom from stg_{name} semi join touched_{name} using ({key}))"
    if len(facts.key) == 1:
        told = spell.text(f'{{{{ told_of("stg_{name}", "links_{name}", "touched_{name}", key="{key}") }}}}')
    return f"""
        select {key} from {told} as told
        where may_originate and not is_rejected and coalesce(by_whom, '') <> 'courier'
            and ({key}) not in (select ({key}) from {name})
        limit 1"""


def _said(facts: Facts) -> Iterator[Model]:
    """The newest word of each remote record, typed: of each kind of word, for one may tell what another does not."""
    if not facts.sources:
        return
    key = f"concat_ws('|', {', '.join(facts.key)})"
    newest = f"""
        select * from stg_{facts.name}
        semi join {facts.name}_verdicts using (inbox_id)
        qualify row_number() over (
            partition by system, stream, coalesce(remote_id, {key}), is_rejected, said order by order_key desc, inbox_id desc
        ) = 1"""
    yield Model(f"said_{facts.name}", newest, ("inbox_id", *facts.key), ("inbox_id",))
    for child in facts.children:
        if child.sources:
            rows = f"select * from stg_{child.name} semi join said_{facts.name} using (inbox_id)"
            yield Model(f"said_{child.name}", rows, ("inbox_id", "position", *child.key[1:]), ("inbox_id",))


def _books(verdicts: str, facts: Facts) -> str:
    """The verdicts, with what each message named: by that a key's history is found again."""
    told = f"concat_ws('|', {', '.join(facts.key)})" if len(facts.key) > 1 else facts.key[0]
    stem = "regexp_replace({}, '/[^/]+$', '')" if facts.entity.of else "{}"
    return f"""
        select verdicts.*, told_key, remote_id
        from ({verdicts}) as verdicts
        left join (
            select inbox_id, any_value({stem.format(told)}) as told_key, any_value({stem.format("remote_id")}) as remote_id
            from stg_{facts.name}
            group by inbox_id
        ) using (inbox_id)"""


def _neighbours(facts: Facts) -> Iterator[Neighbour]:
    """What the generated models of an entity read of others, each by the field that names it."""
    for one in [facts, *facts.children]:
        for name, field in one.fields.items():
            if field.references:
                target = facts.the_map.entities[field.references]
                said = f"select {name} as value from stg_{one.name}" if one.sources else ""
                decided = f"select value from ledger_{facts.name} where field = '{name}' and kind = 'decided'"
                yield Neighbour(target.entity, target.key[0], " union ".join(filter(None, [said, decided])))
    for rule in facts.limits.rules.values():
        other, _ = rule.source
        source = facts.the_map.entities[other]
        decided = f"select value from ledger_{facts.name} where field = '{rule.per}' and kind = 'decided'"
        yield Neighbour(other, source.key[0], f"select {rule.per} as value from stg_{facts.name} union {decided}")


def _wakes(the_map: IntegrationMap, facts: Facts) -> Iterator[Wake]:
    """For which changes elsewhere records of this entity are settled again."""
    for one in [facts, *facts.children]:
        for name, field in one.fields.items():
            if field.references:
                target = the_map.entities[field.references]
                yield Wake(target.entity, target.key[0], (target.key[0],), one.name, name, is_waiting=True)

    for neighbour in facts.between.neighbours:  # rules that hold records against others
        yield Wake(
            neighbour.entity, neighbour.key, tuple(neighbour.fields), facts.name, neighbour.reference, is_waiting=False
        )

    for rule in facts.limits.rules.values():  # how much there is of what they add up to
        other, amount = rule.source
        source = the_map.entities[other]
        reads = (amount, source.currency) if source.currency else (amount,)
        yield Wake(other, source.key[0], reads, facts.name, rule.per, is_waiting=False)

    # To the system in which a record's parent began goes what is told of it, under the name that the parent has there.
    named = [out.referenced for out in facts.outbound.values() if out.by_role and not facts.originates_in(out)]
    for name, parent in dict(filter(None, named)).items():
        origin = ("origin_system", "origin_remote_id")
        yield Wake(parent.name, parent.key[0], origin, facts.name, name, is_waiting=False)


class _Speller:
    """The dbt project's models as plain SQL over native tables."""

    def __init__(self, the_map: IntegrationMap, facts: Facts, project: Path) -> None:
        self.project, self.facts = project, facts
        files = [*(project / "models").rglob("*.sql")]
        self.files = {path.stem: path for path in files}
        self.jinja = Environment(undefined=StrictUndefined)  # noqa: S701  (it writes SQL, not HTML)
        self.macros = "".join((project / f"macros/{name}.sql").read_text(encoding="utf-8") for name in MODELS)
        settings = _variables(project)
        self.jinja.globals.update(
            ref=str,
            config=lambda **_: "",
            var=settings.__getitem__,
            in_batch=lambda column="inbox_id": (
                f"{column} > (select after_{column} from batch) and {column} <= (select upto_{column} from batch)"
            ),
            previous=lambda model, columns: f"(select {columns} from previous_{model})",
            moment=lambda: "(select moment from batch)",
            crowded=lambda entity, match: f"(select value from crowded_{entity} where agree_on = '{match}')",
        )

    def text(self, text: str) -> str:
        """A model's text as it is run."""
        return self.jinja.from_string(self.macros + KEPT_ABSENCES + text).render().strip()

    def constant(self, by_hand: list[ByHand]) -> list[str]:
        """The generated models that hand-written ones read and that read nothing themselves."""
        read = {name for one in by_hand for name in one.refs if name in self.files}
        written = handwritten.written(self.project)
        return sorted(
            name
            for name in read
            if name not in written
            and not self.refs(name)
            and "source(" not in self.files[name].read_text(encoding="utf-8")
        )

    @cache  # noqa: B019  (a speller lives as long as its plan is made)
    def file(self, name: str) -> str:
        return self.text(self.files[name].read_text(encoding="utf-8"))

    def in_order(self, names: list[str]) -> list[str]:
        """The models, each after those that it reads."""
        reads = {name: {ref for ref in self.refs(name) if ref in names and ref != name} for name in names}
        order: list[str] = []
        while reads:
            ready = sorted(name for name, left in reads.items() if left <= set(order))
            if not ready:
                raise ValueError(f"the models {', '.join(sorted(reads))} read each other in a circle")
            order += ready
            reads = {name: left for name, left in reads.items() if name not in ready}
        return order

    def refs(self, name: str) -> set[str]:
        return set(re.findall(r'ref\("(\w+)"\)', self.files[name].read_text(encoding="utf-8")))


@cache
def _variables(project: Path) -> dict[str, Any]:
    """The variables of the dbt project, which hand-written models read."""
    told = yaml.safe_load((project / "dbt_project.yml").read_text(encoding="utf-8"))
    return dict(told["vars"])
