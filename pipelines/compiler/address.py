"""A postal address within a record, held against the form that its country gives it."""

from dataclasses import dataclass

from pipelines.compiler.sql import quoted
from pipelines.language.schema import PostalAddress


@dataclass(frozen=True)
class PostalForm:
    """What the templates ask about the address of a record."""

    told: PostalAddress

    @property
    def parts(self) -> dict[str, str]:
        """The parts that the record has fields for: street, city, area, postcode -> field."""
        fields = {part: getattr(self.told, part) for part in ("street", "city", "area", "postcode")}
        return {part: field for part, field in fields.items() if field}

    @property
    def faults(self) -> str:
        """The list of what is wrong with the address of a row, each reason beginning with the word address."""
        country = self.told.country
        lacking = ", ".join(
            f"if({field} is null and asks_for({country}, {quoted(part)}), {quoted(part)}, null)"
            for part, field in self.parts.items()
        )
        told = [
            f"'address: lacks ' || nullif(concat_ws(' and ', {lacking}), '') || ', which addresses in ' || {country} || ' have'"
        ]
        if area := self.told.area:
            told.append(
                f"if(is_area({area}, {country}), null, 'address: «' || {area} || '» is no state or province of ' || {country})"
            )
        return f"list_filter([{', '.join(told)}], lambda reason: reason is not null)"
