"""What the README and .env.example say is so: every command, target and variable that they name exists, and the reverse."""

import ast
import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from pipelines.commands import main
from pipelines.language.schema import load_map
from resources.host.settings import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
OURS = re.compile(r"\bCONCORD_[A-Z_]+[A-Z]\b|\bDAGSTER_HOME\b")
INTERNAL = {
    "CONCORD_KEPT_BY": "the mark on the processes that `concord run` started",
    "CONCORD_DATABASE_DSN": "CONCORD_DATABASE_URL, in the words that DuckDB reads",
    "CONCORD_DATABASE_PASSWORD": "the password of CONCORD_DATABASE_URL, which is not among those words",
}
FOUND_ELSEWHERE = {"git", "make"}  # programs that a fenced command may call beside ours


def verbs() -> set[str]:
    """The verbs of `concord` that exist."""
    assert isinstance(main, click.Group)
    return set(main.list_commands(click.Context(main)))


def targets() -> set[str]:
    """The targets of the Makefile that exist."""
    declared = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert declared
    return set(declared[1].split())


def fenced() -> list[str]:
    """The commands in the README's fenced shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [line.partition("#")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def test_every_command_of_the_readme_exists():
    named = set(re.findall(r"\bconcord ([a-z]+(?:-[a-z]+)*)\b", "\n".join(re.findall(r"`[^`\n]+`", README))))
    assert named - verbs() == set()


def test_every_command_stands_in_the_readme():
    assert [verb for verb in sorted(verbs()) if f"concord {verb}" not in README] == []


def test_every_make_target_of_the_readme_exists():
    named = set(re.findall(r"\bmake ([a-z]+)\b", "\n".join(re.findall(r"`[^`\n]+`", README) + fenced())))
    assert named - targets() == set()


def test_every_make_target_stands_in_the_readme():
    assert [target for target in sorted(targets() - {"help"}) if f"make {target}" not in README] == []


def test_every_make_target_has_a_rule_and_a_line_of_help():
    rules = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    told = set(re.findall(r'^\t@echo "make ([a-z]+) ', MAKEFILE, re.MULTILINE))
    assert targets() == rules
    assert targets() - {"help"} == told


def test_what_our_sentences_tell_people_to_type_exists():
    files = [path for path in (ROOT / "pipelines").rglob("*.*") if path.suffix in (".py", ".sql", ".yml", ".yaml")]
    texts = {path: path.read_text(encoding="utf-8") for path in [*files, *(ROOT / "resources").rglob("*.py")]}
    wrong = [
        (path.name, program, word)
        for path, text in texts.items()
        for program, word in re.findall(r"`(?:\.venv/bin/)?(concord|make) ([a-z][a-z-]*)", text)
        if word not in (verbs() if program == "concord" else targets())
    ]
    assert wrong == []


@pytest.mark.parametrize("line", fenced())
def test_fenced_commands_are_known(line: str):
    program, *arguments = shlex.split(line)
    if program == "make":
        assert arguments
        assert arguments[0] in targets()
    elif Path(program).name == "concord":
        assert arguments
        assert arguments[0] in verbs()
    else:
        assert program in FOUND_ELSEWHERE


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_every_command_explains_itself_and_its_options(verb: str):
    assert isinstance(main, click.Group)
    command = main.get_command(click.Context(main), verb)
    assert command
    assert command.help
    assert [option.name for option in command.params if isinstance(option, click.Option) and not option.help] in (
        [],
        ["folder"],  # --map of `check`, whose default explains it
    )


def test_every_variable_that_the_code_reads_stands_in_the_example():
    read = {name for path in sources() for name in OURS.findall(code_of(path))}
    read |= {f"CONCORD_{name}_PORT" for path in sources() for name in ports_in(path)}
    missing = {name for name in read - INTERNAL.keys() if not re.search(rf"^# ?{name}=", EXAMPLE, re.MULTILINE)}
    assert missing == set()


def test_every_variable_that_the_map_asks_for_stands_in_the_example():
    asked = {source.env for system in load_map().systems.values() for source in system.settings.values()}
    assert {name for name in asked if not re.search(rf"^# ?{name}=", EXAMPLE, re.MULTILINE)} == set()


def test_every_variable_of_the_example_is_read_somewhere():
    declared = set(re.findall(r"^# ?([A-Z][A-Z_]+)=", EXAMPLE, re.MULTILINE))
    texts = "\n".join(code_of(path) for path in sources())
    ports = {f"CONCORD_{name}_PORT" for path in sources() for name in ports_in(path)}
    asked = {source.env for system in load_map().systems.values() for source in system.settings.values()}
    assert {name for name in declared - ports - asked if name not in texts} == set()


def test_the_example_sets_nothing_and_holds_no_secret():
    assert [line for line in EXAMPLE.splitlines() if line.strip() and not line.startswith("#")] == []
    assert re.findall(r"^# ?\w*(?:TOKEN|SECRETS?|PASSWORD)=(.+)$", EXAMPLE, re.MULTILINE) == []


def test_the_ci_command_is_the_test_command_of_the_readme():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    called = re.findall(r"^exec (.+)$", script, re.MULTILINE)
    assert called == ["make test"]
    assert "make test" in fenced()


def test_the_default_ports_are_the_same_everywhere():
    told: dict[str, set[int]] = {}
    for path in sources():
        for name, port in defaults_in(path):
            told.setdefault(name, set()).add(port)
    for name, port in re.findall(r"^# ?CONCORD_([A-Z]+)_PORT=(\d+)$", EXAMPLE, re.MULTILINE):
        told.setdefault(name, set()).add(int(port))
    assert {name: ports for name, ports in told.items() if len(ports) > 1} == {}


def sources() -> list[Path]:
    """Every file of the project that may read a variable, the tests included."""
    found = [path for folder in ("pipelines", "resources", "tests") for path in (ROOT / folder).rglob("*.py")]
    found += [ROOT / "dagster.yaml", ROOT / "dbt_project/profiles.yml", ROOT / ".ci/run"]
    return [path for path in found if path.name != Path(__file__).name]


def code_of(path: Path) -> str:
    """What the file does, without its docstrings and comments where it is Python."""
    text = path.read_text(encoding="utf-8")
    if path.suffix in (".yaml", ".yml"):
        return str(yaml.safe_load(text)) if "{{" not in text else text
    if path.suffix != ".py":
        return text
    tree = ast.parse(text)
    return "\n".join(
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        and OURS.fullmatch(node.value)
    )  # fmt: skip


def defaults_in(path: Path) -> list[tuple[str, int]]:
    """(name, default) of every port that the file asks for."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(r'\bport\("([A-Z]+)", (\d[\d_]+)\)', text)
    found += re.findall(r'\baddress\("([A-Z]+)", (\d[\d_]+),', text)
    return [(name, int(port)) for name, port in found]


def ports_in(path: Path) -> set[str]:
    return {name for name, _ in defaults_in(path)}
