"""What a DuckDB expression of the map says, read from DuckDB's own parse: its names, functions, words and slips."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import duckdb

from resources.lake.macros import teach

ARROWS = {"->", "->>"}


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression. Where `problem` is set, DuckDB cannot read it, and nothing else is known."""

    problem: str | None = None
    names: frozenset[str] = frozenset()  # columns that it reads
    others: frozenset[tuple[str, str]] = frozenset()  # (table, column) of what is named by both
    functions: frozenset[str] = frozenset()
    slips: tuple[str, ...] = ()  # reads as something else than what was meant
    words: frozenset[str] = frozenset()  # constant texts that it may answer
    is_closed: bool = False  # it answers nothing but these words
    demands: frozenset[tuple[str, bool, str]] = frozenset()  # (column, whether it is the text, text): all must hold
    shape: str = "…"  # what its answers look like to a person, with the names of what is read


@cache
def read(text: str) -> Expression:
    """Read one expression. Nothing is executed."""
    ((answer,),) = duckdb.execute("select json_serialize_sql(?)", [f"select {text}"]).fetchall()
    told = json.loads(answer)
    if told["error"]:
        return Expression(problem=told["error_message"])
    node = told["statements"][0]["node"]
    if len(told["statements"]) != 1 or node["type"] != "SELECT_NODE" or node["from_table"]["type"] != "EMPTY":
        return Expression(problem="it is more than an expression")
    if '"BASE_TABLE"' in answer:
        return Expression(problem="it reads a table")
    if len(node["select_list"]) != 1:
        return Expression(problem="it holds a comma outside parentheses")
    top = node["select_list"][0]
    words, is_closed = _words(top)
    return Expression(
        names=frozenset(_names(top)),
        others=frozenset(
            (part["column_names"][0], part["column_names"][1])
            for part in _parts(top)
            if part["class"] == "COLUMN_REF" and len(part["column_names"]) > 1
        ),
        functions=frozenset(
            part["function_name"] for part in _parts(top) if part["class"] == "FUNCTION" and not part["is_operator"]
        ),
        slips=tuple(_slips(top)),
        words=words,
        is_closed=is_closed,
        demands=frozenset(_demands(top)),
        shape=_shape(top),
    )


@cache
def known_functions() -> frozenset[str]:
    """Every function that generated SQL may call: DuckDB's own, and the words of our macros."""
    with duckdb.connect() as db:
        teach(db)
        return frozenset(
            row[0] for row in db.execute("select distinct function_name from duckdb_functions()").fetchall()
        )


def _parts(node: Any) -> Iterator[dict[str, Any]]:
    """Every part of the parsed expression, itself first."""
    if isinstance(node, list):
        for one in node:
            yield from _parts(one)
    elif isinstance(node, dict):
        if "class" in node:
            yield node
        for one in node.values():
            yield from _parts(one)


def _is_path(node: dict[str, Any]) -> bool:
    """Whether a DuckDB "lambda" is really JSON's arrow: `payload -> '$.lines'`."""
    return node["class"] == "LAMBDA" and node["expr"]["class"] == "CONSTANT"


def _names(node: dict[str, Any]) -> Iterator[str]:
    """The columns that are read; a lambda's own parameters are not columns, a query's own cannot be told apart."""
    if any(part["class"] == "SUBQUERY" for part in _parts(node)):
        return
    own = {
        name
        for part in _parts(node)
        if part["class"] == "LAMBDA" and not _is_path(part)
        for name in _columns(part["lhs"])
    }
    yield from (name for name in _columns(node) if name not in own)


def _columns(node: dict[str, Any]) -> Iterator[str]:
    yield from (part["column_names"][0] for part in _parts(node) if part["class"] == "COLUMN_REF")


def _slips(node: dict[str, Any]) -> Iterator[str]:
    """An arrow binds as other operators do, from the left: what stands before it may be more than was meant."""
    for part in _parts(node):
        if part["class"] == "FUNCTION" and part["function_name"] in ARROWS:
            before = part["children"][0]
        elif _is_path(part):
            before = part["lhs"]
        else:
            continue
        if before["class"] == "FUNCTION" and before["is_operator"] and before["function_name"] not in ARROWS:
            yield f"what stands before the arrow begins at {before['function_name']}"


def _words(node: dict[str, Any]) -> tuple[frozenset[str], bool]:
    """The constant texts among the answers, and whether there are no others."""
    if node["class"] == "CONSTANT":
        return frozenset() if node["value"]["is_null"] else frozenset([str(node["value"]["value"])]), True
    if node["class"] == "CASE":
        answers = [check["then_expr"] for check in node["case_checks"]] + [node["else_expr"]]
    elif node["type"] == "OPERATOR_COALESCE":
        answers = node["children"]
    else:
        return frozenset(), False
    told = [_words(answer) for answer in answers]
    return frozenset().union(*(words for words, _ in told)), all(is_closed for _, is_closed in told)


def _demands(node: dict[str, Any]) -> Iterator[tuple[str, bool, str]]:
    """What the expression compares with constant texts, as far as all of it must hold."""
    if node["type"] == "CONJUNCTION_AND":
        for child in node["children"]:
            yield from _demands(child)
    elif node["type"] in ("COMPARE_EQUAL", "COMPARE_NOTEQUAL") and node["right"]["class"] == "CONSTANT":
        for column in _columns(node["left"]) if node["left"]["class"] == "COLUMN_REF" else ():
            yield column, node["type"] == "COMPARE_EQUAL", str(node["right"]["value"]["value"])


def _shape(node: dict[str, Any]) -> str:
    """Constants as they are, and what is read from a message by its last name there; what is computed, by what it reads."""
    match node["class"]:
        case "CONSTANT":
            return "" if node["value"]["is_null"] else str(node["value"]["value"])
        case "COLUMN_REF":
            return f"‹{node['column_names'][-1]}›"
        case "LAMBDA" if _is_path(node):
            return _place(node["expr"])
        case "FUNCTION" if node["function_name"] in ARROWS:
            return _place(node["children"][1])
        case "FUNCTION" if node["function_name"] == "||":
            return "".join(_shape(child) for child in node["children"])
        case "CASE":
            inside = [check["then_expr"] for check in node["case_checks"]] + [node["else_expr"]]
        case _:
            inside = node.get("children") or [node[key] for key in ("child",) if key in node]
    return next((shape for child in inside if "‹" in (shape := _shape(child))), "…")


def _place(path: dict[str, Any]) -> str:
    """The last name of a JSON path: id for $.order.id."""
    names = re.findall(r"\w+", str(path.get("value", {}).get("value", "")).replace("[0]", ""))
    return f"‹{names[-1]}›" if names else "…"
