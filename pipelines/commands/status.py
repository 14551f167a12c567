"""Shows once how every flow does: received, applied, quarantined, pending, parked, and its lag against the promise."""

import json
from dataclasses import asdict

import click

from pipelines.commands.terminal import console_for_tables
from pipelines.language.schema import load_map
from pipelines.operations.flow_status import FlowFigures, table_of
from resources.host import settings
from resources.store.store import Store


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(as_json: bool) -> None:
    """Show every flow in numbers."""
    figures = FlowFigures(Store(url=settings.database_url()), load_map()).look()
    if as_json:
        click.echo(json.dumps([asdict(one) | {"is_late": one.is_late} for one in figures], indent=2))
        return
    console_for_tables().print(table_of(figures))
    late = [f"{one.flow} breaks its promise ({one.steward})" for one in figures if one.is_late]
    parked = [f"{one.parked} deliveries of {one.flow} are parked ({one.steward})" for one in figures if one.parked]
    for sentence in [*late, *parked]:
        click.echo(f"{sentence}; `concord alerts` says why")
