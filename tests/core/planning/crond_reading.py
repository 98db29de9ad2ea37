"""How crond reads a cron: Vixie cron's and cronie's ``entry.c`` and ``cron.c``, written anew for tests.

Independent of this package and of croniter. A field is a list of elements; an element is a star or a range, with a
step. A day field that begins with a star sets a flag: with it, a day has to match both day fields, without it one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product

MONTHS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
WEEKDAYS = {name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
BOUNDS = ((0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, MONTHS), (0, 7, WEEKDAYS))


class UnreadableByCrondError(ValueError):
    """crond refuses the line."""


class Crond:
    """The bits that crond sets for a cron."""

    def __init__(self, cron: str) -> None:
        fields = cron.lower().replace("\t", " ").split(" ")
        fields = [field for field in fields if field]
        if len(fields) != 5:
            raise UnreadableByCrondError(cron)
        bits = [_bits(field, *bounds) for field, bounds in zip(fields, BOUNDS, strict=True)]
        self.minutes, self.hours, self.days, self.months, weekdays = bits
        self.weekdays = {day % 7 for day in weekdays}
        self.has_star = fields[2].startswith("*") or fields[4].startswith("*")

    def match_day(self, day: datetime) -> bool:
        if day.month not in self.months:
            return False
        in_days, in_weekdays = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return in_days and in_weekdays if self.has_star else in_days or in_weekdays

    def ticks_after(self, start: datetime) -> Iterator[datetime]:
        """The ticks after a local time that no clock changes; they end after ten years without one."""
        times = list(product(sorted(self.hours), sorted(self.minutes)))
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
        last = midnight
        while midnight - last < timedelta(days=3660):
            if self.match_day(midnight):
                last = midnight
                for hour, minute in times:
                    tick = midnight.replace(hour=hour, minute=minute)
                    if tick > start:
                        yield tick
            midnight += timedelta(days=1)


def _bits(field: str, low: int, high: int, names: dict[str, int]) -> set[int]:
    bits: set[int] = set()
    for element in field.split(","):
        span, slash, step_text = element.partition("/")
        if slash and not _is_number(step_text):
            raise UnreadableByCrondError(element)
        step = int(step_text) if slash else 1
        if step == 0:
            raise UnreadableByCrondError(element)
        if span == "*":
            first, last = low, high
        else:
            begin, dash, end = span.partition("-")
            first = _number(begin, names)
            last = _number(end, names) if dash else first
        if not low <= first <= last <= high:
            raise UnreadableByCrondError(element)
        bits |= set(range(first, last + 1, step))
    return bits


def _number(text: str, names: dict[str, int]) -> int:
    if text in names:
        return names[text]
    if not _is_number(text):
        raise UnreadableByCrondError(text)
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
