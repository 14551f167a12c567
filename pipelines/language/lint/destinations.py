"""Rules on what systems take, how they keep it, and who answers for all of it."""

import re

from pipelines.language.lint.rule import Found, Problem, error, hint
from pipelines.language.queries import (
    at_entity,
    at_flow,
    at_system,
    every_business_proof,
    every_flow,
    every_reconciliation,
    joined,
    outbound,
)
from pipelines.language.schema import IntegrationMap


@error
def taken_fields_have_a_normaliser(told: IntegrationMap) -> Found:
    """A system says how it keeps each field that it takes; without that, its own spelling looks like a foreign write."""
    for system in told.systems.values():
        for entity, fields in system.takes.items():
            missing = [field for field in fields if field not in system.stores.get(entity, {})]
            if missing and entity in told.entities:
                yield Problem(
                    at_system(told, system, f"stores.{entity}", entity),
                    f"nothing says how it keeps {joined(missing)}; add `{missing[0]}: value` where it keeps a field as "
                    "it is, or an expression such as upper(value)",
                )


@hint
def normalisers_are_used(told: IntegrationMap) -> Found:
    """A normaliser belongs to a field that the system takes."""
    for system in told.systems.values():
        for entity, fields in system.stores.items():
            for field in sorted(set(fields) - set(system.takes.get(entity, []))):
                yield Problem(
                    at_system(told, system, f"stores.{entity}.{field}", entity),
                    f"is never used, because {system.system} does not take {field!r}; delete it, or add it to takes",
                )


@hint
def taken_fields_are_sent(told: IntegrationMap) -> Found:
    """What a system takes is sent to it by some flow."""
    for system in told.systems.values():
        for name, fields in system.takes.items():
            if name not in told.entities:
                continue
            entity = told.entities[name]
            sent = {
                f
                for flow in entity.flows.values()
                if flow.to and system in told.destinations(entity, flow)
                for f in flow.fields
            }
            for parent, _, flow in outbound(told):
                if name in flow.with_ and system in told.destinations(parent, flow):
                    sent |= entity.fields.keys()
            unsent = [field for field in fields if field in entity.fields and field not in sent]
            if unsent:
                yield Problem(
                    at_system(told, system, f"takes.{name}", name),
                    f"no flow sends {joined(unsent)} to {system.system}; add a flow that does, or take it out",
                )


@error
def stewards_can_be_asked(told: IntegrationMap) -> Found:
    """Every system, flow, rule and reconciliation has a steward: a team or a person."""
    for system in told.systems.values():
        if advice := _nobody(system.steward):
            yield Problem(at_system(told, system, "steward"), advice)
    for entity, name, flow in every_flow(told):
        if advice := _nobody(flow.steward):
            yield Problem(at_flow(entity, name, "steward"), advice)
    for entity, name, reconciliation in every_reconciliation(told):
        if advice := _nobody(reconciliation.steward):
            yield Problem(at_entity(told, entity, f"reconcile.{name}.steward"), advice)
    for entity, name, proof in every_business_proof(told):
        if advice := _nobody(proof.steward):
            yield Problem(at_entity(told, entity, f"proofs.{name}.steward"), advice)
    for entity in told.entities.values():
        for name, figure in entity.figures.items():
            if advice := _nobody(figure.steward):
                yield Problem(at_entity(told, entity, f"figures.{name}.steward"), advice)
        for name, rule in entity.rules.items():
            if rule.steward is not None and (advice := _nobody(rule.steward)):
                yield Problem(at_entity(told, entity, f"rules.{name}.steward"), advice)


def _nobody(steward: str) -> str | None:
    if re.fullmatch(r"team:[\w.-]+|[^@\s]+@[^@\s]+\.[^@\s]+", steward):
        return None
    said = f"{steward!r} is nobody who can be asked" if steward.strip() else "has no steward"
    return f"{said}; write team:<name> or an e-mail address"
