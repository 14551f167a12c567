"""Lists what a person must know now: what is open, who answers, and since when."""

import json

import click
from rich.console import Console
from rich.markup import escape

from resources.host import settings
from resources.store.store import Store


@click.command("alerts")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@click.option("--steward", help="Only those of this person or team.")
def command(as_json: bool, steward: str | None) -> None:
    """List the open alerts, oldest first."""
    rows = Store(url=settings.database_url()).rows("open_alerts")
    rows = [row for row in rows if steward in (None, row["steward"])]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False, default=str))
        return
    console = Console(soft_wrap=True, highlight=False)
    for row in rows:
        since = str(row["age"]).partition(".")[0]
        console.print(
            f"[red]{escape(row['kind'])}[/] {escape(row['subject'])} [dim]for {since}[/] "
            f"[bold]{escape(row['steward'])}[/]\n  {escape(row['sentence'])}"
        )
    console.print(f"{len(rows)} alerts are open" if rows else "no alert is open")
