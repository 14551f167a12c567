"""Rules on proof: what leaves is compared with what arrived, by somebody, in time."""

import re
from collections.abc import Iterator

from pipelines.language.lint.rule import Found, Problem, error, hint, provisional
from pipelines.language.queries import (
    advice_on,
    at_entity,
    at_flow,
    at_proof,
    compared,
    every_business_proof,
    every_reconciliation,
    files_of,
    joined,
    no_field,
    outbound,
    root_of,
    speaks_of,
)
from pipelines.language.schema import Entity, IntegrationMap, Says, System, spelled
from resources.host import settings

PROOFS = settings.ROOT / "dbt_project" / "models" / "reconciliation"
ANSWERS = ("key", "kind", "one_value", "other_value", "since", "next_step")  # the columns of a business proof


@provisional
def entities_are_reconciled(told: IntegrationMap) -> Found:
    """Every entity that two systems hold is compared between them, or says why nobody can.

    Children are compared with their parent. An entity that leaves for nowhere and that one system alone tells (or each
    location's own system) has no second side to be compared with.
    """
    for entity in told.entities.values():
        if entity.has_tellers and not _is_compared(told, entity):
            yield Problem(
                at_proof(told.entities[root_of(told, entity.entity)], "reconcile"),
                f"nobody proves that the systems agree on {entity.entity}, which they tell one by one; add a reconciliation "
                f"with each: {entity.entity}",
            )
        if entity.parent or entity.reconcile or entity.unreconciled or not _has_two_sides(told, entity):
            continue
        yield Problem(
            at_proof(entity, "reconcile"),
            f"nobody proves that the systems agree on {entity.entity}; add a reconciliation, or say under "
            "`unreconciled` why there can be none",
        )


def _is_compared(told: IntegrationMap, child: Entity) -> bool:
    return any(one.each == child.entity for _, _, one in every_reconciliation(told))


def _has_two_sides(told: IntegrationMap, entity: Entity) -> bool:
    leaves = any(flow.to for flow in entity.flows.values())
    tellers = {system.system for system in told.systems.values() if speaks_of(system, entity.entity)}
    by_location = all(field.owner == ["location"] for field in entity.fields.values())
    return leaves or (len(tellers) > 1 and not by_location)


@provisional
def first_tier_destinations_are_reconciled(told: IntegrationMap) -> Found:
    """A flow of the first tier is proved at each place to which it delivers."""
    for entity, name, flow in outbound(told):
        compared = {side for reconciliation in entity.reconcile.values() for side in reconciliation.between}
        for system in told.destinations(entity, flow):
            if flow.tier == 1 and entity.reconcile and not {system.system, system.role} & compared:
                yield Problem(
                    at_flow(entity, name, "tier"),
                    f"is of the first tier, and nothing compares {entity.entity} with {system.system}; add a "
                    f"reconciliation with {system.system}, or lower the tier",
                )


@hint
def unreconciled_entities_are_remembered(told: IntegrationMap) -> Found:
    """What cannot be proved is said in every check."""
    for entity in told.entities.values():
        if entity.unreconciled:
            yield Problem(at_proof(entity, "unreconciled"), f"nobody compares {entity.entity}: {entity.unreconciled}")


@error
def reconciliations_compare_what_is_there(told: IntegrationMap) -> Found:
    """Both sides of a reconciliation are known, and what is compared is a field."""
    for entity, name, reconciliation in every_reconciliation(told):
        key = f"reconcile.{name}"
        for side in reconciliation.between:
            if side != "us" and not told.systems_named(side):
                yield Problem(at_proof(entity, f"{key}.between"), advice_on(told, side))
        rows = compared(told, entity, reconciliation)
        if reconciliation.each and (rows.parent != entity.entity or reconciliation.between[0] != "us"):
            children = joined(child.entity for child in told.children(entity.entity))
            yield Problem(
                at_proof(entity, f"{key}.each"),
                f"compares our rows of a child with what a system holds of them; write between: [us, <system or role>] and "
                f"name one of {children or 'its children, of which it has none'}",
            )
        for field in reconciliation.fields:
            if field not in rows.fields:
                yield Problem(at_proof(entity, f"{key}.fields"), no_field(rows, field))


@provisional
def reconciled_sides_can_be_read(told: IntegrationMap) -> Found:
    """Each side gives a snapshot of the entity in which every compared field is spelled."""
    for entity, name, reconciliation in every_reconciliation(told):
        for side in reconciliation.between:
            systems = told.systems_named(side)
            rows = compared(told, entity, reconciliation)
            seen = list(_snapshots(systems, rows))
            if systems and not seen:
                yield Problem(
                    at_proof(entity, f"reconcile.{name}.between"),
                    f"{side} gives no snapshot of {rows.entity}; add arrives.snapshot to a stream in {files_of(systems)}",
                )
            for field in reconciliation.fields if seen else []:
                if field in rows.fields and not any(field in says.fields for says in seen):
                    yield Problem(
                        at_proof(entity, f"reconcile.{name}.fields.{field}"),
                        f"no snapshot of {side} spells {field!r}; spell it in {files_of(systems)}, or do not compare it",
                    )


def _snapshots(systems: list[System], entity: Entity) -> Iterator[Says]:
    for system in systems:
        for stream in system.streams.values():
            if entity.entity in stream.says and (stream.arrives.snapshot or stream.complete):
                yield from stream.says[entity.entity].parts()


@provisional
def reconciliations_wait_for_promises(told: IntegrationMap) -> Found:
    """A reconciliation gives a delivery the time that its flow was promised before it calls it wrong."""
    for entity, name, reconciliation in every_reconciliation(told):
        for flow_name, flow in entity.flows.items():
            sides = {side for system in told.destinations(entity, flow) for side in (system.system, system.role)}
            if sides & set(reconciliation.between) and (reconciliation.within or 0) < flow.max_lag:
                yield Problem(
                    at_proof(entity, f"reconcile.{name}.within"),
                    f"calls a difference wrong before {flow_name} had its {spelled(flow.max_lag)}; write within: "
                    f"{spelled(flow.max_lag)} or more",
                )


@error
def business_proofs_are_written(told: IntegrationMap) -> Found:
    """A business proof has a model of its name, which the step of its entity builds and which answers what is asked of each."""
    for entity, name, _ in every_business_proof(told):
        place = at_entity(told, entity, f"proofs.{name}")
        path = PROOFS / f"{name}.sql"
        if name in entity.reconcile:
            yield Problem(
                place, "a reconciliation has this name already, and the two would share their check; rename one"
            )
        if not path.exists():
            yield Problem(place, f"there is no model of this name; write dbt_project/models/reconciliation/{name}.sql")
            continue
        sql = path.read_text(encoding="utf-8")
        if f'tags=["reconcile_{entity.entity}"' not in sql:
            yield Problem(place, f'no step builds the model; write tags=["reconcile_{entity.entity}"] into its config')
        missing = [column for column in ANSWERS if not re.search(rf"\b{column}\b", sql)]
        if missing:
            yield Problem(place, f"the model does not answer {joined(missing)}; select these columns, too")


@error
def what_is_done_by_hand_can_be_done(told: IntegrationMap) -> Found:
    """What a person is told to do names the record by {key} and nothing else, and a decision that the map allows."""
    for entity, name, reconciliation in every_reconciliation(told):
        for kind, sentence in reconciliation.by_hand.items():
            place = at_proof(entity, f"reconcile.{name}.by_hand.{kind}")
            for other in sorted(set(re.findall(r"\{(\w*)\}", sentence)) - {"key"}):
                yield Problem(place, f"{{{other}}} is filled in by nobody; write {{key}} for the record's number")
            for decided, field, value in re.findall(r"concord decide (\S+) \{key\} (\S+) (\S+)", sentence):
                advice = _cannot_be_decided(entity, decided, field, value)
                if advice:
                    yield Problem(place, advice)


def _cannot_be_decided(entity: Entity, decided: str, field: str, value: str) -> str | None:
    """Why this decision would be refused, with the fix; None when it would not."""
    if decided != entity.entity:
        return f"decides about {decided}, and the difference is one of {entity.entity}; write concord decide {entity.entity}"
    if field not in entity.fields:
        return no_field(entity, field)
    ladder = entity.fields[field].ladder
    if ladder and value not in ladder:
        return f"{field} can be no {value!r}; write one of {joined(ladder)}"
    return None
