"""What the type of a field comes to in DuckDB: its column, how its text is cast, what is not of it, and as what it travels."""

from pipelines.compiler.sql import listed
from pipelines.language.schema import Entity, EntityField

DUCKDB_TYPES = {
    "text": "varchar", "money": "decimal(38, 10)", "unit_price": "decimal(38, 10)", "number": "decimal(38, 10)",
    "rate": "decimal(38, 10)", "quantity": "bigint", "integer": "bigint", "timestamp": "timestamptz", "date": "date",
    "boolean": "boolean", "currency": "varchar", "country": "varchar", "postcode": "varchar", "email": "varchar",
    "phone": "varchar", "gtin": "varchar", "tracking_number": "varchar",
}  # fmt: skip

CASTS = {
    "text": "{0}", "money": "as_decimal({0})", "unit_price": "as_decimal({0})", "number": "as_decimal({0})",
    "rate": "as_decimal({0})", "quantity": "as_whole({0})", "integer": "as_whole({0})",
    "timestamp": "as_instant({0}, zone)", "date": "try_cast({0} as date)", "boolean": "as_boolean({0})",
    "currency": "upper({0})", "country": "upper({0})", "postcode": "upper({0})", "email": "lower({0})", "phone": "{0}",
    "gtin": "{0}", "tracking_number": "{0}",
}  # fmt: skip

NOT_OF_ITS_TYPE = {
    "money": ("{0} is null", "is not an amount of money"),
    "unit_price": ("{0} is null", "is not a price with at most 10 decimals"),
    "number": ("{0} is null", "is not a number"),
    "rate": ("{0} is null", "is not a rate"),
    "quantity": ("{0} is null", "is not a whole quantity"),
    "integer": ("{0} is null", "is not a whole number"),
    "timestamp": ("{0} is null", "is not a time"),
    "date": ("{0} is null", "is not a date"),
    "boolean": ("{0} is null", "is neither true nor false"),
    "currency": ("currency_units is null", "is no ISO 4217 currency"),
    "country": ("not is_country({0})", "is no ISO 3166 country"),
    "email": ("not is_email({0})", "is no e-mail address"),
    "gtin": ("not is_gtin({0})", "is no GTIN: its length or its check digit is wrong"),
}


def sql_type(field: EntityField) -> str:
    """The type of the field's column."""
    return "varchar" if field.ladder else DUCKDB_TYPES[str(field.type)]


def cast(field: EntityField, told: str) -> str:
    """What was told, as the field's type; null where it is not of it."""
    return told if field.ladder else CASTS[str(field.type)].format(told)


def travelling(field: EntityField, column: str) -> str:
    """The column as it travels: money and quantities as text, times in UTC."""
    if field.type in ("money", "unit_price", "number", "rate"):
        return f"as_travelling({column})"
    if field.type in ("quantity", "integer", "boolean"):
        return f"cast({column} as varchar)"
    if field.type == "timestamp":
        return f"strftime({column}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    return column


def not_of_its_type(entity: Entity, name: str) -> tuple[str, str] | None:
    """(condition, reason) under which a told value is not of the field's type."""
    field = entity.fields[name]
    if field.ladder:
        return f"{name} not in ({listed(field.ladder)})", "is no status that the map knows"
    if field.type == "postcode" and "country" in entity.fields:
        return f"not fits_country({name}, country)", "is no postcode of its country"
    if field.type == "phone":
        country = "country" if "country" in entity.fields else "null"
        return f"not is_phone({name}, {country})", "is no telephone number"
    if field.type == "tracking_number":
        carrier = "carrier" if "carrier" in entity.fields else "null"
        return f"not is_tracking_number({name}, {carrier})", "has a wrong check digit"
    if field.type == "currency" and name != entity.currency:
        return f"minor_units({name}) is null", NOT_OF_ITS_TYPE["currency"][1]
    found = NOT_OF_ITS_TYPE.get(str(field.type))
    return (found[0].format(name), found[1]) if found else None
