"""What people ask for and decide: written into the ledger with their name, in the order in which it became true."""

from collections.abc import Sequence

import duckdb

from pipelines.compiler.entity import Facts
from pipelines.compiler.reconciliation import NOT_WRONG
from pipelines.language.schema import IntegrationMap
from pipelines.operations.worksheet import Decided
from resources.host import settings
from resources.lake import lake
from resources.lake.macros import teach
from resources.lake.records import rows_of
from resources.store.store import Store, in_order, query


class Unacceptable(Exception):
    """The wish names something that is not there, or a value that the map does not allow. The message says which."""


def entity_of(the_map: IntegrationMap, name: str) -> Facts:
    """The root entity of that name. Raises Unacceptable."""
    roots = {root.entity: root for root in the_map.roots}
    if name not in roots:
        raise Unacceptable(f"the map has no entity {name!r} with records of its own; it has {', '.join(sorted(roots))}")
    return Facts(the_map, roots[name])


def outbound(the_map: IntegrationMap, flow: str) -> str:
    """The entity of an outbound flow of that name. Raises Unacceptable."""
    names = sorted(name for name, (_, told) in the_map.flows.items() if told.to)
    if flow not in names:
        raise Unacceptable(f"the map has no flow {flow!r} that delivers; it has {', '.join(names)}")
    return the_map.flows[flow][0].entity


def decide(
    store: Store, the_map: IntegrationMap, *, entity: str, key: str, field: str, value: str, by_whom: str
) -> None:
    """Record that a person decided what a field is; it wins over every system until it is revoked. Raises Unacceptable."""
    facts = _with_field(the_map, entity, field)
    _must_be_known(store, facts, [key])
    _must_fit(facts, field, value)
    _must_not_widen(facts, field, value)
    with store.transaction() as connection:
        in_order(connection)
        connection.execute(query("write_ledger"), _row(entity, key, "decided", by_whom, field=field, value=value))


def take(store: Store, the_map: IntegrationMap, decided: Sequence[Decided], *, by_whom: str) -> None:
    """Record what people decided about differences, all of it or, where one cannot be, nothing. Raises Unacceptable."""
    rows = []
    must_stand: dict[str, list[str]] = {}  # what is corrected or delivered again has to be one of our records
    for one in decided:
        facts = entity_of(the_map, one.entity)
        if not one.ignore_until:
            must_stand.setdefault(one.entity, []).append(one.record)
        who = f"{by_whom} ({one.why})"
        if one.correct_to:
            _must_fit(_with_field(the_map, one.entity, str(one.field)), str(one.field), one.correct_to)
            _must_not_widen(facts, str(one.field), one.correct_to)
            told = {"field": str(one.field), "value": one.correct_to}
            rows.append(_row(one.entity, one.record, "decided", who, **told))
        elif one.ignore_until:
            if one.reconciliation not in facts.entity.reconcile:
                raise Unacceptable(f"{one.entity} has no reconciliation {one.reconciliation!r}; export the sheet anew")
            told = {"value": one.ignore_until.isoformat(), "flow": one.reconciliation}
            rows.append(_row(one.entity, one.record, "ignored", who, **told) | {"field": one.field})
        elif one.repair_by:
            outbound(the_map, one.repair_by)
            rows.append(_row(one.entity, one.record, "repair", who, flow=one.repair_by))
    for entity, keys in must_stand.items():
        _must_be_known(store, entity_of(the_map, entity), keys)
    with store.transaction() as connection:
        in_order(connection)
        if rows:
            connection.execute(query("write_ledger"), rows)


def revoke(store: Store, the_map: IntegrationMap, *, entity: str, key: str, field: str, by_whom: str) -> str:
    """Take a decision back, so that the owner's word counts again; what had been decided. Raises Unacceptable."""
    _with_field(the_map, entity, field)
    newest = store.one("newest_decision", entity=entity, key=key, field=field)
    if newest is None or newest["kind"] == "revoked":
        raise Unacceptable(f"nobody has decided {field} of {entity} {key}; `concord trace {key}` shows who set it")
    with store.transaction() as connection:
        in_order(connection)
        connection.execute(query("write_ledger"), _row(entity, key, "revoked", by_whom, field=field))
    return str(newest["value"])


def link(
    store: Store, the_map: IntegrationMap, *, entity: str, system: str, remote_id: str, key: str, by_whom: str
) -> None:
    """Record that a system's record is this one of ours. Raises Unacceptable."""
    facts = entity_of(the_map, entity)
    _must_speak_of(facts, system)
    _must_be_known(store, facts, [key])
    values = {"entity": entity, "system": system, "remote_id": remote_id, "key": key}
    with store.transaction() as connection:
        in_order(connection)
        if connection.execute(query("link_by_person"), values).rowcount == 0:
            other = connection.execute(query("link_of"), values).mappings().one()
            raise Unacceptable(
                f"{system} {remote_id} is linked to {other['key']} already (by a {other['made_by']}); "
                f"if that is wrong, first `concord unlink {entity} {system} {remote_id}`"
            )
        row = _row(entity, key, "linked", by_whom, system=system, remote_id=remote_id)
        connection.execute(query("write_ledger"), row)


def unlink(store: Store, the_map: IntegrationMap, *, entity: str, system: str, remote_id: str, by_whom: str) -> str:
    """Record that a system's record stands for itself; the key that it had. Raises Unacceptable."""
    facts = entity_of(the_map, entity)
    _must_speak_of(facts, system)
    with store.transaction() as connection:
        in_order(connection)
        values = {"entity": entity, "system": system, "remote_id": remote_id}
        row = connection.execute(query("unlink_by_person"), values).mappings().first()
        key = str(row["key"]) if row else _likely(store, facts, system, remote_id)
        if key is None:
            raise Unacceptable(
                f"{system} {remote_id} is linked to none of the {entity}, and like none of them; `concord trace` names the links"
            )
        told = _row(entity, key, "unlinked", by_whom, system=system, remote_id=remote_id)
        connection.execute(query("write_ledger"), told)
    return key


def _likely(store: Store, facts: Facts, system: str, remote_id: str) -> str | None:
    """The record that this one may be, for all that a machine can tell; None when it is like no other."""
    if not facts.entity.match:
        return None
    sql = (
        f"select other from {facts.name}_matches "
        "where list_contains(known_as, {'system': $system, 'remote_id': $remote_id}) order by other"
    )
    with lake.reading(store.url, settings.lake()) as db:
        row = db.execute(sql, {"system": system, "remote_id": remote_id}).fetchone()
    return str(row[0]) if row else None


def repairable(store: Store, the_map: IntegrationMap, flow: str, keys: Sequence[str]) -> None:
    """Raises Unacceptable unless every key is a record that the flow may deliver."""
    _must_be_known(store, entity_of(the_map, outbound(the_map, flow)), keys)


def found_by(store: Store, the_map: IntegrationMap, flow: str, reconciliation: str) -> list[str]:
    """The keys for which this reconciliation suggests to repair by this flow. Raises Unacceptable."""
    facts = entity_of(the_map, outbound(the_map, flow))
    if reconciliation not in facts.entity.reconcile:
        told = ", ".join(facts.entity.reconcile) or "none"
        raise Unacceptable(f"{facts.name} has no reconciliation {reconciliation!r}; it has {told}")
    with lake.reading(store.url, settings.lake()) as db:
        try:
            rows = db.execute(
                f"select distinct {_key_sql(facts)} from reconcile_{facts.name} "
                f"where reconciliation = $name and kind not in {NOT_WRONG} and repair like 'concord repair ' || $flow || ' %' order by 1",
                {"name": reconciliation, "flow": flow},
            ).fetchall()
        except duckdb.CatalogException:
            raise Unacceptable(f"{reconciliation} has never run; launch reconcile_{facts.name} first") from None
    return [row[0] for row in rows]


def _row(entity: str, key: str, kind: str, by_whom: str, **told: str) -> dict[str, str | None]:
    empty = dict.fromkeys(("system", "remote_id", "field", "value", "flow"))
    return {**empty, "entity": entity, "key": key, "kind": kind, "by_whom": by_whom, **told}


def _key_sql(facts: Facts) -> str:
    return facts.key[0] if len(facts.key) == 1 else f"concat_ws('|', {', '.join(facts.key)})"


def _with_field(the_map: IntegrationMap, entity: str, field: str) -> Facts:
    facts = entity_of(the_map, entity)
    fields = [name for name, told in facts.fields.items() if "us" not in told.owner]
    if field not in fields:
        raise Unacceptable(f"{entity} have no field {field!r} to decide; they have {', '.join(fields) or 'none'}")
    return facts


def _must_speak_of(facts: Facts, system: str) -> None:
    systems = sorted(
        {source.system.system for source in facts.sources}
        | {told.system for told in facts.the_map.systems.values() if facts.name in told.takes}
    )
    if system not in systems:
        raise Unacceptable(f"{facts.name} are no matter of {system!r}; these systems hold them: {', '.join(systems)}")


def _must_be_known(store: Store, facts: Facts, keys: Sequence[str]) -> None:
    known = {"|".join(row) for row in rows_of(store, facts.name, facts.key, facts.key, keys)}
    unknown = [key for key in keys if key not in known]
    if unknown:
        raise Unacceptable(
            f"none of the {facts.name} has the key {', '.join(repr(key) for key in unknown[:3])}"
            f"{f' (and {len(unknown) - 3} more)' if len(unknown) > 3 else ''}; `concord trace` finds a record by its number"
        )


def _must_not_widen(facts: Facts, field: str, value: str) -> None:
    """A person may withdraw for somebody, and opt in for nobody."""
    told = facts.fields[field]
    withdrawal = (told.ladder or [""])[-1]
    if told.resolve == "withdrawn_wins" and value != withdrawal:
        raise Unacceptable(
            f"{facts.name}.{field} can be decided to be {withdrawal}, never {value}: that is for the person to say, where "
            "they confirm it"
        )


def _must_fit(facts: Facts, field: str, value: str) -> None:
    """The value as the canonical model would cast it, held against the field's type."""
    judged = facts.not_of_its_type(field)
    if judged is None:
        return
    condition, reason = judged
    with duckdb.connect() as db:
        db.execute("create schema if not exists main; attach ':memory:' as lake")
        teach(db)
        told = "".join(f", cast(null as varchar) as {name}" for name in facts.fields if name not in (field, "zone"))
        told += f", minor_units({facts.cast(field)}) as currency_units" * (field == facts.entity.currency)
        row = db.execute(
            f"select coalesce({condition}, true) from (select {facts.cast(field)} as {field}{told} "
            f"from (select $value as {field}_told, 'UTC' as zone))",
            {"value": value},
        ).fetchone()
    if row is None or row[0]:
        raise Unacceptable(f"{field} cannot be decided to be {value!r}: it {reason}")
