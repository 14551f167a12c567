"""Empties the state folder, after asking: database, warehouse, sandbox, logs. Nothing outside that folder is touched."""

import os

import click

from resources.host import embedded_postgres, processes, settings, state


@click.command("reset")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(yes: bool) -> None:
    """Delete everything that Concord knows here. Refuses while it runs."""
    folder = settings.state_dir()
    if not folder.exists() or not any(folder.iterdir()):
        click.echo(f"{folder} is empty already")
        return
    if not state.is_marked(folder):
        state.claim(folder)  # refuses a folder that holds what is not ours
    with state.alone(folder):
        if not yes:
            what = ", ".join(sorted(path.name for path in folder.iterdir() if path.name != state.MARKER))
            click.confirm(f"Delete everything in {folder} ({what})?", abort=True)
        processes.end_marked(folder / "run")
        if embedded_postgres.is_embedded():
            embedded_postgres.stop()
        gone = state.empty(folder)
    click.echo(f"{folder} is empty: {', '.join(name for name in gone if name != state.MARKER)} deleted")
    for variable, what in (("CONCORD_DATABASE_URL", "the database"), ("CONCORD_LAKE", "the warehouse's files")):
        if os.environ.get(variable):
            click.echo(f"{what} that {variable} names is elsewhere, and was left alone")
