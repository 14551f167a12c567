"""Tells one record's journey: each message, verdict, field and its source, delivery and proof, and who owes the next step."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from pipelines.language.schema import load_map
from pipelines.operations.trace import Journey, tell
from pipelines.stages import history
from resources.host import settings
from resources.store.store import Store

COLOURS = {
    "message": "cyan",
    "ledger": "magenta",
    "version": "blue",
    "attempt": "green",
    "parcel": "yellow",
    "reconciliation": "red",
}


@click.command("trace")
@click.argument("name", metavar="ORDER")
@click.option(
    "--entity", default="orders", show_default=True, help="What it is: orders, fulfilments, stock, products ..."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(name: str, entity: str, as_json: bool) -> None:
    """Tell the journey of ORDER: its key, its number (#1001) or a system's id of it."""
    the_map = load_map()
    roots = [root.entity for root in the_map.roots]
    if entity not in roots:
        raise click.UsageError(f"the map has no entity {entity!r} that is traced; it has {', '.join(sorted(roots))}")
    journey = tell(Store(url=settings.database_url()), the_map, entity, name, history.show)
    if as_json:
        click.echo(json.dumps(asdict(journey), indent=2, ensure_ascii=False, default=str))
    else:
        show(journey)


def show(journey: Journey) -> None:
    """The journey, for a person."""
    console = Console(soft_wrap=True, highlight=False)
    origin = f", which began in {journey.origin}" if journey.origin else ""
    links = "".join(f"; {system} calls it {remote_id}" for system, remote_id in journey.links.items())
    console.print(f"[bold]{journey.entity} {escape(journey.key)}[/]{origin}{links}")
    day = ""
    for event in journey.events:
        if f"{event.at:%Y-%m-%d}" != day:
            day = f"{event.at:%Y-%m-%d}"
            console.print(f"\n[dim]{day} (UTC)[/]")
        console.print(f"{event.at:%H:%M:%S}  [{COLOURS[event.kind]}]{escape(event.what)}[/]")
        for detail in event.details:
            console.print(f"          {escape(detail)}")
    _show_fields(console, journey)
    for child, rows in journey.children.items():
        _show_lines(console, child, rows)
    if journey.wanted:
        console.print()
    for row in journey.wanted:
        held = f", held: {row['held_because']}" if row["held_because"] else ""
        asked = f", asked again ({row['asked']})" if row["asked"] else ""
        console.print(f"{row['flow']} wants it in {row['system']}: {'yes' if row['is_wanted'] else 'no'}{held}{asked}")
    console.print()
    for owed in journey.owed:
        console.print(f"[bold]next: {escape(owed.steward)}[/]: {escape(owed.sentence)}")
    if not journey.owed:
        console.print("[bold green]next: nobody owes anything; every system holds what it should[/]")


def _show_fields(console: Console, journey: Journey) -> None:
    told = [story for story in journey.fields if story.value is not None or story.inbox_id or story.flag]
    if not told:
        console.print("\nnothing of it stands in the canonical record\n")
        return
    rows = [("field", "value", "set by", "said at (UTC)", "owner")]
    for story in told:
        by = f"{story.set_by or ''}{f' (message {story.inbox_id})' if story.inbox_id else ''}"
        said_at = f"{story.said_at:%Y-%m-%d %H:%M:%S}" if story.said_at else ""
        rows.append((story.field, as_text(story.value), by, said_at, ", ".join(story.owners)))
    console.print()
    _columns(console, rows)
    for story in told:
        if story.flag:
            console.print(f"[yellow]{story.field} is flagged: {escape(story.flag)}[/]")


def _show_lines(console: Console, child: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    names = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    console.print(f"\n{child}")
    _columns(console, [tuple(names), *(tuple(as_text(row[name]) for name in names) for row in rows)])


def _columns(console: Console, rows: Sequence[tuple[str, ...]]) -> None:
    """Rows under each other, the first of them the heads."""
    widths = [min(48, max(len(row[n]) for row in rows)) for n in range(len(rows[0]))]
    for number, row in enumerate(rows):
        line = "  ".join(f"{value:{width}}" for value, width in zip(row, widths, strict=True)).rstrip()
        console.print(escape(line), style="dim" if number == 0 else None)


def as_text(value: Any) -> str:
    """A value as people write it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, Decimal):
        whole, _, rest = f"{value:f}".partition(".")
        return f"{whole}.{rest.rstrip('0').ljust(2, '0')}"
    return str(value)
