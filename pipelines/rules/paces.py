"""How soon things come: schedules, durations and the pace of a stream."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from dagster._vendored.croniter import croniter

from pipelines.map_schema import Arrives, seconds

FILE_PACE = 30  # seconds between two looks at a drop folder: the pace of Dagster's sensors


def is_duration(text: str) -> bool:
    try:
        seconds(text)
    except ValueError:
        return False
    return True


def crons_of(arrives: Arrives) -> dict[str, str]:
    told = {"catch_up": arrives.catch_up, "snapshot": arrives.snapshot}
    return {key: cron for key, cron in told.items() if cron}


def is_cron(text: str) -> bool:
    return len(text.split()) == 5 and croniter.is_valid(text)


def no_cron(text: str) -> str:
    return f'{text!r} is no schedule; write minute, hour, day, month and weekday, as in "*/15 * * * *"'


def pace_of(arrives: Arrives) -> int | None:
    """Seconds until a change reaches us this way; None when nothing brings it."""
    paces = [1] if arrives.webhook else []
    paces += [FILE_PACE] if arrives.file else []
    paces += [seconds(arrives.poll)] if arrives.poll and is_duration(arrives.poll) else []
    paces += [longest_gap(cron) for cron in (arrives.catch_up, arrives.snapshot) if cron and is_cron(cron)]
    return min(paces, default=None)


def longest_gap(cron: str) -> int:
    """The longest time in seconds between two runs, within the next 400 runs or 400 days."""
    start = datetime(2027, 1, 1, tzinfo=UTC)  # a fixed day: the verdict must be the same on every other
    runs = croniter(cron, start)
    moments = [runs.get_next(datetime)]
    while len(moments) < 400 and moments[-1] - start < timedelta(days=400):
        moments.append(runs.get_next(datetime))
    return int(max(later - sooner for sooner, later in pairwise(moments)).total_seconds())


def spelled(pace: int) -> str:
    unit, size = next(
        (unit, size) for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)) if pace % size == 0
    )
    return f"{pace // size}{unit}"
