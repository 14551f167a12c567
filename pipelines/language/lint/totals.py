"""Rules on sums: what is added up is there, and is an amount."""

from collections.abc import Iterator

from pipelines.language.lint.rule import Found, Problem, error
from pipelines.language.queries import at_entity, joined, no_field, perhaps
from pipelines.language.schema import Entity, IntegrationMap

AMOUNTS = ("money",)
PRICES = ("money", "unit_price")
COUNTS = ("quantity", "integer", "number")


@error
def sums_add_up_what_is_there(told: IntegrationMap) -> Found:
    """Everything that a sum names is a field of its kind: amounts of the record, and of its lines."""
    for entity in told.entities.values():
        if entity.adds_up is None:
            continue
        lines = told.entities.get(entity.adds_up.lines.entity)
        if lines is None or lines.parent != entity.entity:
            children = [child.entity for child in told.children(entity.entity)]
            name = entity.adds_up.lines.entity
            yield Problem(
                at_entity(told, entity, "adds_up.lines.entity"),
                f"{name!r} is no child of {entity.entity}{perhaps(name, children)}; name one of {joined(children) or '(it has none)'}",
            )
        for key, kept, field, types in _named(entity, lines):
            if field not in kept.fields:
                yield Problem(at_entity(told, entity, f"adds_up.{key}"), no_field(kept, field))
            elif kept.fields[field].type not in types:
                yield Problem(
                    at_entity(told, entity, f"adds_up.{key}"),
                    f"{field!r} is of type {kept.fields[field].type}, and a {' or a '.join(types)} is needed here; "
                    "name another field, or change its type",
                )


def _named(entity: Entity, lines: Entity | None) -> Iterator[tuple[str, Entity, str, tuple[str, ...]]]:
    """(place, entity, field, types that it may have) of every field that the sum names."""
    told = entity.adds_up
    assert told
    yield "total", entity, told.total, AMOUNTS
    yield from (("less", entity, name, AMOUNTS) for name in told.less)
    yield from (("plus", entity, name, AMOUNTS) for name in told.plus)
    if told.tax:
        yield "tax.field", entity, told.tax.field, AMOUNTS
        if isinstance(told.tax.included, str):
            yield "tax.included", entity, told.tax.included, ("boolean",)
        yield from (("tax.rates", entity, name, ("rate",)) for name in told.tax.rates.values())
    if lines is None:
        return
    yield "lines.quantity", lines, told.lines.quantity, COUNTS
    yield "lines.price", lines, told.lines.price, PRICES
    if told.lines.discount:
        yield "lines.discount", lines, told.lines.discount, PRICES
    if told.lines.tax_rate:
        yield "lines.tax_rate", lines, told.lines.tax_rate, ("rate",)


@error
def taxed_amounts_are_added(told: IntegrationMap) -> Found:
    """A rate of tax belongs to an amount that is added."""
    for entity in told.entities.values():
        if entity.adds_up is None or entity.adds_up.tax is None:
            continue
        for name in entity.adds_up.tax.rates:
            if name not in entity.adds_up.plus:
                yield Problem(
                    at_entity(told, entity, "adds_up.tax.rates"),
                    f"{name!r} is not added, so no tax of it is; add it to plus, or delete its rate",
                )
