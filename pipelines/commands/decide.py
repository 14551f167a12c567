"""Records that a person decided what a field is; the decision wins over every system until it is revoked."""

import getpass

import click

from pipelines.language.schema import load_map
from pipelines.operations import actions
from resources.host import settings
from resources.store.store import Store


@click.command("decide")
@click.argument("entity")
@click.argument("key")
@click.argument("field")
@click.argument("value")
@click.option("--why", required=True, help="The reason, for whoever asks later.")
@click.option("--by", default=getpass.getuser, show_default="you", help="Who decides; it stands in the ledger.")
def command(entity: str, key: str, field: str, value: str, why: str, by: str) -> None:
    """Let FIELD of the record KEY be VALUE, whatever systems say."""
    store = Store(url=settings.database_url())
    by_whom = f"{by} ({why})"
    actions.decide(store, load_map(), entity=entity, key=key, field=field, value=value, by_whom=by_whom)
    click.echo(
        f"{field} of {entity} {key} is {value!r} from the next sync on, until `concord revoke {entity} {key} {field}`"
    )
