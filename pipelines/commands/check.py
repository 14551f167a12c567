"""Holds the map against the lint rules, and says of each flow whether it is firm or provisional, and why."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.map_lint import Report, lint
from pipelines.map_schema import MAP_DIR, IntegrationMap, load_map, spelled
from pipelines.screen import console_for_tables

COLOURS = {"error": "red", "provisional": "yellow", "hint": "cyan"}


@click.command("check")
@click.option("--json", "as_json", is_flag=True, help="Print findings and verdicts as JSON.")
@click.option(
    "--map", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=MAP_DIR, show_default=True
)
def command(as_json: bool, folder: Path) -> None:
    """Lint the map. Ends with 1 when it has errors."""
    told = load_map(folder)
    report = lint(told)
    if as_json:
        click.echo(as_text(told, report))
    else:
        show(told, report)
    sys.exit(1 if report.has_errors else 0)


def as_text(told: IntegrationMap, report: Report) -> str:
    """Findings and verdicts as JSON."""
    return json.dumps(
        {
            "findings": [
                {"rule": one.rule, "severity": one.severity, "file": one.place.file, "key": one.place.key,
                 "says": one.says, "flows": sorted(one.place.flows)}
                for one in report.findings
            ],
            "flows": [asdict(verdict) | {"is_firm": verdict.is_firm} for verdict in report.verdicts],
        },
        indent=2,
        ensure_ascii=False,
    )  # fmt: skip


def show(told: IntegrationMap, report: Report) -> None:
    """Findings, one line each, and the table of verdicts."""
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
