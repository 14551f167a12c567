"""What a lint rule is, and the list of all rules."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from pipelines.language.queries import Place
from pipelines.language.schema import IntegrationMap

Severity = Literal["error", "provisional", "hint"]


class Problem(NamedTuple):
    """Where something is wrong; what, and the fix."""

    place: Place
    says: str


Found = Iterator[Problem]
Rule = Callable[[IntegrationMap], Found]

RULES: dict[Rule, Severity] = {}


def error(rule: Rule) -> Rule:
    """The map contradicts itself, or cannot run."""
    RULES[rule] = "error"
    return rule


def provisional(rule: Rule) -> Rule:
    """A promise or a proof is missing: the flows that it touches may run in shadow only."""
    RULES[rule] = "provisional"
    return rule


def hint(rule: Rule) -> Rule:
    """Worth a look."""
    RULES[rule] = "hint"
    return rule
