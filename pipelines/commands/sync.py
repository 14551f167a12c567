"""Settles one entity in this process, as its run in Dagster does, and says what came of it."""

import uuid

import click

from pipelines.language.schema import load_map
from pipelines.operations import actions
from pipelines.stages.sync import sync
from resources.host import settings
from resources.store.store import Store


@click.command("sync")
@click.argument("entity")
@click.option("--full", is_flag=True, help="Settle everything ever said about it again.")
def command(entity: str, full: bool) -> None:
    """Judge and settle what is new about ENTITY, and put what is wanted into the outbox."""
    the_map, store = load_map(), Store(url=settings.database_url())
    actions.entity_of(the_map, entity)
    run_id = f"concord-sync-{uuid.uuid4()}"
    settled = sync(entity, store=store, the_map=the_map, run_id=run_id, full=full, log=click.echo)
    if settled.batch is None:
        click.echo(f"nothing new was said about {entity}")
        return
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(settled.verdicts.items())) or "no message"
    born = f"; {settled.enqueued.born} versions were born" if settled.enqueued else ""
    click.echo(f"{entity}: {verdicts}{born}; {settled.seconds:.1f} s")
