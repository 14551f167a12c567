"""The words of the warehouse's SQL, for whoever reads it without dbt: our DuckDB macros, and one spelling per `resolve`."""

from functools import cache
from pathlib import Path

import duckdb
from jinja2 import Environment

MACROS = Path(__file__).parents[1] / "dbt_project" / "macros"


@cache
def _macros() -> str:
    names = ("words.sql", "generated/iso.sql", "resolve.sql", "links.sql")
    return "\n".join((MACROS / name).read_text(encoding="utf-8") for name in names)


def spell(text: str) -> str:
    """SQL in which calls such as `{{ latest("total", owner="...") }}` are spelled out, as dbt spells them."""
    jinja = Environment(extensions=["jinja2.ext.do"])  # noqa: S701  (it writes SQL, not HTML)
    return jinja.from_string(_macros() + text).render(ref=str).strip()  # a model's table bears its name


def teach(connection: duckdb.DuckDBPyConnection) -> None:
    """Create our DuckDB macros in the memory of this connection, where every query of it finds them."""
    connection.execute("set search_path = 'lake.main,memory.main'")  # the words are spelled in one another's terms
    connection.execute(spell("{{ words() }}{{ iso_words() }}"))
