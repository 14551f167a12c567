"""Tries parked deliveries again, because a person has mended what kept them."""

import getpass

import click

from resources.host import settings
from resources.store import outbox
from resources.store.store import Store


@click.command("retry")
@click.argument("delivery_ids", nargs=-1, required=True, type=int, metavar="DELIVERY_ID...")
@click.option("--by", default=getpass.getuser, show_default="you", help="Who asks; it stands among the attempts.")
def command(delivery_ids: tuple[int, ...], by: str) -> None:
    """Try these parked deliveries again. What may have arrived is looked up first."""
    store = Store(url=settings.database_url())
    known = {row["delivery_id"]: row for row in store.rows("deliveries_named", delivery_ids=list(delivery_ids))}
    not_parked = [
        f"delivery {one} is {known[one]['status'] if one in known else 'unknown to the outbox'}"
        for one in dict.fromkeys(delivery_ids)
        if one not in known or known[one]["status"] != "parked"
    ]
    if not_parked:
        raise click.ClickException(
            f"{'; '.join(not_parked)}: only parked deliveries can be tried again, and none was; "
            "`concord trace` and `concord alerts` name them"
        )
    count = outbox.requeue(store, by_whom=by, delivery_ids=delivery_ids)
    click.echo(f"{count} deliveries are tried again within seconds")
