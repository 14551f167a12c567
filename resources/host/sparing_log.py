"""A log that strangers cannot fill: what they can bring about as often as they like is told once a minute, with a count."""

import logging
import threading
import time
from collections import Counter

EVERY = 60.0  # seconds between two lines for the same reason


class Sparing(logging.Filter):
    """Passes one record a minute for each reason: what `extra={"reason": ...}` names, and of uvicorn the kind of line.

    Reasons are few, for they are ours: nothing of what a sender says may be one. Records without a reason all pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told_at: dict[str, float] = {}
        self._left_out: Counter[str] = Counter()
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        reason = getattr(record, "reason", record.msg if record.name.startswith("uvicorn") else None)
        if reason is None:
            return True
        now = time.monotonic()
        with self._lock:
            if now - self._told_at.get(reason, -EVERY) < EVERY:
                self._left_out[reason] += 1
                return False
            self._told_at[reason] = now
        return True

    def tell(self, log: logging.Logger) -> None:
        """Say how many were left out since the last call, and why."""
        with self._lock:
            counts, self._left_out = self._left_out, Counter()
        for reason, count in sorted(counts.items()):
            log.warning("%d more were left out of this log: %s", count, reason)
