"""Of hand-written models, which of their slices are settled again, and what became of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Rows = dict[tuple[Any, ...], tuple[Any, ...]]


@dataclass
class InQuestion:
    """Of each hand-written model which slices are settled again, and what became of them."""

    slices: dict[str, set[str]] = field(default_factory=dict)
    standing: dict[str, Rows] = field(default_factory=dict)  # rows as they stood, of the models that others are made of
    causes: dict[str, set[tuple[Any, ...]]] = field(default_factory=dict)  # of a record: the messages that moved it

    def add(self, model: str, values: Iterable[Any]) -> None:
        self.slices.setdefault(model, set()).update(value for value in values if value is not None)
