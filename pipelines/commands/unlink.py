"""Records that a system's record is not the one of ours that it is linked to."""

import getpass

import click

from pipelines.language.schema import load_map
from pipelines.operations import actions
from resources.host import settings
from resources.store.store import Store


@click.command("unlink")
@click.argument("entity")
@click.argument("system")
@click.argument("remote_id")
@click.option("--by", default=getpass.getuser, show_default="you", help="Who says so; it stands in the ledger.")
def command(entity: str, system: str, remote_id: str, by: str) -> None:
    """Let REMOTE_ID of SYSTEM stand for itself, whatever it is linked to or like."""
    store = Store(url=settings.database_url())
    key = actions.unlink(store, load_map(), entity=entity, system=system, remote_id=remote_id, by_whom=by)
    click.echo(f"{system} {remote_id} is no longer {entity} {key} from the next sync on")
