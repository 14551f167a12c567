"""Lists the records that may be others, for a person to say whether they are."""

from datetime import UTC, datetime

import click
from rich.console import Console
from rich.markup import escape

from pipelines.language.schema import load_map
from pipelines.stages.matching import doubts
from resources.host import settings
from resources.lake.records import asking, columns_of
from resources.store.store import Store


@click.command("matches")
@click.argument("entity", required=False)
def command(entity: str | None) -> None:
    """List which records of ENTITY, or of all, may be one, oldest first."""
    told = load_map()
    names = [root.entity for root in told.roots if root.match and entity in (None, root.entity)]
    if not names:
        matched = ", ".join(root.entity for root in told.roots if root.match) or "none"
        raise click.UsageError(f"the map matches no entity {entity!r}; it matches {matched}")
    console = Console(soft_wrap=True, highlight=False)
    count = 0
    store = Store(url=settings.database_url())
    standing = [name for name in names if columns_of(store, f"{name}_matches")]  # the others were never settled
    with asking(store) as db:
        for name in standing:
            found = doubts(db, name)
            count += len(found)
            for doubt in found:
                age = str(datetime.now(UTC) - doubt.since).partition(".")[0]
                console.print(f"{escape(doubt.sentence)} [dim]for {age}[/]\n  {escape(doubt.next_steps)}")
    console.print(f"{count} are in doubt" if count else "nobody is in doubt")
