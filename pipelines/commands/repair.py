"""Asks that records be delivered again to the side that does not own them, by hand or for all that a reconciliation found."""

import getpass

import click

from pipelines.language.schema import load_map
from pipelines.operations import actions
from pipelines.stages.prove import repair
from resources.host import settings
from resources.store.store import Store


@click.command("repair")
@click.argument("flow")
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--all-from", metavar="RECONCILIATION", help="Every record for which it suggests a repair by this flow.")
@click.option("--by", default=getpass.getuser, show_default="you", help="Who asks; it stands in the ledger.")
def command(flow: str, keys: tuple[str, ...], all_from: str | None, by: str) -> None:
    """Deliver the records KEY by FLOW again; the next sync of their entity does it."""
    the_map, store = load_map(), Store(url=settings.database_url())
    entity = actions.outbound(the_map, flow)
    if bool(keys) == bool(all_from):
        raise click.UsageError("name the keys of the records, or --all-from a reconciliation")
    asked = actions.found_by(store, the_map, flow, all_from) if all_from else list(dict.fromkeys(keys))
    if not asked:
        click.echo(f"{all_from} suggests no repair by {flow}; nothing was asked")
        return
    actions.repairable(store, the_map, flow, asked)
    count = repair(store, the_map, flow=flow, keys=asked, by_whom=by)
    click.echo(f"{count} {entity} are delivered again by {flow} when sync_{entity} runs next, within seconds")
