"""A cron in words, from the values that it matches: crons that fire alike have the same words."""

from __future__ import annotations

import calendar
from collections.abc import Collection, Sequence
from functools import lru_cache

from airflow_provider_mics.api.cron_syntax import CronValues, InvalidCronError, read_cron

MOST_NAMED = 4
"""More values than this are counted, not listed."""
_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_WORKDAYS = frozenset(range(1, 6))
_WEEKEND = frozenset((0, 6))


@lru_cache(maxsize=8192)
def cron_in_words(expression: str) -> str | None:
    """Return a cron in words, such as ``at 05:30 on Monday and Saturday``; None for one that cannot be scheduled."""
    try:
        values = read_cron(expression)
    except InvalidCronError:
        return None
    times, days, months = _times(values), _days(values), _months(values.months)
    if times.startswith("at ") and not days:
        times = f"every day {times}"
    return " ".join(part for part in (times, days, months) if part)


def _times(values: CronValues) -> str:
    minutes, hours = sorted(values.minutes), sorted(values.hours)
    often = _often(minutes)
    if len(hours) == 24 and len(minutes) <= MOST_NAMED:
        return often or f"every hour at {_and([f':{minute:02}' for minute in minutes])}"
    if len(hours) == 24:
        return often or f"{len(minutes)} times an hour from :{minutes[0]:02} to :{minutes[-1]:02}"
    if len(minutes) == 1 and len(hours) > 1 and (step := _step(hours, 24)) is not None:
        return f"every {step} hours" + (f" at :{minutes[0]:02}" if minutes[0] else "")
    times = [f"{hour:02}:{minute:02}" for hour in hours for minute in minutes]
    if len(times) <= MOST_NAMED:
        return f"at {_and(times)}"
    if often and hours == list(range(hours[0], hours[-1] + 1)):
        return f"{often} from {times[0]} to {times[-1]}"
    return f"{len(times)} times a day from {times[0]} to {times[-1]}"


def _often(minutes: Sequence[int]) -> str | None:
    if len(minutes) == 60:
        return "every minute"
    step = _step(minutes, 60)
    return None if step is None or len(minutes) == 1 else f"every {step} minutes"


def _step(values: Sequence[int], size: int) -> int | None:
    """Return the step of values that divide their whole range evenly, beginning at 0."""
    step = size // len(values)
    return step if list(values) == list(range(0, size, step)) and size % step == 0 else None


def _days(values: CronValues) -> str:
    days = "" if len(values.days) == 31 else f"on {_days_of_month(sorted(values.days))}"
    weekdays = "" if len(values.weekdays) == 7 else _weekdays(values.weekdays)
    return " or ".join(part for part in (days, weekdays) if part)


def _days_of_month(days: Sequence[int]) -> str:
    if len(days) > MOST_NAMED:
        return f"{len(days)} days of the month ({_ranges(days)})"
    return f"day{'s' * (len(days) > 1)} {_and([str(day) for day in days])} of the month"


def _weekdays(weekdays: Collection[int]) -> str:
    if frozenset(weekdays) == _WORKDAYS:
        return "from Monday to Friday"
    if frozenset(weekdays) == _WEEKEND:
        return "on Saturday and Sunday"
    # The week begins on Monday, as in ISO 8601.
    return f"on {_and([_WEEKDAYS[day] for day in sorted(weekdays, key=lambda day: (day - 1) % 7)])}"


def _months(months: Collection[int]) -> str:
    if len(months) == 12:
        return ""
    return f"in {_and([calendar.month_name[month] for month in sorted(months)])}"


def _and(texts: Sequence[str]) -> str:
    return " and ".join(", ".join(texts).rsplit(", ", 1))


def _ranges(values: Sequence[int]) -> str:
    """Return values as ``1-5, 9, 20-31``."""
    ranges: list[list[int]] = []
    for value in values:
        if ranges and value == ranges[-1][-1] + 1:
            ranges[-1].append(value)
        else:
            ranges.append([value])
    return ", ".join(f"{each[0]}-{each[-1]}" if len(each) > 1 else str(each[0]) for each in ranges)
