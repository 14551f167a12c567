"""Writes the JSON Schema of the map's files, by which an editor completes and checks them."""

import json
from pathlib import Path

import click
from pydantic import BaseModel

from pipelines.language.schema import MAP_DIR, Entity, System

KINDS: dict[str, type[BaseModel]] = {"system": System, "entity": Entity}


def schema_of(kind: str) -> str:
    """The JSON Schema of one kind of map file, as text with a last newline."""
    return json.dumps(KINDS[kind].model_json_schema(), indent=2, ensure_ascii=False) + "\n"


@click.command("schema")
@click.option("--check", is_flag=True, help="Write nothing; fail when a written schema is stale.")
@click.option("--print", "shown", type=click.Choice(list(KINDS)), help="Print this one instead of writing both.")
def command(check: bool, shown: str | None) -> None:
    """Write the JSON Schema of the map's files to pipelines/map/schema/."""
    if shown:
        click.echo(schema_of(shown), nl=False)
        return
    for kind in KINDS:
        path = MAP_DIR / "schema" / f"{kind}.json"
        if check:
            _refuse_stale(path, kind)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(schema_of(kind), encoding="utf-8")
            click.echo(f"map/schema/{path.name}: written")


def _refuse_stale(path: Path, kind: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != schema_of(kind):
        raise click.ClickException(f"map/schema/{path.name}: is stale; run `concord schema` and commit what it writes")
    click.echo(f"map/schema/{path.name}: up to date")
