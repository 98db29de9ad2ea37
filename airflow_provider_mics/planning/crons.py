"""A cron in its time zone: whether it can be read, and its ticks.

Where clocks change, ticks are those of Airflow's ``CronTriggerTimetable``. A cron of certain hours has one tick for
each matching time of each day: a time that spring leaves out comes later by as much as clocks are put forward, of a
time that autumn shows twice the second counts. A cron of every hour ticks whenever a clock on the wall shows a
matching time. A scheduler on the other side may read these few hours otherwise: see `Cron.readings`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo, available_timezones

from airflow_provider_mics.api.crons import normalised
from airflow_provider_mics.planning.calendars import Calendar, calendar_of, calendar_problem
from airflow_provider_mics.planning.wall_clocks import (
    DAY,
    MINUTE,
    end_of_gap,
    in_utc,
    moment_of,
    offsets,
    steady_offset,
    zone_of,
)

LARGEST_TOLERANCE = timedelta(seconds=60)
MICROSECOND = timedelta(microseconds=1)
MOST_EVIDENCE = 100
LIKELY_ZONES = (
    "Europe/Paris",
    "Europe/London",
    "America/New_York",
    "America/Chicago",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Sydney",
)
"""Tried before all others: where several time zones explain a history, the best known is named."""


@dataclass(frozen=True)
class Cron:
    """A five-field cron, read in a time zone (IANA name). Moments are aware datetimes; ticks are in UTC.

    A cron with a ``problem`` has no ticks: asking for one raises ValueError, and nothing is one of its ticks.
    """

    expression: str
    timezone: str = "UTC"

    def __str__(self) -> str:
        return f"{self.expression!r} in {self.timezone}"

    @cached_property
    def problem(self) -> str | None:
        """Why it cannot be read or never fires, or None where it can be scheduled on."""
        if zone_of(self.timezone) is None:
            return f"is for the time zone {self.timezone!r}, which is not known: give an IANA name such as Europe/Paris"
        return calendar_problem(self.expression)

    @cached_property
    def warning(self) -> str | None:
        """What is odd about a cron that can be read."""
        if self.problem is None and normalised(self.expression) == "* * * * *":
            return (
                "fires every minute. The platform's own editor writes '* * * * *' for no schedule, "
                "so this is probably not meant"
            )
        return None

    @property
    def normalised(self) -> str:
        """The expression as Airflow's timetable is to have it: one space between fields, no range of one value."""
        return normalised(self.expression)

    def next_after(self, moment: datetime) -> datetime:
        """The first tick after a moment."""
        moment = in_utc(moment)
        yesterday = moment.astimezone(self._zone).date() - DAY
        days = self._calendar.days_from(yesterday)
        for day in days:
            tick = self._first_on(day, moment)
            if tick is not None:
                # Where clocks change, a tick of the next day can come before one of this day.
                following = self._first_on(day + DAY, moment)
                return tick if following is None else min(tick, following)
        raise ValueError(f"cron {self} has no tick after {moment.isoformat()}")

    def latest_at(self, moment: datetime) -> datetime:
        """The last tick at or before a moment."""
        moment = in_utc(moment)
        tomorrow = moment.astimezone(self._zone).date() + DAY
        for day in self._calendar.days_back_from(tomorrow):
            tick = self._last_on(day, moment)
            if tick is not None:
                preceding = self._last_on(day - DAY, moment)
                return tick if preceding is None else max(tick, preceding)
        raise ValueError(f"cron {self} has no tick before {moment.isoformat()}")

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """The ticks from ``start`` on and before ``end``, in order."""
        start, end = in_utc(start), in_utc(end)
        tick = self.next_after(start - MICROSECOND)
        while tick < end:
            yield tick
            tick = self.next_after(tick)

    @cached_property
    def shortest_period(self) -> timedelta:
        """The shortest time between two neighbouring ticks, by the clock on the wall."""
        return self._calendar.shortest_period

    @cached_property
    def tolerance(self) -> timedelta:
        """How far apart two moments may be and still be the same tick: below half the period, 60 s at most."""
        if self.problem is not None:
            return timedelta(0)
        return min(LARGEST_TOLERANCE, self.shortest_period / 2 - timedelta(seconds=1))

    def is_tick(self, moment: datetime, tolerance: timedelta | None = None) -> bool:
        """Whether there is a tick at a moment, give or take ``tolerance`` (by default the cron's own)."""
        if self.problem is not None:
            return False
        within = self.tolerance if tolerance is None else tolerance
        try:
            moment = in_utc(moment)
            return self.next_after(moment - within - MICROSECOND) <= moment + within
        except (OverflowError, ValueError):
            return False

    def readings(self, tick: datetime) -> tuple[datetime, ...]:
        """The moments at which another scheduler may fire what is ``tick`` here; first of all the tick itself.

        There is more than one only for a cron of certain hours in the hours in which clocks change: both passes of
        a time that autumn shows twice; and for a time that spring leaves out, also the moment of the change.
        """
        tick = in_utc(tick)
        if self._calendar.is_every_hour:
            return (tick,)
        wall = tick.astimezone(self._zone).replace(tzinfo=None, fold=0)
        others = [moment_of(wall, offset) for offset in offsets(wall, self._zone)]
        left_out = self._time_left_out(tick)
        others += [end_of_gap(left_out, self._zone)] if left_out is not None else []
        return tuple(dict.fromkeys((tick, *others)))

    def explains(self, moment: datetime) -> bool:
        """Whether a scheduler may have fired this cron at a moment, whatever it does where clocks change."""
        if self.is_tick(moment):
            return True
        try:
            return self.problem is None and self._is_other_reading(in_utc(moment))
        except (OverflowError, ValueError):
            return False

    def _is_other_reading(self, moment: datetime) -> bool:
        if self._calendar.is_every_hour:
            return False
        today = moment.astimezone(self._zone).date()
        if all(steady_offset(today + days * DAY, self._zone) is not None for days in (-1, 0, 1)):
            return False
        return any(
            abs(reading - moment) <= self.tolerance
            for tick in self.between(moment - DAY, moment + DAY)
            for reading in self.readings(tick)
        )

    def _time_left_out(self, tick: datetime) -> datetime | None:
        """The wall time of a tick that comes later because spring leaves that time out."""
        now = tick.astimezone(self._zone)
        earlier = (tick - DAY).astimezone(self._zone)
        forward = (now.utcoffset() or timedelta()) - (earlier.utcoffset() or timedelta())
        wall = now.replace(tzinfo=None, fold=0) - forward
        before, after = offsets(wall, self._zone)
        return wall if forward > timedelta(0) and before < after and self._calendar.matches(wall) else None

    def _first_on(self, day: date, moment: datetime) -> datetime | None:
        """The first tick of a day after a moment."""
        if not self._calendar.has(day):
            return None
        offset = steady_offset(day, self._zone)
        if offset is None:
            return next((tick for tick in self._ticks_where_clocks_change(day) if tick > moment), None)
        midnight = moment_of(datetime.combine(day, time()), offset)
        minutes = self._calendar.minutes_of_day
        index = bisect_right(minutes, (moment - midnight) // MINUTE)
        return midnight + minutes[index] * MINUTE if index < len(minutes) else None

    def _last_on(self, day: date, moment: datetime) -> datetime | None:
        """The last tick of a day at or before a moment."""
        if not self._calendar.has(day):
            return None
        offset = steady_offset(day, self._zone)
        if offset is None:
            return max(
                (tick for tick in self._ticks_where_clocks_change(day) if tick <= moment), default=None
            )
        midnight = moment_of(datetime.combine(day, time()), offset)
        minutes = self._calendar.minutes_of_day
        index = bisect_left(minutes, (moment - midnight) // MINUTE + 1)
        return midnight + minutes[index - 1] * MINUTE if index > 0 else None

    def _ticks_where_clocks_change(self, day: date) -> list[datetime]:
        if day not in self._days_of_change:
            midnight = datetime.combine(day, time())
            walls = (midnight + minute * MINUTE for minute in self._calendar.minutes_of_day)
            self._days_of_change[day] = sorted({tick for wall in walls for tick in self._ticks_at(wall)})
        return self._days_of_change[day]

    def _ticks_at(self, wall: datetime) -> tuple[datetime, ...]:
        before, after = offsets(wall, self._zone)
        if not self._calendar.is_every_hour:
            return (moment_of(wall, min(before, after)),)
        return () if before < after else (moment_of(wall, before), moment_of(wall, after))

    @cached_property
    def _days_of_change(self) -> dict[date, list[datetime]]:
        """The ticks of the days on which clocks change, which take long to find."""
        return {}

    @cached_property
    def _zone(self) -> ZoneInfo:
        zone = zone_of(self.timezone)
        if zone is None:
            raise ValueError(f"cron {self} {self.problem}")
        return zone

    @cached_property
    def _calendar(self) -> Calendar:
        if self.problem is not None:
            raise ValueError(f"cron {self} {self.problem}")
        return calendar_of(self.expression)


def explaining_zone(
    expression: str, moments: Sequence[datetime], candidates: Sequence[str] = ()
) -> str | None:
    """The time zone in which a cron explains the moments at which it was fired, or None where none does.

    Tried are UTC, ``candidates``, well-known zones, then all there are; no more than the newest moments.
    """
    evidence = sorted(moments, reverse=True)[:MOST_EVIDENCE]
    if not evidence or calendar_problem(expression) is not None:
        return None
    others = sorted(available_timezones(), key=lambda name: ("/" not in name, name.startswith("Etc/"), name))
    for name in dict.fromkeys(("UTC", *candidates, *LIKELY_ZONES, *others)):
        cron = Cron(expression, name)
        if all(cron.explains(moment) for moment in evidence):
            return name
    return None
