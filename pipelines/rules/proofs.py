"""Rules on proof: what leaves is compared with what arrived, by somebody, in time."""

from collections.abc import Iterator

from pipelines.map_places import (
    advice_on,
    at_flow,
    at_proof,
    every_reconciliation,
    files_of,
    no_field,
    outbound,
    speaks_of,
    takers,
)
from pipelines.map_schema import Entity, IntegrationMap, Says, System, spelled
from pipelines.rules.rule import Found, Problem, error, hint, provisional


@provisional
def entities_are_reconciled(told: IntegrationMap) -> Found:
    """Every entity that two systems hold is compared between them, or says why nobody can.

    Children are compared with their parent. An entity that leaves for nowhere and that one system alone tells (or each
    location's own system) has no second side to be compared with.
    """
    for entity in told.entities.values():
        if entity.parent or entity.reconcile or entity.unreconciled or not _has_two_sides(told, entity):
            continue
        yield Problem(
            at_proof(entity, "reconcile"),
            f"nobody proves that the systems agree on {entity.entity}; add a reconciliation, or say under "
            "`unreconciled` why there can be none",
        )


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
        for system in takers(told, entity, flow):
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
        for field in reconciliation.fields:
            if field not in entity.fields:
                yield Problem(at_proof(entity, f"{key}.fields"), no_field(entity, field))


@provisional
def reconciled_sides_can_be_read(told: IntegrationMap) -> Found:
    """Each side gives a snapshot of the entity in which every compared field is spelled."""
    for entity, name, reconciliation in every_reconciliation(told):
        for side in reconciliation.between:
            systems = told.systems_named(side)
            seen = list(_snapshots(systems, entity))
            if systems and not seen:
                yield Problem(
                    at_proof(entity, f"reconcile.{name}.between"),
                    f"{side} gives no snapshot of {entity.entity}; add arrives.snapshot to a stream in {files_of(systems)}",
                )
            for field in reconciliation.fields if seen else []:
                if field in entity.fields and not any(field in says.fields for says in seen):
                    yield Problem(
                        at_proof(entity, f"reconcile.{name}.fields.{field}"),
                        f"no snapshot of {side} spells {field!r}; spell it in {files_of(systems)}, or do not compare it",
                    )


def _snapshots(systems: list[System], entity: Entity) -> Iterator[Says]:
    for system in systems:
        for stream in system.streams.values():
            if entity.entity in stream.says and (stream.arrives.snapshot or stream.complete):
                yield stream.says[entity.entity]


@provisional
def reconciliations_wait_for_promises(told: IntegrationMap) -> Found:
    """A reconciliation gives a delivery the time that its flow was promised before it calls it wrong."""
    for entity, name, reconciliation in every_reconciliation(told):
        for flow_name, flow in entity.flows.items():
            sides = {side for system in takers(told, entity, flow) for side in (system.system, system.role)}
            if sides & set(reconciliation.between) and (reconciliation.within or 0) < flow.max_lag:
                yield Problem(
                    at_proof(entity, f"reconcile.{name}.within"),
                    f"calls a difference wrong before {flow_name} had its {spelled(flow.max_lag)}; write within: "
                    f"{spelled(flow.max_lag)} or more",
                )
