"""Lists what arrived that the map does not know: fields, writers, topics, files and streams, with who answers."""

import json

import click
from rich.console import Console
from rich.markup import escape

from resources.host import settings
from resources.store.findings import sentence_of
from resources.store.store import Store


@click.command("findings")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@click.option("--steward", help="Only those of this person or team.")
def command(as_json: bool, steward: str | None) -> None:
    """List what the map does not know, oldest first. What the map reads, names or ignores by now is none any more."""
    rows = Store(url=settings.database_url()).rows("open_findings")
    rows = [row for row in rows if steward in (None, row["steward"])]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False, default=str))
        return
    console = Console(soft_wrap=True, highlight=False)
    for row in rows:
        console.print(f"[yellow]{row['kind']}[/] {escape(sentence_of(row))}")
    count = "1 finding is open" if len(rows) == 1 else f"{len(rows)} findings are open"
    console.print(count if rows else "the map knows all that arrives")
