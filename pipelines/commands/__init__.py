"""The `concord` command: every verb is one file in this folder that holds a click command named `command`; what verbs share
stands in the files that `SHARED` names."""

import ast
import errno
import importlib
import pkgutil
from pathlib import Path
from typing import Any

import click
from dotenv import load_dotenv

from resources.host.settings import ROOT
from resources.store.troubles import sentence_of

# Exceptions whose message is a sentence for a person, with the exit code: 1 what was looked at is wrong, 2 the command
# could not do its work. By name, so that a verb never loads what only another one needs.
FOR_PEOPLE = {
    "pipelines.commands.run.CannotRun": 2,
    "pipelines.language.connectors.MissingSetting": 2,
    "pipelines.language.schema.MapProblem": 1,
    "pipelines.operations.actions.Unacceptable": 1,
    "pipelines.operations.trace.Ambiguous": 1,
    "pipelines.operations.trace.NotFound": 1,
    "pipelines.operations.whatif.NoReplacement": 1,
    "pipelines.operations.worksheet.Unreadable": 1,
    "pipelines.orchestration.asset_specs.NoModels": 1,
    "pipelines.stages.prove.SnapshotIncomplete": 2,
    "pipelines.stages.batch.BuildFailed": 1,
    "resources.connectors.connector.BadMessage": 1,
    "resources.connectors.connector.BadSignature": 1,
    "resources.connectors.connector.Unreachable": 2,
    "resources.host.embedded_postgres.ServerProblem": 2,
    "resources.host.settings.BadSetting": 2,
    "resources.host.state.StateProblem": 2,
    "resources.lake.lake.LakeProblem": 2,
    "resources.store.migrate.CannotMigrate": 2,
}
SHARED = {"terminal"}


class Told(click.ClickException):
    """One sentence for a person, and the exit code."""

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.exit_code = code  # type: ignore[misc]  # click declares it for the class alone


class Verbs(click.Group):
    """A group that imports a verb's file when the verb is called, and not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = {module.name for module in pkgutil.iter_modules(__path__)} - SHARED
        return sorted(name.replace("_", "-") for name in names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of verbs, from the first lines of their files: `concord --help` must not load Dagster."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, _first_line(verb)) for verb in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as problem:
            if ctx.params["debug"]:
                raise
            sentence, code = _for_a_person(problem)
            raise Told(sentence, code) from problem


def _first_line(verb: str) -> str:
    path = Path(__path__[0]) / f"{verb.replace('-', '_')}.py"
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def _for_a_person(problem: Exception) -> tuple[str, int]:
    """The sentence and the exit code of a problem; a fault of ours says how to see where it is."""
    if told := sentence_of(problem):
        return told, 2
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(problem).__mro__}
    for kind in kinds & FOR_PEOPLE.keys():
        return str(problem) or str(type(problem).__doc__), FOR_PEOPLE[kind]  # the docstring, as a last resort
    if isinstance(problem, OSError) and problem.errno == errno.EADDRINUSE:
        return f"a port is in use ({problem}); stop what listens there, or set another CONCORD_<NAME>_PORT", 2
    reason = " ".join(str(problem).split())[:300]
    fault = f"this should not happen: {type(problem).__name__}: {reason}"
    return f"{fault}. It is a fault of Concord: `concord --debug ...` shows where; tell whoever maintains it", 2


@click.group(cls=Verbs, name="concord", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show where a problem came from, with its whole trace.")
def main(debug: bool) -> None:
    """Keeps every commerce system of a merchant in agreement, and proves it daily."""
    load_dotenv(ROOT / ".env")  # what is set in the environment wins
