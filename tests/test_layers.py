"""Imports point one way. Every import of every file is read, also those inside functions."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("pipelines/**/*.py"), *ROOT.glob("resources/**/*.py")])

# What stands below the middle row, and what above it, from below to above. Every other file of pipelines/ is of the
# middle row: it may import what is below, and none of its neighbours.
BELOW = [
    [
        "pipelines.map_schema",
        "pipelines.expressions",
        "pipelines.asset_keys",
        "pipelines.compiler.sql",
        "pipelines.language.iso",
        "pipelines.runtime.tags",
        "pipelines.commands.terminal",
    ],
    ["pipelines.connectors", "pipelines.map_places", "pipelines.library", "pipelines.reads"],
    ["pipelines.spelling", "pipelines.language.ownership"],
    [
        "pipelines.field_types",
        "pipelines.neighbours",
        "pipelines.proofs",
        "pipelines.identity",
        "pipelines.conflicts",
        "pipelines.sheet",
        "pipelines.selling",
        "pipelines.sums",
        "pipelines.postal_form",
        "pipelines.tellers",
        "pipelines.uniqueness",
        "pipelines.limits",
        "pipelines.withdrawals",
        "pipelines.write_guard",
    ],
    ["pipelines.promises", "pipelines.differences", "pipelines.routes"],
    ["pipelines.facts", "pipelines.iso_words", "pipelines.form_words"],
    ["pipelines.descriptions"],
    ["pipelines.codegen"],
]
ABOVE = [
    ["pipelines.outcomes", "pipelines.pictures"],
    ["pipelines.steps"],
    ["pipelines.jobs", "pipelines.map_asset", "pipelines.decisions"],
    ["pipelines.definitions"],
    ["pipelines.programs"],
    ["pipelines.commands"],
]
NEIGHBOURS = {  # those that are several files
    "pipelines.map_lint": ("pipelines.map_lint", "pipelines.rules"),
    "pipelines.checks": ("pipelines.checks",),
}
LAZY = {
    "pipelines.commands": "a verb's file is loaded when the verb is called",
    "pipelines.connectors": "the map names a connector by its dotted path",
    "resources.words": "the libraries that judge forms are large, and most syncs need none of them",
    "pipelines.warm": "the warm process imports what a run needs before it forks the first; its callers do not",
}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def imports_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, module) of every import of ours; `from pipelines import codegen` means the module pipelines.codegen."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import; write the whole path"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield node.lineno, whole if whole in MODULES else str(node.module)


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def unit(module: str) -> str:
    """Files of one unit may import each other: the lint's, the checks', and otherwise only a file itself."""
    return next((name for name, files in NEIGHBOURS.items() if any(is_in(module, one) for one in files)), module)


def row(module: str) -> int:
    """How high a module of pipelines/ stands; the middle row is 0."""
    for height, names in enumerate(reversed(BELOW), 1):
        if module in names:
            return -height
    return next((height for height, names in enumerate(ABOVE, 1) if any(is_in(module, name) for name in names)), 0)


def wrong(module: str, imported: str) -> str | None:
    """Why this import may not be, or None."""
    if is_in(imported, "tests"):
        return "nothing imports the tests"
    if is_in(imported, "resources.sandbox") and not is_in(module, "resources.sandbox"):
        return "the sandbox is the outside world: only tests and its own files import it"
    if is_in(imported, "pipelines") and is_in(module, "resources"):
        return "resources/ sits below pipelines/ and does not know it"
    if is_in(imported, "pipelines") and imported != "pipelines":
        if unit(module) == unit(imported) or row(imported) < row(module):
            return None
        return "neighbours do not import each other" if row(imported) == row(module) else "imports point downwards"
    return None


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str):
    found = [(line, imported, wrong(module, imported)) for line, imported in imports_of(MODULES[module])]
    assert [f"line {line}: {imported}: {why}" for line, imported, why in found if why] == []


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_imported_inside_a_function(module: str):
    functions = [n for n in ast.walk(MODULES[module]) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = [node for function in functions for node in ast.walk(function)]
    imports = [node.lineno for node in inside if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imports == [], "an import inside a function hides a circle; move it to the top"
    by_name = [
        node.lineno
        for node in inside
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("importlib.import_module", "import_module", "__import__")
    ]
    assert by_name == [] or module in LAZY, f"only {', '.join(LAZY)} load a module by its name"


def test_no_imports_run_in_a_circle():
    graph = {
        module: {imported for _, imported in imports_of(tree) if imported in MODULES and imported != module}
        for module, tree in MODULES.items()
    }
    while leaves := {module for module, imported in graph.items() if not imported}:
        graph = {module: imported - leaves for module, imported in graph.items() if module not in leaves}
    assert graph == {}


def test_the_rules_of_the_layers_can_fail():
    assert wrong("resources.store", "pipelines.map_schema") == "resources/ sits below pipelines/ and does not know it"
    assert wrong("pipelines.sensors", "pipelines.arrivals") == "neighbours do not import each other"
    assert wrong("pipelines.map_schema", "pipelines.rules.rule") == "imports point downwards"
    assert wrong("pipelines.arrivals", "pipelines.definitions") == "imports point downwards"
    assert wrong("pipelines.commands.run", "pipelines.commands.check") == "neighbours do not import each other"
    assert wrong("pipelines.commands.run", "resources.sandbox.shopify")
    assert wrong("resources.files", "tests.map_draft")
    assert wrong("pipelines.models", "pipelines.codegen") is None
    assert wrong("pipelines.rules.flows", "pipelines.rules.paces") is None
    assert wrong("pipelines.definitions", "pipelines.models") is None
