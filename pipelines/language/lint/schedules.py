"""How soon things come: schedules, durations and the pace of a stream."""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise

from dagster._vendored.croniter import croniter

from pipelines.language.schema import Arrives, seconds

YEARS = 4 * 366  # days, among which every day of the calendar occurs
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


@cache
def longest_gap(cron: str) -> int:
    """The longest time in seconds between two runs of a schedule."""
    minute, hour, *day = cron.split()
    (minutes, hours, *_), _ = croniter.expand(f"{minute} {hour} * * *")
    moments = [h * 60 + m for h in _numbers(hours, 24) for m in _numbers(minutes, 60)]
    within = max((later - sooner for sooner, later in pairwise(moments)), default=0)
    nights = max((later - sooner for sooner, later in pairwise(_days(" ".join(day)))), default=YEARS)
    return 60 * max(within, nights * 1440 + moments[0] - moments[-1])


def _numbers(expanded: list[int | str], count: int) -> list[int]:
    return list(range(count)) if expanded == ["*"] else sorted(int(number) for number in expanded)


@cache
def _days(pattern: str) -> list[int]:
    """The days, counted from a fixed one, on which a schedule of that day, month and weekday runs."""
    start = datetime(2027, 1, 1, tzinfo=UTC)  # a fixed day: the verdict must be the same on every other
    runs = croniter(f"0 0 {pattern}", start - timedelta(minutes=1), max_years_between_matches=20)
    days: list[int] = []
    while not days or (days[-1] < YEARS and len(days) < 800):
        days.append((runs.get_next(datetime) - start).days)
    return days
