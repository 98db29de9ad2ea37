"""From the time that a clock on the wall shows to the moments at which it shows it, also where clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo | None:
    """The time zone of an IANA name, or None where there is none of that name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def in_utc(moment: datetime) -> datetime:
    """The same moment as a plain datetime in UTC: Airflow's are pendulum's, which reckon differently."""
    utc = moment.astimezone(UTC)
    return datetime(
        utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond, tzinfo=UTC
    )


def offsets(wall: datetime, zone: ZoneInfo) -> tuple[timedelta, timedelta]:
    """What the zone is ahead of UTC at a wall time (naive): by the rule before a change of clocks, and after it.

    They differ only where clocks change: the second is larger in the time that spring leaves out, smaller in the
    time that autumn shows twice (PEP 495).
    """
    before = wall.replace(tzinfo=zone, fold=0).utcoffset()
    after = wall.replace(tzinfo=zone, fold=1).utcoffset()
    return before or timedelta(), after or timedelta()


def moment_of(wall: datetime, offset: timedelta) -> datetime:
    """The moment (UTC) at which a clock that is ``offset`` ahead of UTC shows ``wall``."""
    return (wall - offset).replace(tzinfo=UTC)


def steady_offset(day: date, zone: ZoneInfo) -> timedelta | None:
    """What the zone is ahead of UTC all through a day of its own, or None on a day on which its clocks change."""
    midnight = datetime.combine(day, time())
    start, _ = offsets(midnight, zone)
    _, end = offsets(midnight + DAY, zone)
    return start if start == end else None


def end_of_gap(wall: datetime, zone: ZoneInfo) -> datetime:
    """The moment (UTC) at which clocks are put forward past ``wall``, a time that they therefore leave out."""
    before, after = offsets(wall, zone)
    # Read by the rule before the change, the wall time lies after it; by the rule after the change, before it.
    early, late = moment_of(wall, after), moment_of(wall, before)
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late.replace(microsecond=0)
