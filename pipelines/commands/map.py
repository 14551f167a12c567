"""Tells the map in words: entity by entity, who tells what, who takes it, how soon, and how it is proved."""

import click

from pipelines.language.queries import path_of
from pipelines.language.schema import IntegrationMap, cron_in_words, load_map, spelled


@click.command("map")
def command() -> None:
    """Show which system tells and takes what; `concord draw` draws it."""
    click.echo(in_words(load_map()), nl=False)


def in_words(told: IntegrationMap) -> str:
    """The map as lines of text, entity by entity."""
    lines = []
    for entity in told.roots:
        children = "".join(f", with {child.entity}" for child in told.children(entity.entity))
        lines.append(f"{entity.entity}{children}: {entity.meaning}")
        for name, flow in entity.flows.items():
            promise = f"{flow.timing.replace('_', ' ')}, {spelled(flow.max_lag)}"
            lines.append(f"  {name}: {path_of(told, entity, flow)} ({promise})")
        lines += [
            f"  {name}: {' = '.join(proof.between)}, {cron_in_words(proof.every)}"
            for name, proof in entity.reconcile.items()
        ]
    return "\n".join(lines) + "\n"
