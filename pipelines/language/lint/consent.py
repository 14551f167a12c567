"""Rules on what hangs on another record, and on what a withdrawal wins."""

from pipelines.language.lint.rule import Found, Problem, error
from pipelines.language.queries import at_entity, at_field, at_system, every_field, every_stream, joined, perhaps
from pipelines.language.schema import IntegrationMap


@error
def what_hangs_on_a_record_is_spelled_for_each(told: IntegrationMap) -> Found:
    """An entity `of` another names one that is there, lists what there is `each` of, and is spelled so."""
    for entity in told.entities.values():
        if bool(entity.of) != bool(entity.each):
            yield Problem(
                at_entity(told, entity, "of"),
                "`of` and `each` belong together; write of: customers and each: [email, sms]",
            )
        elif entity.of and entity.of not in told.entities:
            yield Problem(
                at_entity(told, entity, "of"),
                f"there is no entity {entity.of!r}{perhaps(entity.of, told.entities)}; mend it",
            )
    for system, stream_name, stream in every_stream(told):
        for name, says in stream.says.items():
            known = told.entities[name].each if name in told.entities else []
            strangers = sorted(set(says.each) - set(known))
            if strangers or (known and not says.each):
                yield Problem(
                    at_system(told, system, f"streams.{stream_name}.says.{name}.each", name),
                    f"spells each of {joined(strangers) or 'nothing'}; {name} have {joined(known) or 'none'}, so write "
                    "each: {" + (known[0] if known else "...") + ": {fields: ...}}, or mend `each` of the entity",
                )


@error
def only_withdrawals_are_lifted(told: IntegrationMap) -> Found:
    """`lifted_by` belongs to a status that a withdrawal wins, and `follows` names such a one."""
    for entity, name, field in every_field(told):
        if field.lifted_by and field.resolve != "withdrawn_wins":
            yield Problem(
                at_field(told, entity, name, "lifted_by"),
                f"{name!r} knows no withdrawal that could be lifted; delete it, or write resolve: withdrawn_wins",
            )
        leader = entity.fields.get(field.follows or "")
        if field.follows and (leader is None or leader.resolve != "withdrawn_wins"):
            yield Problem(
                at_field(told, entity, name, "follows"),
                f"{field.follows!r} is no status that a withdrawal wins{perhaps(field.follows, entity.fields)}; name that one, "
                "or delete the line",
            )
