"""Laws told as generators: each says something and yields, then all are settled together, so that many share one build."""

import itertools
from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from typing import Any

from tests.fixtures_world import World

Law = Callable[[World, int], Generator[None]]


def play(
    world: World, laws: dict[str, Law], *entities: str, first_day: datetime | None = None
) -> dict[str, BaseException]:
    """Run every law up to its next yield, settle, and go on until all have ended; what each of the others died of.

    With a first day, each settling is a day later than the one before.
    """
    numbers = {name: 1000 * (position + 1) for position, name in enumerate(laws)}
    running: dict[str, Generator[None]] = {name: law(world, numbers[name]) for name, law in laws.items()}
    died: dict[str, BaseException] = {}
    days = itertools.count()
    while running:
        for name, law in list(running.items()):
            try:
                next(law)
            except StopIteration:
                del running[name]
            except Exception as problem:  # noqa: BLE001  (the test of that name raises it again)
                died[name] = problem
                del running[name]
        if running:
            world.moment = first_day and first_day + timedelta(days=next(days))
            world.sync(*entities)
    return died


def laws_of(module: dict[str, Any]) -> dict[str, Law]:
    """The functions of a module whose names begin with law_."""
    return {name.removeprefix("law_"): found for name, found in module.items() if name.startswith("law_")}
