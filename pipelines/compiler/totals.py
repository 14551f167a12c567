"""What the template of sums asks about `adds_up`: what a record's total is made of, and what else it might have been."""

from dataclasses import dataclass

from pipelines.language.schema import AddsUp

ROUNDINGS = {"line": "rounded line by line", "order": "rounded once for the whole"}


@dataclass(frozen=True)
class Sum:
    """The sum that a record's total must come to, as its template sees it."""

    told: AddsUp

    @property
    def is_included(self) -> str:
        """Whether prices contain the tax, as an expression."""
        included = self.told.tax.included if self.told.tax else False
        return f"coalesce({included}, false)" if isinstance(included, str) else str(included).lower()

    @property
    def is_taxed(self) -> bool:
        """Whether the tax itself can be reckoned from rates."""
        return self.told.tax is not None and self.told.lines.tax_rate is not None

    @property
    def amount_of_line(self) -> str:
        """What a line adds."""
        lines = self.told.lines
        discount = f" - coalesce(cast({lines.discount} as double), 0)" if lines.discount else ""
        return f"cast({lines.quantity} as double) * cast({lines.price} as double){discount}"

    @property
    def rate_of_line(self) -> str:
        """At which rate a line is taxed."""
        return f"cast({self.told.lines.tax_rate or 'null'} as double)"

    @property
    def less(self) -> str:
        less = " + ".join(self.told.less) or "0"
        return f"({less})" if len(self.told.less) > 1 else less

    @property
    def before_tax(self) -> str:
        """What the total is, but for a tax that prices do not contain."""
        return "".join(
            ["goods", *(f" - {name}" for name in self.told.less), *(f" + {name}" for name in self.told.plus)]
        )

    @property
    def taxed(self) -> list[tuple[str, str]]:
        """(amount, rate) of what is added and taxed beside the lines."""
        return list(self.told.tax.rates.items()) if self.told.tax else []

    @property
    def also_taxed(self) -> str:
        """The list of what is taxed beside the lines, to be appended to theirs."""
        structs = ", ".join(f"struct_pack(amount := {amount}, rate := {rate})" for amount, rate in self.taxed)
        return f" || [{structs}]" if structs else ""

    @property
    def is_reckoned(self) -> str:
        """The condition under which every rate is known."""
        return " and ".join(["has_rates", *(f"({amount} = 0 or {rate} is not null)" for amount, rate in self.taxed)])

    @property
    def tax_due(self) -> str:
        """The column with the tax as its sender rounds it."""
        return f"tax_by_{self.told.tax.rounding}" if self.told.tax else "0"

    @property
    def tax(self) -> str:
        """The tax in the total: as it was told, or else as its rates make it."""
        return f"coalesce({', '.join(['tax_told', *([self.tax_due] if self.is_taxed else []), '0'])})"

    @property
    def other_taxes(self) -> list[tuple[str, str]]:
        """(tax, in which case it is right) for each other way to reckon it."""
        if not self.is_taxed or self.told.tax is None:
            return []
        other = "order" if self.told.tax.rounding == "line" else "line"
        return [
            (f"tax_by_{other}", f"the tax is {ROUNDINGS[other]}"),
            ("tax_before_discount", "the discount is taken off after the tax"),
        ]

    @property
    def other_sums(self) -> list[tuple[str, str]]:
        """(sum, in which case it is right) for each other way to add up."""
        sums = [(f"before_tax + if(is_included, 0, {tax})", case) for tax, case in self.other_taxes]
        if self.told.tax:
            sums.append(("if(is_included, due + tax, null)", "its prices do not include the tax"))
            sums.append(("if(is_included, null, before_tax)", "its prices include the tax"))
        sums += [(f"due + {name}", f"{name} is not taken off") for name in self.told.less]
        sums += [(f"due - {name}", f"{name} is not added") for name in self.told.plus]
        return sums
