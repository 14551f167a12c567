"""Lets go what the flood brake parked in a flow, once a person has looked at what changed."""

import click

from pipelines.language.schema import load_map
from pipelines.operations import actions
from resources.host import settings
from resources.store import outbox
from resources.store.store import Store


@click.command("release")
@click.argument("flow")
def command(flow: str) -> None:
    """Send what a flood parked in FLOW: the newest version of each record."""
    actions.outbound(load_map(), flow)
    freed = outbox.release(Store(url=settings.database_url()), flow)
    click.echo(
        f"{freed} deliveries of {flow} are on their way" if freed else f"no flood waits in {flow}; nothing was changed"
    )
