"""The words of the warehouse's SQL: our DuckDB macros, and for whoever reads without dbt one spelling per `resolve`."""

from functools import cache
from pathlib import Path

import duckdb
from jinja2 import Environment

PROJECT = Path(__file__).parents[1] / "dbt_project"


@cache
def _words() -> str:
    return "\n".join((PROJECT / "words" / name).read_text(encoding="utf-8") for name in ("words.sql", "iso.sql"))


@cache
def _macros() -> str:
    return (PROJECT / "macros/resolve.sql").read_text(encoding="utf-8")


def spell(text: str) -> str:
    """SQL in which calls such as `{{ latest("total", owner="...") }}` are spelled out, as dbt spells them."""
    jinja = Environment()  # noqa: S701  (it writes SQL, not HTML)
    return jinja.from_string(_macros() + text).render(ref=str).strip()  # a model's table bears its name


def teach(connection: duckdb.DuckDBPyConnection) -> None:
    """Create our DuckDB macros in the memory of this connection's database; whoever speaks them has it in the search path."""
    connection.execute(_words())
