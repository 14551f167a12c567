"""Holds the map against the lint rules, and says of each flow whether it is firm or provisional, and why."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.commands.terminal import console_for_tables
from pipelines.language.library import LIBRARY, load_library
from pipelines.language.lint.report import Report, lint, lint_library
from pipelines.language.schema import MAP_DIR, IntegrationMap, load_map, spelled

COLOURS = {"error": "red", "provisional": "yellow", "hint": "cyan"}


@click.command("check")
@click.option("--json", "as_json", is_flag=True, help="Print findings and verdicts as JSON.")
@click.option(
    "--map", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=MAP_DIR, show_default=True
)
def command(as_json: bool, folder: Path) -> None:
    """Lint the map and its library. Ends with 1 when it has errors."""
    told, library = load_map(folder), load_library(folder)
    report = lint(told).with_findings(lint_library(told, library))
    if as_json:
        click.echo(as_text(told, report, [*library]))
    else:
        show(told, report, [*library])
    sys.exit(1 if report.has_errors else 0)


def as_text(told: IntegrationMap, report: Report, library: list[str]) -> str:
    """Findings, verdicts and the names of ready-made systems as JSON."""
    return json.dumps(
        {
            "findings": [
                {"rule": one.rule, "severity": one.severity, "file": one.place.file, "key": one.place.key,
                 "says": one.says, "flows": sorted(one.place.flows)}
                for one in report.findings
            ],
            "flows": [asdict(verdict) | {"is_firm": verdict.is_firm} for verdict in report.verdicts],
            "library": library,
        },
        indent=2,
        ensure_ascii=False,
    )  # fmt: skip


def show(told: IntegrationMap, report: Report, library: list[str]) -> None:
    """Findings, one line each, the table of verdicts, and what is ready-made beside the map."""
    console = Console(soft_wrap=True)
    for one in report.findings:
        console.print(f"[{COLOURS[one.severity]}]{one.severity}[/] {escape(str(one))}", highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("verdict", "flow", "promise", "steward"):
        table.add_column(column, no_wrap=column != "flow")
    for verdict in report.verdicts:
        _, flow = told.flows[verdict.flow]
        said = "[green]firm[/]" if verdict.is_firm else f"[yellow]provisional[/]\n{len(verdict.why)} above"
        promise = f"{spelled(flow.max_lag)}, {flow.cron or flow.timing.replace('_', ' ')}"
        table.add_row(
            said, f"{verdict.flow}\n[dim]{escape(verdict.path)}[/]",
            f"{promise}\n[dim]tier {flow.tier}{', ' + flow.mode if flow.to else ''}[/]", escape(flow.steward),
        )  # fmt: skip
    console_for_tables().print(table)
    count = {kind: sum(one.severity == kind for one in report.findings) for kind in COLOURS}
    firm = sum(verdict.is_firm for verdict in report.verdicts)
    console.print(
        f"{len(told.systems)} systems, {len(told.entities)} entities, {len(report.verdicts)} flows, {firm} of them firm; "
        f"{count['error']} errors, {count['provisional']} provisional, {count['hint']} hints",
        highlight=False,
    )
    if library:
        console.print(
            f"ready-made and not live: {', '.join(library)}; move a file from map/{LIBRARY} to map/systems to use it",
            highlight=False,
        )
