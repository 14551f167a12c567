"""Texts as SQL literals."""

from collections.abc import Iterable


def quoted(text: str) -> str:
    """The text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def listed(texts: Iterable[str]) -> str:
    """The texts as SQL literals, one after the other."""
    return ", ".join(quoted(text) for text in texts)
