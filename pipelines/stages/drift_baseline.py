"""What a stream used to keep of the paths that the map reads, and when it no longer does.

A message keeps a promise, misses it, or had no chance to: an order without lines says nothing of their prices.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pipelines.language.paths import Read
from resources.lake.json_paths import parent_of
from resources.lake.json_shapes import Piece, Shape

ENOUGH = 20  # messages that kept it: before, nobody knows what is usual
IN_A_ROW = 10  # messages that miss it: one odd order is told over and over while it changes
SELDOM = 0.1  # of the messages kept it: what is rarer comes and goes with seasons, and its absence tells nothing
CHANCE = 1e-6  # that as many in a row would miss it if nothing had changed: one false alarm in years of a busy stream
LONGER = 2  # times the longest run that missed it before: what comes in bursts is away between them

KEPT, MISSED = 1, 2
Kind = Literal["is there", "fits"]


@dataclass(frozen=True, slots=True)
class Promise:
    """How well a stream kept one promise about one path so far."""

    path: str
    promise: Kind
    chances: int = 0
    kept: int = 0
    missed: int = 0  # in a row, up to now
    longest_missed: int = 0  # in a row, before it was kept again
    last_kept_inbox_id: int | None = None

    @property
    def before(self) -> int:
        """The chances that it had before it was last missed in a row."""
        return self.chances - self.missed

    @property
    def is_broken(self) -> bool:
        """Whether the stream has changed, rather than that the key comes and goes."""
        if self.kept < ENOUGH or self.missed < max(IN_A_ROW, LONGER * self.longest_missed + 1):
            return False
        share = self.kept / (self.before + 1)
        return share >= SELDOM and (1 - share) ** self.missed <= CHANCE

    def after(self, outcomes: npt.NDArray[np.int8], inbox_ids: npt.NDArray[np.int64]) -> "Promise":
        """The promise after these messages, of each whether it kept or missed it, or had no chance to (0)."""
        had = np.flatnonzero(outcomes)
        if not len(had):
            return self
        kept = np.flatnonzero(outcomes[had] == KEPT)
        if not len(kept):
            return replace(self, chances=self.chances + len(had), missed=self.missed + len(had))
        between = np.diff(kept) - 1
        return replace(
            self,
            chances=self.chances + len(had),
            kept=self.kept + len(kept),
            missed=int(len(had) - 1 - kept[-1]),
            longest_missed=max(self.longest_missed, self.missed + int(kept[0]), int(between.max(initial=0))),
            last_kept_inbox_id=int(inbox_ids[had[kept[-1]]]),
        )


def after_piece(known: Iterable[Promise], reads: Mapping[str, Read], piece: Piece) -> list[Promise]:
    """What these messages make of the promises about every path that the map reads."""
    so_far: dict[tuple[str, str], Promise] = {(one.path, one.promise): one for one in known}
    promises: list[tuple[Kind, Any]] = [("is there", is_there), ("fits", fits)]
    found = []
    for read in reads.values():
        for name, judge in promises:
            by_shape = np.array([judge(read, shape) for shape in piece.shapes], dtype=np.int8)
            one = so_far.get((read.path, name), Promise(read.path, name))
            found.append(one.after(by_shape[piece.numbers], piece.inbox_ids))
    return [one for one in found if one.chances]


def is_there(read: Read, shape: Shape) -> int:
    """Whether the key stands in the object that should hold it. A null is there; a list may be empty."""
    if read.path.endswith("[]") or shape.kinds.get(parent_of(read.path)) != "object":
        return 0
    return KEPT if read.path in shape.kinds else MISSED


def fits(read: Read, shape: Shape) -> int:
    """Whether what stands there is of the kind that the map reads."""
    kind = shape.kinds.get(read.path)
    if kind in (None, "null", "any"):
        return 0
    if read.expected in ("a list", "an object"):
        return KEPT if kind == read.expected.split()[1] else MISSED
    return KEPT if kind in ("text", "boolean") and read.path not in shape.unfit else MISSED


def topmost(broken: Sequence[Promise]) -> list[Promise]:
    """Those in whose object or list nothing else is broken: the rest follows from them."""
    paths = {one.path for one in broken}
    return [one for one in broken if not any(one.path.startswith((path + ".", path + "[")) for path in paths)]
