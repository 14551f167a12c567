"""Carries what is due to one destination in this process, as its run in Dagster does, and says what came of it."""

import sys
import uuid

import click

from pipelines.language.connectors import connector_for
from pipelines.language.schema import load_map
from pipelines.stages import deliver
from resources.host import settings
from resources.store.store import Store


@click.command("deliver")
@click.argument("system")
def command(system: str) -> None:
    """Deliver what is due to SYSTEM. Ends with 1 when something was parked or the system could not be reached."""
    the_map, store = load_map(), Store(url=settings.database_url())
    takers = sorted({to.system for entity, flow in the_map.flows.values() for to in the_map.destinations(entity, flow)})
    if system not in takers:
        raise click.UsageError(f"nothing is delivered to {system!r}; the map delivers to {', '.join(takers)}")
    connector = connector_for(the_map.systems[system])
    run_id = f"concord-deliver-{uuid.uuid4()}"
    report = deliver.deliver(store, the_map, system, connector, run_id=run_id)
    click.echo(report.sentence())
    for parked in report.parked[1:]:
        click.echo(parked.sentence)
    sys.exit(0 if report.is_clean else 1)
