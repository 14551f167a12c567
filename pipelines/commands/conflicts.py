"""Lists the conflicts that wait for a person: two words on one field, with who answers and since when."""

import json
from dataclasses import asdict

import click
from rich.console import Console
from rich.markup import escape

from pipelines.compiler.entity import Facts
from pipelines.language.schema import load_map
from pipelines.stages.conflicts import Conflict, conflicts_that_wait
from resources.host import settings
from resources.lake.records import asking, columns_of
from resources.store.store import Store


@click.command("conflicts")
@click.argument("entity", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@click.option("--steward", help="Only those of this person or team.")
def command(entity: str | None, as_json: bool, steward: str | None) -> None:
    """List the conflicts about ENTITY, or about all, that wait for a decision, oldest first."""
    told = load_map()
    known = [root for root in told.roots if Facts(told, root).has_conflicts]
    asked = [root for root in known if entity in (None, root.entity)]
    if not asked:
        raise click.UsageError(
            f"there are no conflicts about {entity!r}; there may be about {', '.join(root.entity for root in known)}"
        )
    found: list[Conflict] = []
    store = Store(url=settings.database_url())
    standing = [
        root for root in asked if columns_of(store, f"{root.entity}_conflicts")
    ]  # the others were never settled
    with asking(store) as db:
        for root in standing:
            found += conflicts_that_wait(db, root)
    found = sorted((one for one in found if steward in (None, one.steward)), key=lambda one: one.since)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=2, ensure_ascii=False, default=str))
        return
    console = Console(soft_wrap=True, highlight=False)
    for one in found:
        console.print(
            f"[red]{one.entity}[/] {escape(one.sentence)} [bold]{escape(one.steward)}[/]\n  {escape(one.next_steps)}"
        )
    count = "1 conflict waits" if len(found) == 1 else f"{len(found)} conflicts wait"
    console.print(f"{count} for a decision" if found else "no conflict waits for a decision")
