"""What a person watches while Concord runs: a live area on a terminal, plain lines elsewhere."""

import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

PLAIN_EVERY = 10.0  # seconds between two looks where nobody sits at a terminal
WIDE = 200  # columns of a table in a file or pipe
EVENTS = 6  # how many of the last events stay in the live area


def console_for_tables(wide: int = WIDE) -> Console:
    """Where nobody sits at a terminal there is no width to keep to but this, and nothing is cut off."""
    console = Console()
    return console if console.is_terminal else Console(width=wide)


class Screen:
    """A live area on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.events: deque[str] = deque(maxlen=EVENTS)
        self.preparing: dict[str, str] = {}  # program: what it does
        self._live: Live | None = None
        self._plain_at = 0.0
        self._said: dict[str, str] = {}

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            with suppress(OSError):
                self._live.stop()
            self._live = None

    def say(self, sentence: str) -> None:
        """A line that stays. A terminal that was closed hears nothing, and keeps nobody from stopping in order."""
        with suppress(OSError):
            self.console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    def tell(self, event: str) -> None:
        """Something that happened: it stays in the live area for a while."""
        line = f"{time.strftime('%H:%M:%S')} {event}"
        if self._live:
            self.events.append(line)
        else:
            self.say(line)

    def update(
        self, table: RenderableType | None, lines: Mapping[str, str], trouble: str | None, elapsed: float
    ) -> None:
        """Show how things are now: the table on a terminal, elsewhere those of the lines that changed."""
        if self._live:
            with suppress(OSError):
                self._live.update(self._area(table, trouble, elapsed), refresh=True)
        elif time.monotonic() - self._plain_at >= PLAIN_EVERY:
            self._plain_at = time.monotonic()
            self._say_what_changed(lines, trouble, elapsed)

    def _area(self, table: RenderableType | None, trouble: str | None, elapsed: float) -> Group:
        parts: list[RenderableType] = [] if table is None or self.preparing else [table]
        for name, doing in self.preparing.items():
            dots = "." * (1 + int(elapsed * 2) % 3)
            parts.append(
                Text(f"  {name} {doing} {dots}  ({elapsed:.0f} s)", style="yellow", no_wrap=True, overflow="ellipsis")
            )
        if trouble:
            parts.append(Text(trouble, style="red"))
        parts += [Text(event, style="magenta") for event in self.events]
        parts.append(Text("Ctrl-C stops everything", style="dim"))
        return Group(*parts)

    def _say_what_changed(self, lines: Mapping[str, str], trouble: str | None, elapsed: float) -> None:
        for name, doing in self.preparing.items():
            self.say(f"{elapsed:4.0f} s  {name} {doing}")
        if trouble:
            self.say(trouble)
        for name, line in lines.items():
            if self._said.get(name) != line:
                self._said[name] = line
                self.say(f"{time.strftime('%H:%M:%S')} {line}")
