"""Which crons can be run: five fields of standard Unix cron, in spellings that every scheduler reads alike.

The vendor's page has an example of five fields, and its web client an editor of five:
https://developer.mediarithmics.io/data-ingestion/bulk-processing/integration-batch. Which program reads them on the
platform is not documented. crond (Vixie cron, cronie), the versions of croniter and Airflow read some spellings
differently. Those are refused here, since Airflow would create ticks that the platform does not fire.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

SEPARATORS = " \t"
"""What may stand between two fields."""
_RANGE_OF_ONE = re.compile(r"\b(\w+)-\1\b(?:/\d+)?", re.ASCII)
_ELEMENT = re.compile(r"(\d{1,2}|[a-z]{3})(?:-(\d{1,2}|[a-z]{3}))?(?:/(\d{1,30}))?", re.ASCII)
_STAR = re.compile(r"\*(?:/(\d{1,30}))?", re.ASCII)
_ALLOWED = re.compile(r"[a-z0-9*,/-]+", re.ASCII)
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec"
_WEEKDAYS = "sun mon tue wed thu fri sat"
_DAYS_OF_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
LONGEST_SHOWN = 40


class CronValues(NamedTuple):
    """The values that each field of a cron matches. Sunday is 0."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]


class InvalidCronError(ValueError):
    """A cron cannot be run; the message is the rest of a sentence that begins with the cron."""


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    size: int
    names: str = ""

    @property
    def numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names.split(), self.low)}


_FIELDS = (
    _Field("minutes", 0, 59, 60),
    _Field("hours", 0, 23, 24),
    _Field("days", 1, 31, 31),
    _Field("months", 1, 12, 12, _MONTHS),
    _Field("days of the week", 0, 7, 7, _WEEKDAYS),
)


def collapse_spaces(cron: Any) -> Any:
    """Return a cron with one space between its fields, as the platform and a person would both write it."""
    return " ".join(cron.split()) if isinstance(cron, str) else cron


def normalised(cron: str) -> str:
    """Return a cron in lower case, with single spaces, and ``1`` for ``1-1``, which croniter reads as ``*``."""
    return _RANGE_OF_ONE.sub(r"\1", collapse_spaces(cron.lower()))


def read_cron(cron: str) -> CronValues:
    """Return the values that a cron matches.

    :raises InvalidCronError: it is no cron of five fields, never fires, or is read differently by other programs
    """
    fields = cron.strip(SEPARATORS).replace("\t", " ").split(" ") if isinstance(cron, str) else []
    fields = [field for field in fields if field]
    if len(fields) != 5:
        raise InvalidCronError(
            f"has {len(fields)} field(s), not five: minute hour day-of-month month day-of-week"
        )
    for field in fields:
        if not field.isascii() or not _ALLOWED.fullmatch(field.lower()):
            raise InvalidCronError("has a character that standard Unix cron does not allow")
    texts = [field.lower() for field in fields]
    read = [_values(text, field) for text, field in zip(texts, _FIELDS, strict=True)]
    values = CronValues(*map(frozenset, read))
    values = values._replace(weekdays=frozenset(day % 7 for day in values.weekdays))
    _check_days(texts[2], texts[4], values)
    return values


def cron_problem(cron: str) -> str | None:
    """Return why a cron cannot be run, as the rest of a sentence that begins with it, or None if it can."""
    try:
        read_cron(cron)
    except InvalidCronError as error:
        return str(error)
    return None


def cron_warning(cron: str | None) -> str | None:
    """Return what makes a valid cron look like a mistake, as the rest of a sentence, or None.

    The platform's web client shows ``* * * * *`` for "no schedule" and saves it as none.
    """
    if cron is None or cron.split() != ["*"] * 5:
        return None
    return (
        "fires every minute. The platform's own editor writes '* * * * *' for 'no schedule', "
        "so this is probably not meant"
    )


def _values(text: str, field: _Field) -> set[int]:
    star = _STAR.fullmatch(text)
    if star:
        return set(range(field.low, field.high + 1, _step(star[1], field)))
    if "*" in text:
        raise _differing(text, field, "a star beside other values", "write only the star, or only the values")
    values: set[int] = set()
    for element in text.split(","):
        values |= _element_values(element, field)
    return values


def _element_values(element: str, field: _Field) -> set[int]:
    match = _ELEMENT.fullmatch(element)
    if match is None:
        if not element:
            raise InvalidCronError(f"has an empty part in its {field.name}: it cannot be read")
        raise InvalidCronError(
            f"has a character that standard Unix cron does not allow in its {field.name}: "
            f"{element[:LONGEST_SHOWN]!r} cannot be read"
        )
    first, last, step = match.groups()
    start = _number(first, field)
    if last is None:
        if step is not None:
            others = "" if start + int(step) > field.high else f"{first}-{field.high}/{step} or "
            raise _differing(element, field, "a step on a single value", f"write {others}{first}")
        return {start}
    end, size_of_step = _number(last, field), _step(step, field)
    if first == last:
        return {start}
    if start > end:
        is_sunday_first = start % field.size == field.low
        before = [] if is_sunday_first else [_range(start, field.low + field.size - 1)]
        parts = [*before, _range(field.low, end)]
        raise InvalidCronError(
            f"has the range {element}, which ends before it begins: write two ranges ({','.join(parts)})"
        )
    if start == end:
        raise _differing(element, field, "a range of one value in two spellings", f"write {first}")
    return set(range(start, end + 1, size_of_step))


def _range(start: int, end: int) -> str:
    return str(start) if start == end else f"{start}-{end}"


def _number(text: str, field: _Field) -> int:
    number = field.numbers.get(text, int(text) if text.isdigit() else -1)
    if not field.low <= number <= field.high:
        raise InvalidCronError(
            f"cannot be read: {text!r} is none of its {field.name}, which go from {field.low} to {field.high}"
        )
    return number


def _step(text: str | None, field: _Field) -> int:
    step = int(text or 1)
    if step == 0:
        raise InvalidCronError(f"cannot be read: the step of its {field.name} is 0")
    if step > field.size:
        raise InvalidCronError(
            f"has the step {text and text[:20]}, but there are only {field.size} {field.name}"
        )
    return step


def _differing(text: str, field: _Field, what: str, instead: str) -> InvalidCronError:
    return InvalidCronError(
        f"has {text[:LONGEST_SHOWN]!r} in its {field.name}: {what}, which cron programs read differently; {instead}"
    )


def _check_days(days: str, weekdays: str, values: CronValues) -> None:
    """Check what the two day fields mean together.

    Where both are restricted, a day has to match only one of them. crond restricts by a field that does not begin with
    a star, croniter by a field that does not match every day.
    """
    if min(values.days) > max(_DAYS_OF_MONTHS[month - 1] for month in values.months):
        if weekdays == "*":
            raise InvalidCronError("never fires: none of its months has that day")
        raise _differing(days, _FIELDS[2], "a day that none of its months has", "write * for it")
    if days == "*" or weekdays == "*":
        return
    for text, numbers, field in ((days, values.days, _FIELDS[2]), (weekdays, values.weekdays, _FIELDS[4])):
        if len(numbers) == field.size:
            raise _differing(text, field, "every day, beside another day field", "write * for it")
        if text.startswith("*"):
            spelled = ",".join(map(str, sorted(numbers)))
            raise _differing(text, field, "a star beside another day field", f"write {spelled}")
