"""The words of the warehouse's SQL: our DuckDB macros, and for whoever reads without dbt one spelling per `resolve`."""

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb
from duckdb.func import ARROW, SPECIAL
from jinja2 import Environment

PROJECT = Path(__file__).parents[2] / "dbt_project"


@cache
def _words() -> str:
    return "\n".join(
        (PROJECT / "duckdb_macros" / name).read_text(encoding="utf-8") for name in ("iso.sql", "forms.sql", "words.sql")
    )


@cache
def _macros() -> str:
    return (PROJECT / "macros/resolve.sql").read_text(encoding="utf-8")


def spell(text: str) -> str:
    """SQL in which calls such as `{{ latest("total", owner="...") }}` are spelled out, as dbt spells them."""
    jinja = Environment()  # noqa: S701  (it writes SQL, not HTML)
    return jinja.from_string(_macros() + text).render(ref=str).strip()  # a model's table bears its name


def teach(connection: duckdb.DuckDBPyConnection) -> None:
    """Create our DuckDB macros in the memory of this connection's database, unless it was taught before; whoever speaks them
    has it in the search path."""
    asked: Any
    for word, asked, texts, answer in (
        ("is_possible_phone", lambda phone, country: _judge("is_possible_phone", phone, country), 2, "BOOLEAN"),
        ("international_phone", lambda phone, country: _judge("international_phone", phone, country), 2, "VARCHAR"),
        ("is_mail_address", lambda address: _judge("is_mail_address", address), 1, "BOOLEAN"),
        ("is_area", lambda area, country: _judge("is_area", area, country), 2, "BOOLEAN"),
    ):
        try:
            connection.create_function(word, asked, ["VARCHAR"] * texts, answer, type=ARROW, null_handling=SPECIAL)
        except duckdb.CatalogException:  # it has the word
            return
    connection.execute(_words())


def _judge(word: str, *columns: Any) -> Any:
    """Loaded when the first value comes that needs it: the libraries take a tenth of a second, and most syncs meet none."""
    return import_module("resources.lake.validators").answers(word, *columns)
