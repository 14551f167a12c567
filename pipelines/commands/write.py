"""Writes the dbt models and macros that the map asks for."""

import sys

import click

from pipelines.compiler import generate
from pipelines.language.schema import load_map


@click.command("write")
@click.option("--check", is_flag=True, help="Write nothing; list stale files and end with 1 when there are any.")
def command(check: bool) -> None:
    """Generate dbt_project/models/generated/ from the map."""
    the_map = load_map()
    if not check:
        changed = generate.write(the_map)
        for path in changed:
            click.echo(f"dbt_project/{path}: {'written' if (generate.DBT_PROJECT / path).exists() else 'removed'}")
        click.echo(f"{len(changed)} of {len(generate.generate(the_map))} generated files changed")
        return
    stale = generate.stale(the_map)
    for path in stale:
        click.echo(f"dbt_project/{path}: is stale", err=True)
    if stale:
        click.echo("run `concord write` and commit what it writes", err=True)
        sys.exit(1)
    click.echo(f"{len(generate.generate(the_map))} generated files are up to date")
