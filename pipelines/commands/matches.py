"""Lists the records that may be others, for a person to say whether they are."""

from datetime import UTC, datetime

import click
import duckdb
from rich.console import Console
from rich.markup import escape

from pipelines.language.schema import load_map
from pipelines.stages.matching import doubts
from resources.host import settings
from resources.lake import lake


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
    with lake.reading(settings.database_url(), settings.lake()) as db:
        for name in names:
            try:
                found = doubts(db, name)
            except duckdb.CatalogException:
                continue  # it was never settled
            count += len(found)
            for doubt in found:
                age = str(datetime.now(UTC) - doubt.since).partition(".")[0]
                console.print(f"{escape(doubt.sentence)} [dim]for {age}[/]\n  {escape(doubt.next_steps)}")
    console.print(f"{count} are in doubt" if count else "nobody is in doubt")
