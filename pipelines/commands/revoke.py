"""Takes a person's decision back, so that the word of the field's owner counts again."""

import getpass

import click

from pipelines.language.schema import load_map
from pipelines.operations import actions
from resources.host import settings
from resources.store.store import Store


@click.command("revoke")
@click.argument("entity")
@click.argument("key")
@click.argument("field")
@click.option("--by", default=getpass.getuser, show_default="you", help="Who revokes; it stands in the ledger.")
def command(entity: str, key: str, field: str, by: str) -> None:
    """Revoke the decision about FIELD of the record KEY."""
    store = Store(url=settings.database_url())
    value = actions.revoke(store, load_map(), entity=entity, key=key, field=field, by_whom=by)
    click.echo(
        f"{field} of {entity} {key} is no longer {value!r} by decision; from the next sync on its owner's word counts"
    )
