"""The next and the last ticks of a cron. What a tick is, also where clocks change, is decided in ``cron_ticks``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice

from airflow_provider_mics.api.cron_syntax import CronValues, read_cron
from airflow_provider_mics.core.planning.cron_ticks import DAY, MINUTE, Cron, zone_of


def ticks_after(cron: Cron, moment: datetime, count: int) -> list[datetime]:
    """Return the next ``count`` ticks after a moment, in UTC, the earliest first; none of a cron with a problem."""
    if cron.problem is not None:
        return []
    moment = moment.astimezone(UTC)
    first = _local_date(cron, moment)
    later = (tick for day in _days(first, 1) for tick in _ticks_of_day(cron, day) if tick > moment)
    return list(islice(later, count))


def ticks_before(cron: Cron, moment: datetime, count: int, *, since: datetime) -> list[datetime]:
    """Return the last ticks before a moment and not before ``since``, in UTC, the latest first.

    :param count: how many at most
    """
    if cron.problem is not None or since >= moment:
        return []
    moment, since = moment.astimezone(UTC), since.astimezone(UTC)
    found: list[datetime] = []
    last_day = _local_date(cron, since)
    for day in _days(_local_date(cron, moment), -1):
        if day < last_day or len(found) >= count:
            break
        found += [tick for tick in reversed(_ticks_of_day(cron, day)) if since <= tick < moment]
    return found[:count]


def _local_date(cron: Cron, moment: datetime) -> date:
    return moment.astimezone(zone_of(cron.timezone)).date()


def _days(first: date, step: int) -> Iterator[date]:
    """Return days from the first on, for as long as their neighbours are dates too."""
    day = first
    while date.min < day < date.max:
        yield day
        day += step * DAY


def _ticks_of_day(cron: Cron, day: date) -> list[datetime]:
    """Return the ticks of a local day, in UTC, in order."""
    values = _values(cron.expression)
    is_match = _matches_day(values, day)
    # A time that clocks skip around midnight is made up for on the day after.
    if not is_match and not _matches_day(values, day - DAY):
        return []
    zone = zone_of(cron.timezone)
    midnight = datetime.combine(day, time(), zone)
    offsets = {datetime.combine(day + number * DAY, time(), zone).utcoffset() for number in (-1, 0, 1)}
    if len(offsets) > 1:
        # Clocks change today, or changed yesterday: each minute is asked for.
        return [minute for minute in _minutes_of_day(midnight, day + DAY) if cron.fires_at(minute)]
    if not is_match:
        return []
    start = midnight.astimezone(UTC)
    return [start + each for each in _times(cron.expression)]


def _minutes_of_day(midnight: datetime, next_day: date) -> Iterator[datetime]:
    minute = midnight.astimezone(UTC)
    end = datetime.combine(next_day, time(), midnight.tzinfo).astimezone(UTC)
    while minute < end:
        yield minute
        minute += MINUTE


@lru_cache(maxsize=1024)
def _times(expression: str) -> tuple[timedelta, ...]:
    """Return the times of day of a cron, in order."""
    values = _values(expression)
    return tuple(
        timedelta(hours=hour, minutes=minute)
        for hour in sorted(values.hours)
        for minute in sorted(values.minutes)
    )


@lru_cache(maxsize=8192)
def _values(expression: str) -> CronValues:
    return read_cron(expression)


def _matches_day(values: CronValues, day: date) -> bool:
    if day.month not in values.months:
        return False
    is_day, is_weekday = day.day in values.days, day.isoweekday() % 7 in values.weekdays
    # Where both day fields are restricted, either may match; a field that matches every day restricts nothing.
    if len(values.days) == 31 or len(values.weekdays) == 7:
        return is_day and is_weekday
    return is_day or is_weekday
