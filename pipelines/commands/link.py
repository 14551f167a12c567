"""Records that a system's record is one of ours, where no machine could tell."""

import getpass

import click

from pipelines.language.schema import load_map
from pipelines.operations import actions
from resources.host import settings
from resources.store.store import Store


@click.command("link")
@click.argument("entity")
@click.argument("system")
@click.argument("remote_id")
@click.argument("key")
@click.option("--by", default=getpass.getuser, show_default="you", help="Who says so; it stands in the ledger.")
def command(entity: str, system: str, remote_id: str, key: str, by: str) -> None:
    """Let REMOTE_ID of SYSTEM be the record KEY."""
    store = Store(url=settings.database_url())
    actions.link(store, load_map(), entity=entity, system=system, remote_id=remote_id, key=key, by_whom=by)
    click.echo(f"{system} {remote_id} is {entity} {key} from the next sync on")
