"""Lists what the replacement of a system touches: flows, fields, ids, words, checks, tests, proofs, files and stewards."""

import json
import re
from dataclasses import asdict, dataclass
from typing import Any

import click
import sqlalchemy as sa
import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.commands.terminal import console_for_tables
from pipelines.compiler import generate
from pipelines.language.library import LIBRARY, load_library, with_systems
from pipelines.language.lint.report import lint
from pipelines.language.queries import perhaps, root_of
from pipelines.language.schema import IntegrationMap, System, load_map
from pipelines.operations.whatif import FieldTouched, Replacement, pair, replaced, touched
from pipelines.orchestration.checks.all import Checks
from pipelines.orchestration.checks.dbt_tests import read_dbt_tests
from resources.host import settings
from resources.host.settings import ROOT
from resources.store.store import Store

PAGE = 100  # columns where nobody sits at a terminal: what is read on paper and in a ticket
NOT_COUNTED = "not counted, for no database answers; start it with `concord run` and ask again"


@dataclass(frozen=True)
class Around:
    """What a replacement touches beside the map itself."""

    checks: dict[str, list[str]]  # asset: its checks
    dbt_tests: dict[str, list[str]]  # model: its tests
    stories: dict[str, str]  # file: what it tells
    tests: dict[str, int]  # file: how often it names the system
    code: dict[str, int]
    rewritten: list[str]  # generated files
    links: dict[str, int] | None  # entity: records known by its ids; None where no database answers
    under_way: dict[str, int] | None  # flow and status: deliveries that it has not applied
    lacks: list[str]  # what the lint would find


@click.command("whatif")
@click.option("--replace", "names", metavar="SYSTEM=NEW", required=True, help="Which system, and what takes its place.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(names: str, as_json: bool) -> None:
    """Tell what the replacement of a system touches, and what NEW must still say. Changes nothing."""
    told, library = load_map(), load_library()
    found = touched(told, *pair(names), library)
    around = look_around(told, found, library)
    if as_json:
        click.echo(json.dumps(asdict(found) | asdict(around), indent=2, ensure_ascii=False))
    else:
        show(told, found, around)


# -- beside the map ------------------------------------------------------------------------------------------------------


def look_around(told: IntegrationMap, found: Replacement, library: dict[str, System]) -> Around:
    """Everything that names the system or rests on it, and is not the map."""
    ready = [library[found.new]] if found.new_is_ready_made else []
    after = replaced(with_systems(told, ready), found.system, found.new)
    name = re.compile(rf"\b{found.system}\b", re.IGNORECASE)
    literal = re.compile(rf"[\"']{found.system}[\"']")
    before = {str(finding) for finding in lint(told).findings}
    links, under_way = _in_the_database(found)
    return Around(
        checks=_checks(told, found),
        dbt_tests=_dbt_tests(told, found),
        stories=_stories(found, name),
        tests=_mentions(["tests/*.py"], name),
        code=_mentions(["pipelines/**/*.py", "resources/**/*.py", "dbt_project/models/[!g]*/*.sql"], literal),
        rewritten=_rewritten(told, found),
        links=links,
        under_way=under_way,
        lacks=[str(finding) for finding in lint(after).findings if str(finding) not in before],
    )


def _roots(told: IntegrationMap, found: Replacement) -> list[str]:
    return list(dict.fromkeys(root_of(told, entity) for entity in found.entities if entity in told.entities))


def _checks(told: IntegrationMap, found: Replacement) -> dict[str, list[str]]:
    """The asset checks that judge what it tells, takes and holds."""
    checks, proofs = Checks(told, read_dbt_tests()), {proof.proof for proof in found.proofs}
    roots = _roots(told, found)
    theirs = {test.name for root in roots for test in checks.scheduled.tests_of(root)}
    specs = [
        *(spec for root in roots for spec in checks.settling.specs(root)),
        *checks.delivering.specs(found.system),
        *(spec for root in roots for spec in checks.reconciling.specs(root) if spec.name in proofs),
        *(
            spec
            for root in roots
            for spec in checks.scheduled.specs(root)
            if spec.name not in theirs and spec.asset_key.path[0] == found.system
        ),
        *(
            spec
            for spec in checks.drift.specs()
            if spec.asset_key.path[0] == found.system or spec.name == f"{found.system}_is_known"
        ),
    ]
    listed: dict[str, list[str]] = {}
    for spec in specs:
        listed.setdefault(spec.asset_key.to_user_string(), []).append(spec.name)
    return listed


def _dbt_tests(told: IntegrationMap, found: Replacement) -> dict[str, list[str]]:
    checks = Checks(told, read_dbt_tests())
    listed: dict[str, list[str]] = {}
    for root in _roots(told, found):
        for test in checks.scheduled.tests_of(root):
            listed.setdefault(test.model, []).append(f"{test.column} {test.kind}")
    return listed


def _stories(found: Replacement, name: re.Pattern[str]) -> dict[str, str]:
    listed = {}
    for path in sorted((ROOT / "tests/stories").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        story = yaml.safe_load(text)
        if found.system in story.get("systems", []) or name.search(text):
            listed[f"tests/stories/{path.name}"] = str(story.get("title", path.stem))
    return listed


def _mentions(patterns: list[str], name: re.Pattern[str]) -> dict[str, int]:
    counts = {
        str(path.relative_to(ROOT)): len(name.findall(path.read_text(encoding="utf-8")))
        for pattern in patterns
        for path in sorted(ROOT.glob(pattern))
    }
    return {path: count for path, count in counts.items() if count}


def _rewritten(told: IntegrationMap, found: Replacement) -> list[str]:
    """The generated files in which something else would stand, whatever takes its place."""
    was, will = generate.generate(told), generate.generate(replaced(told, found.system, f"{found.system}_successor"))
    return sorted(f"dbt_project/{path}" for path in was | will if was.get(path) != will.get(path))


def _in_the_database(found: Replacement) -> tuple[dict[str, int] | None, dict[str, int] | None]:
    store = Store(url=settings.database_url())
    try:
        links = {row["entity"]: row["records"] for row in store.rows("links_of_system", system=found.system)}
        rows = store.rows("deliveries_not_applied", system=found.system)
    except (sa.exc.OperationalError, sa.exc.ProgrammingError):  # none that answers, or one that was never prepared
        return None, None
    return links, {f"{row['flow']}, {row['status']}": row["deliveries"] for row in rows}


# -- for a person --------------------------------------------------------------------------------------------------------


def show(told: IntegrationMap, found: Replacement, around: Around) -> None:
    """Everything as tables, and the steps in which it is done."""
    console = console_for_tables(PAGE)
    known = f"the map knows it as {found.new_role}" if found.new_is_known else "the map does not know it yet"
    if found.new_is_ready_made:
        known = f"it stands ready-made in map/{LIBRARY}, as {found.new_role}"
    console.print(
        f"[bold]{found.system}[/] ({found.role}, {escape(found.steward)}) replaced by [bold]{found.new}[/]: {known}"
        f"{escape(perhaps(found.new, told.systems)) if not found.new_is_known else ''}. Nothing is changed.",
        highlight=False,
    )
    _table(console, "Flows", ["flow", "way", "promise", "steward"], [
        [f"{flow.flow}\n[dim]{escape(flow.path)}[/]", f"{flow.direction}\n[dim]as {flow.end}[/]",
         f"{flow.promise}\n[dim]tier {flow.tier}, {flow.mode}[/]", escape(flow.steward)]
        for flow in found.flows
    ])  # fmt: skip
    _show_fields(console, found)
    _table(console, "Streams", ["stream", "arrives", "speaks of", f"{found.new} has"], [
        [stream.stream, escape(stream.arrives), _speaks(stream.speaks_of, stream.begins),
         escape("\n".join(stream.new_streams)) or "[yellow]nothing[/]"]
        for stream in found.streams
    ])  # fmt: skip
    _table(console, "Status words, to be mapped again", ["in", f"{found.system} says", f"{found.new} says"], [
        [f"{words.stream}\n[dim]{words.entity}.{words.field}[/]", escape(_mapped(words.words)),
         escape(_mapped(words.new_words)) or f"[yellow]to be said[/]\n[dim]ours: {', '.join(words.ladder)}[/]"]
        for words in found.words
    ])  # fmt: skip
    _table(console, "Records known by its ids", ["entity", "records"], _counted(around.links), _none(around.links))
    _table(
        console,
        "Deliveries that it has not applied",
        ["flow, status", "deliveries"],
        _counted(around.under_way),
        _none(around.under_way),
    )
    _table(console, "Proofs that compare it", ["proof", "compares", "steward"], [
        [f"{proof.proof}\n[dim]{' = '.join(proof.between)}, {proof.every}[/]",
         f"{proof.entity}: {', '.join(proof.fields) or 'that it is there'}", escape(proof.steward)]
        for proof in found.proofs
    ])  # fmt: skip
    _table(console, "Asset checks", ["asset", "checks"], _listed(around.checks))
    _table(console, "dbt tests of the models that it fills", ["model", "tests"], _listed(around.dbt_tests))
    _table(console, "Stories that speak of it", ["story", "tells"], [[escape(path), escape(title)] for path, title in around.stories.items()])  # fmt: skip
    _table(console, "Tests and code that name it", ["file", "times"], [[path, str(count)] for path, count in {**around.tests, **around.code}.items()])  # fmt: skip
    _table(console, "Generated files that would change", ["file"], [[path] for path in around.rewritten])
    _table(console, "Stewards to be told", ["steward", "because it"], [
        [escape(steward), escape("\n".join(reasons))] for steward, reasons in found.stewards.items()
    ])  # fmt: skip
    if around.lacks:
        _table(console, "What `concord check` would then say", ["finding"], [[escape(line)] for line in around.lacks])
    console.print("\n[bold]What must be done[/]", highlight=False)
    todo = Table.grid(padding=(0, 1))
    for number, step in enumerate(steps(found, around), start=1):
        todo.add_row(f"{number:>2}.", escape(step))
    console.print(todo)


def _table(console: Console, title: str, columns: list[str], rows: list[list[str]], none: str = "none") -> None:
    console.print(f"\n[bold]{escape(title)}[/]" + ("" if rows else f": {none}"), highlight=False)
    if rows:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*row)
        console.print(table)


def _show_fields(console: Console, found: Replacement) -> None:
    """Entity by entity; what is said of every field alike is not repeated."""
    for entity in dict.fromkeys(field.entity for field in found.fields):
        fields = [field for field in found.fields if field.entity == entity]
        owns = sum(bool(field.owned_as) for field in fields)
        tells, takes = sum(bool(field.told_in) for field in fields), sum(field.kept_as is not None for field in fields)
        title = f"Fields of {entity}: {found.system} owns {owns}, tells {tells}, takes {takes}"
        columns = ["field", "owned as", "told in", "taken, kept as", f"{found.new} lacks"]
        _table(console, title, columns, [_row(field) for field in fields])


def _row(field: FieldTouched) -> list[str]:
    lacks = f"[yellow]{', '.join(field.missing)}[/]" if field.missing else "[green]nothing[/]"
    return [
        field.field, ", ".join(field.owned_as), ", ".join(field.told_in), escape(field.kept_as or ""), lacks,
    ]  # fmt: skip


def _speaks(entities: list[str], begins: list[str]) -> str:
    return ", ".join(f"{entity} (begin here)" if entity in begins else entity for entity in entities)


def _mapped(words: dict[str, str]) -> str:
    return ", ".join(f"{theirs} → {ours}" for theirs, ours in words.items())


def _counted(counts: dict[str, int] | None) -> list[list[str]]:
    return [[name, f"{count:,}"] for name, count in (counts or {}).items()]


def _none(counts: dict[str, int] | None) -> str:
    return NOT_COUNTED if counts is None else "none"


def _listed(found: dict[str, list[str]]) -> list[list[str]]:
    return [[escape(name), ", ".join(dict.fromkeys(words))] for name, words in found.items()]


def steps(found: Replacement, around: Around) -> list[str]:
    """The replacement as a person does it, in order; each step names its files and what to look at."""
    old, new = found.system, found.new
    told = [field for field in found.fields if "spelling" in field.missing]
    taken = [field for field in found.fields if {"taking it", "normaliser"} & set(field.missing)]
    streams = [stream.stream for stream in found.streams if stream.missing]
    words = dict.fromkeys(f"{one.entity}.{one.field}" for one in found.words if not one.new_words)
    begun = dict.fromkeys(entity for stream in found.streams for entity in stream.begins)
    flows = [flow.flow for flow in found.flows if flow.direction == "out"]
    under_way = sum((around.under_way or {}).values())
    file = f"pipelines/map/systems/{new}.yaml"
    todo: list[tuple[Any, str]] = [
        (True, f"Tell {', '.join(found.stewards)}: above stands which flows and proofs each answers for."),
        *((True, step) for step in _about_its_file(found, file)),
        (streams, f"In {file}, say streams in place of {', '.join(streams)}: each with its key, and originates where records begin."),
        (told, f"In {file}, spell the {len(told)} fields that {old} tells and {new} does not: {_by_entity(told)}."),
        (taken, f"In {file}, take {len(taken)} fields, each with the normaliser by which it is kept: {_by_entity(taken)}."),
        (words, f"In {file}, map the words of {new} to ours for {', '.join(words)}."),
        (found.locations, f"Move locations: [{', '.join(found.locations)}] from {old}'s file to {new}'s: each has one owner."),
        *(
            (True, f"In pipelines/{place}, write {new} for {old} at {', '.join(keys)}.")
            for place, keys in found.named_in.items()
        ),
        (around.code, f"Read whether what names {old} must hold for {new}, too: {', '.join(around.code)}."),
        (under_way, f"Carry, release or let go what {old} has not applied ({under_way} in all): `concord deliver {old}`."),
        (flows, f"Set mode: shadow on {', '.join(flows)}, and take takes and stores out of {old}'s file, so that it is told no more."),
        (True, f"`make write`, `make check`, `make test`: stories that play {old} need a part for {new}."),
        (True, f"Look at all that {new} holds: records are matched and none is sent twice; `concord link` where none could tell."),
        (flows, f"When the proofs above are quiet, set mode: canary on {', '.join(flows)}, then live."),
        (begun, f"Keep {old}'s file, with temporary: true, while records that began in it are needed ({', '.join(begun)})."),
        (begun, "Then delete it: the entities are built anew without its messages, which stay in the inbox."),
        (not begun, f"Delete pipelines/map/systems/{old}.yaml; what it said stays in the inbox."),
    ]  # fmt: skip
    return [step for is_needed, step in todo if is_needed]


def _about_its_file(found: Replacement, file: str) -> list[str]:
    """What the new system must be, before it tells or takes anything."""
    old, new, role = found.system, found.new, found.role
    if found.new_is_ready_made:
        move = f"git mv pipelines/map/{LIBRARY}/{new}.yaml {file}"
        return [
            f"{move}, set its steward and the environment variables that its settings name, with a line for each in .env.example."
        ]
    if found.new_is_known:
        differs = (
            f"{new} is {found.new_role}, and the map speaks of {old} as {role}: write role: {role} in {file}, or {new} "
        )
        return [] if found.new_role == role else [f"{differs}for {role} in the entities that rest on it."]
    variables = ", ".join(env.replace(old.upper(), new.upper()) for env in found.settings.values())
    beside = f"{found.connector.rpartition('.')[0].replace('.', '/')}.py"
    about = f"Write {file}: system: {new}, role: {role} (by which the map speaks of {old}), steward, time_zone, clock, limits."
    speaks = (
        "Give it a connector: resources.connectors.files.connector.Drop if it drops files, else "
        f"resources/connectors/{new}/connector.py beside {beside}"
    )
    return [
        about,
        f"{speaks}, with its settings from the environment ({variables}) and a line for each in .env.example.",
    ]


def _by_entity(fields: list[FieldTouched]) -> str:
    entities = dict.fromkeys(field.entity for field in fields)
    return "; ".join(f"{name}: {', '.join(one.field for one in fields if one.entity == name)}" for name in entities)
