"""Imports point one way, as the folders say. Every import of every file is read, also those inside functions."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("pipelines/**/*.py"), *ROOT.glob("resources/**/*.py")])

# The rooms, from below to above: a file imports from its own room and from those below. Two of one line do not know each
# other.
ROOMS = [
    ["resources.host"],
    ["resources.connectors"],
    ["resources.store"],
    ["resources.lake"],
    ["resources.sandbox"],
    ["pipelines.language"],
    ["pipelines.language.lint"],
    ["pipelines.compiler"],
    ["pipelines.stages", "pipelines.operations"],
    ["pipelines.runtime"],
    ["pipelines.orchestration"],
    ["pipelines.commands", "pipelines.definitions"],
]
LAZY = {
    "pipelines.commands": "a verb's file is loaded when the verb is called",
    "pipelines.language.connectors": "the map names a connector by its dotted path",
    "resources.lake.macros": "the libraries that judge forms are large, and most syncs need none of them",
    "pipelines.stages.compare": "dbt takes 100 MB, and a worker that only settles does without",
    "pipelines.runtime.warm_pool": "it imports what a run needs before it forks the first; its callers do not",
}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def imports_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, module) of every import of ours; `from pipelines.stages import settle` means pipelines.stages.settle."""
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


def room_of(module: str) -> tuple[int, str] | None:
    """How high the module's room stands, and the room: the innermost that holds it."""
    found = [(height, room) for height, row in enumerate(ROOMS) for room in row if is_in(module, room)]
    return max(found, key=lambda one: len(one[1]), default=None)


def wrong(module: str, imported: str) -> str | None:
    """Why this import may not be, or None."""
    if is_in(imported, "tests"):
        return "nothing imports the tests"
    if is_in(imported, "resources.sandbox") and not is_in(module, "resources.sandbox"):
        return "the sandbox is the outside world: only tests and its own files import it"
    mine, other = room_of(module), room_of(imported)
    if mine is None or other is None or other[0] < mine[0]:
        return None
    if mine == other:
        is_verb = mine[1] == "pipelines.commands" and imported != "pipelines.commands.terminal"
        return "a verb does not import another" if is_verb and imported != module else None
    return "neighbours do not import each other" if mine[0] == other[0] else "imports point downwards"


@pytest.mark.parametrize("module", MODULES)
def test_every_file_stands_in_a_room(module: str):
    assert room_of(module) or module in ("pipelines", "resources")


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
    assert wrong("resources.store.store", "pipelines.language.schema") == "imports point downwards"
    assert wrong("resources.connectors.http", "resources.store.store") == "imports point downwards"
    assert wrong("pipelines.language.schema", "pipelines.language.lint.rule") == "imports point downwards"
    assert wrong("pipelines.stages.arrive", "pipelines.definitions") == "imports point downwards"
    assert wrong("pipelines.stages.settle", "pipelines.operations.trace") == "neighbours do not import each other"
    assert wrong("pipelines.commands.run", "pipelines.commands.check") == "a verb does not import another"
    assert wrong("pipelines.commands.run", "resources.sandbox.shopify")
    assert wrong("resources.connectors.files.connector", "tests.map_draft")
    assert room_of("pipelines.spare") is None
    assert wrong("pipelines.commands.run", "pipelines.commands.terminal") is None
    assert wrong("pipelines.stages.settle", "pipelines.compiler.generate") is None
    assert wrong("pipelines.language.lint.flows", "pipelines.language.lint.schedules") is None
    assert wrong("pipelines.definitions", "pipelines.stages.settle") is None
