"""Lists where systems disagree, writes it as a sheet, and takes back what people decided in it."""

import getpass
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from pipelines.language.schema import IntegrationMap, load_map
from pipelines.operations import actions
from pipelines.operations.worksheet import open_differences, read_decisions, write_sheet
from resources.host import settings
from resources.lake import lake
from resources.store.store import Store

Sheet = click.Path(dir_okay=False, path_type=Path)


@click.command("differences")
@click.argument("entities", nargs=-1, metavar="[ENTITY]...")
@click.option("--export", "export_to", type=Sheet, help="Write them into this CSV or Excel file, for people to decide.")
@click.option("--take", "take_from", type=Sheet, help="Take what people decided from such a file.")
@click.option("--by", default=getpass.getuser, show_default="you", help="Who decided; it stands in the ledger.")
def command(entities: tuple[str, ...], export_to: Path | None, take_from: Path | None, by: str) -> None:
    """List the open differences that reconciliations found, oldest first."""
    the_map = load_map()
    for name in entities:
        actions.entity_of(the_map, name)
    if take_from:
        _take(the_map, take_from, by)
        return
    with lake.reading(settings.database_url(), settings.lake()) as db:
        rows = open_differences(db, the_map, entities)
    if export_to:
        if export_to.suffix not in (".csv", ".xlsx"):
            raise click.UsageError(f"{export_to} is neither .csv nor .xlsx; name it so")
        write_sheet(export_to, rows)
        click.echo(f"{export_to}: {len(rows)} differences; fill in decision and why, then `concord differences --take`")
        return
    console = Console(soft_wrap=True, highlight=False)
    for row in rows:
        field = f" {row['field']}: {row['its value']} and {row['its value there']}" if row["field"] else ""
        console.print(
            f"[red]{row['kind']}[/]{escape(field)} {row['entity']} {escape(row['record'])} "
            f"[dim]({row['reconciliation']}, {row['one side']} and {row['other side']}, for {row['days']:g} days)[/] "
            f"[bold]{escape(row['steward'])}[/]\n  {escape(row['suggested'])}"
        )
    console.print(f"{len(rows)} differences are open" if rows else "no difference is open")


def _take(the_map: IntegrationMap, path: Path, by: str) -> None:
    decided = read_decisions(path)
    actions.take(Store(url=settings.database_url()), the_map, decided, by_whom=by)
    click.echo(f"{len(decided)} decisions are taken; the next syncs carry them out")
