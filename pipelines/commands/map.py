"""Draws the map: in words, as a landscape of systems and entities, or as the journey of one record."""

from pathlib import Path

import click

from pipelines.map_picture import journey, landscape, told_in_words
from pipelines.map_schema import load_map


@click.command("map")
@click.option("--svg", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Draw into this SVG file.")
@click.option("--journey", "entity", metavar="ENTITY", help="Draw the journey of this entity's records, lane by lane.")
def command(svg: Path | None, entity: str | None) -> None:
    """Show which system tells and takes what."""
    told = load_map()
    if entity and entity not in told.entities:
        raise click.UsageError(f"there is no entity {entity!r}; name one of {', '.join(told.entities)}")
    if entity and not svg:
        raise click.UsageError("a journey is a picture; name its file with --svg")
    if svg is None:
        click.echo(told_in_words(told), nl=False)
        return
    svg.write_text(journey(told, entity) if entity else landscape(told), encoding="utf-8")
    click.echo(f"{svg}: drawn")
