"""What the template of buyers asks about `sold_by`: which price lists the buyer of a sale has, the first first."""

from dataclasses import dataclass
from functools import cached_property

from pipelines.compiler.sql import quoted
from pipelines.language import expressions
from pipelines.language.schema import Entity, IntegrationMap, SoldBy


@dataclass(frozen=True)
class Selling:
    """The price lists of buyers, as their template sees them."""

    the_map: IntegrationMap
    entity: Entity
    told: SoldBy

    @property
    def sales(self) -> Entity:
        """The entity whose lines are sold at these prices."""
        return self.the_map.entities[self.the_map.entities[self.told.lines].parent or ""]

    @property
    def buyers(self) -> Entity:
        return self.the_map.entities[self.told.buyer.entity]

    @property
    def readers(self) -> list[str]:
        """The entities that are computed from these prices."""
        return [one.entity for one in self.the_map.entities.values() if self.entity.entity in one.reads]

    def _read(self, of: str) -> list[str]:
        texts = [text for one in self.told.lists.values() for text in one.texts]
        read = {field for text in texts for entity, field in expressions.read(text).others if entity == of}
        return sorted(read)

    @cached_property
    def fields_of_sale(self) -> list[str]:
        """What the rules read of the sale."""
        return self._read(self.sales.entity)

    @cached_property
    def fields_of_buyer(self) -> list[str]:
        """What the rules read of the buyer."""
        return self._read(self.buyers.entity)

    @cached_property
    def names_of_prices(self) -> list[str]:
        """The fields of prices by which a list is found."""
        return sorted({name for one in self.told.lists.values() for name in one.has})

    @property
    def markets(self) -> str:
        """A row for each country of each market: (price list, country, currency)."""
        rows = [
            f"({quoted(name)}, {quoted(country)}, {quoted(market.currency)})"
            for name, market in self.told.markets.items()
            for country in market.countries
        ]
        return ", ".join(rows or ["(cast(null as varchar), cast(null as varchar), cast(null as varchar))"])
