"""Rules on what is sold at which price: every buyer has lists, one after the other, and no country two of one currency."""

from collections.abc import Iterator

import iso4217

from pipelines.language import expressions
from pipelines.language.iso import countries_known
from pipelines.language.lint.rule import Found, Problem, error
from pipelines.language.queries import Place, at_entity, joined, no_field, perhaps
from pipelines.language.schema import Entity, IntegrationMap, SoldBy

PRICE = ("price_list", "sku", "from_quantity", "amount", "currency", "includes_tax", "valid_from", "valid_to")
COUNTRIES = frozenset(countries_known())
CURRENCIES = {currency.code for currency in iso4217.Currency}


def _every_sold_by(told: IntegrationMap) -> Iterator[tuple[Entity, SoldBy]]:
    for entity in told.entities.values():
        if entity.sold_by:
            yield entity, entity.sold_by


def _sale_of(told: IntegrationMap, sold: SoldBy) -> Entity | None:
    lines = told.entities.get(sold.lines)
    return told.entities.get(lines.parent or "") if lines else None


@error
def what_is_sold_is_there(told: IntegrationMap) -> Found:
    """The lines that are sold, who buys them, and every field that a price or a sale needs for it, are in the map."""
    for entity, sold in _every_sold_by(told):
        missing = [name for name in PRICE if name not in entity.fields]
        if missing:
            yield Problem(
                at_entity(told, entity, "sold_by"),
                f"a price of {entity.entity} lacks {joined(missing)}; add these fields",
            )
        sale, buyers = _sale_of(told, sold), told.entities.get(sold.buyer.entity)
        if sale is None:
            children = [one.entity for one in told.entities.values() if one.parent]
            yield Problem(
                at_entity(told, entity, "sold_by.lines"),
                f"{sold.lines!r} are no lines of anything{perhaps(sold.lines, children)}; name one of {joined(children)}",
            )
            continue
        if buyers is None or not buyers.says_who:
            matched = [one.entity for one in told.entities.values() if one.match]
            yield Problem(
                at_entity(told, entity, "sold_by.buyer.entity"),
                f"of {sold.buyer.entity!r} nobody knows by which number a channel knows them; name one that is matched: {joined(matched)}",
            )
        named = {"buyer.number": sold.buyer.number, "at": sold.at, "country": sold.country, "currency": sold.currency}
        named |= {"shown_in": sold.shown_in} if sold.shown_in else {}
        for key, name in named.items():
            if name not in sale.fields:
                yield Problem(at_entity(told, entity, f"sold_by.{key}"), no_field(sale, name))


@error
def lists_are_named_or_found(told: IntegrationMap) -> Found:
    """A rule names a list or finds it, reads what is there, and the list of all is asked last."""
    for entity, sold in _every_sold_by(told):
        for position, (name, one) in enumerate(sold.lists.items(), start=1):
            place = at_entity(told, entity, f"sold_by.lists.{name}")
            if (one.list_ is None) == (not one.has):
                yield Problem(
                    place, "a rule either names its list or finds it by what its prices say; write `list` or `has`"
                )
            for field in one.has:
                if field not in {*entity.fields, "origin_system"}:
                    yield Problem(place, no_field(entity, field))
            for text in one.texts:
                yield from _unreadable(told, sold, place, text)
            for_all = one.list_ is not None and expressions.read(one.list_).is_closed and not _asks(one.list_)
            if for_all and position < len(sold.lists):
                later = list(sold.lists)[position:]
                yield Problem(
                    place,
                    f"is everybody's list, so that {joined(later)} would be asked for what it lacks alone; put it last",
                )
            if position == len(sold.lists) and not for_all:
                yield Problem(
                    place,
                    "is the last and not everybody's, so that some buyers have no list; add a last rule such as "
                    "everybody: {list: \"'BASE'\"}",
                )


def _asks(text: str) -> bool:
    """Whether the expression reads anything of the sale or its buyer."""
    read = expressions.read(text)
    return bool(read.names or read.others)


def _unreadable(told: IntegrationMap, sold: SoldBy, place: Place, text: str) -> Found:
    read, sale, buyers = expressions.read(text), _sale_of(told, sold), told.entities.get(sold.buyer.entity)
    if read.problem:
        yield Problem(place, f"DuckDB cannot read `{text}`: {read.problem}; mend the expression")
    if read.problem or sale is None or buyers is None or not buyers.says_who:
        return  # which another rule says
    known = {one.entity: one for one in (sale, buyers)}
    for bare in sorted(read.names - {*known, "market"}):
        use = joined([*(f"{one}.<field>" for one in known), "market"])
        yield Problem(place, f"`{text}` reads {bare!r}, which is not there; use {use}")
    for of, field in sorted(read.others):
        if of in known and field not in {*known[of].fields, "origin_system"}:
            yield Problem(place, no_field(known[of], field))
    if "market" in read.names and not sold.markets:
        yield Problem(place, f"`{text}` asks for a market, and there is none; add `markets`")


@error
def a_country_has_one_market(told: IntegrationMap) -> Found:
    """Markets name real countries and currencies, no two of them the same ones, and some rule asks for them."""
    for entity, sold in _every_sold_by(told):
        taken: dict[tuple[str, str], str] = {}
        for name, market in sold.markets.items():
            place = at_entity(told, entity, f"sold_by.markets.{name}")
            if market.currency not in CURRENCIES:
                yield Problem(place, f"{market.currency!r} is no ISO 4217 currency; write its code of three letters")
            for country in market.countries:
                if country not in COUNTRIES:
                    yield Problem(place, f"{country!r} is no ISO 3166 country; write its code of two letters, as in GB")
                other = taken.setdefault((country, market.currency), name)
                if other != name:
                    yield Problem(
                        place,
                        f"{country} in {market.currency} is a country of {other}, too, and nobody knows which list counts; "
                        "take it out of one of them",
                    )
        if sold.markets and not any(
            "market" in expressions.read(t).names for one in sold.lists.values() for t in one.texts
        ):
            yield Problem(
                at_entity(told, entity, "sold_by.markets"),
                "no rule asks for a market; add one such as market: {list: market}, or delete the markets",
            )
