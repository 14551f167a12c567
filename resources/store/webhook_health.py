"""How the webhook door does: answers counted by outcome, their times, and both recorded once a minute."""

import uuid
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from resources.store.store import Store

STEPS = [0.1 * 1.05**n for n in range(290)]  # ms, up to two minutes: a percentile is right to within 5 %


@dataclass
class Times:
    """Response times of one kind of answer, in steps rather than one by one."""

    steps: Counter[int] = field(default_factory=Counter)
    answers: int = 0
    longest: float = 0.0

    def add(self, ms: float) -> None:
        self.steps[bisect_left(STEPS, ms)] += 1
        self.answers += 1
        self.longest = max(self.longest, ms)

    def percentile(self, share: float) -> float:
        """In ms; 0.0 when nothing was answered."""
        seen = 0
        for step in sorted(self.steps):
            seen += self.steps[step]
            if seen >= share * self.answers:
                return round(min(STEPS[min(step, len(STEPS) - 1)], self.longest), 3)
        return 0.0


@dataclass
class Tally:
    """What was answered since the last record, per system, topic and outcome, and in all since the start."""

    door: str = field(default_factory=lambda: str(uuid.uuid4()))
    minute: dict[tuple[str, str, str], Times] = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)

    def count(self, system: str, topic: str, outcome: str, ms: float) -> None:
        self.totals[outcome] += 1
        self.minute.setdefault((system, topic, outcome), Times()).add(ms)

    def close_minute(self) -> list[dict[str, object]]:
        """The rows of the time since the last call; counting begins again."""
        now, counted, self.minute = datetime.now(UTC), self.minute, {}
        return [
            {
                "minute": now,
                "door": self.door,
                "system": system,
                "topic": topic,
                "outcome": outcome,
                "answers": times.answers,
                "p50_ms": times.percentile(0.50),
                "p95_ms": times.percentile(0.95),
                "p99_ms": times.percentile(0.99),
                "max_ms": round(times.longest, 3),
            }
            for (system, topic, outcome), times in counted.items()
        ]


def record(store: Store, rows: list[dict[str, object]]) -> None:
    """Keep a closed minute; kept again, it is the same."""
    for row in rows:
        store.execute("record_webhook_health", **row)
