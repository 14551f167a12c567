"""Draws the map: the landscape of systems and flows, and an order's journey from each channel, as SVG."""

import sys
from pathlib import Path

import click

from pipelines.language.schema import load_map
from pipelines.operations.pictures import draw


@click.command("draw")
@click.option("--check", is_flag=True, help="Draw nothing; list stale pictures and end with 1 when there are any.")
@click.option(
    "--to", "folder", type=click.Path(file_okay=False, path_type=Path), help="Draw into this folder, not pictures/."
)
def command(check: bool, folder: Path | None) -> None:
    """Draw who tells, owns and takes what, and each channel's journey of an order."""
    drawn = draw.draw(load_map())
    folder = folder or draw.FOLDER
    if not check:
        for name in draw.write(drawn, folder):
            click.echo(f"{folder / name}: {'drawn' if name in drawn else 'removed'}")
        click.echo(f"{len(drawn)} pictures are up to date in {folder}")
        return
    stale = draw.stale(drawn, folder)
    for name in stale:
        click.echo(f"{folder / name}: is stale", err=True)
    if stale:
        click.echo("run `concord draw` and commit what it draws", err=True)
        sys.exit(1)
    click.echo(f"{len(drawn)} pictures are up to date in {folder}")
