"""What standard Unix cron takes: libraries take more, each with a meaning of its own."""

from __future__ import annotations

import re
from typing import Any

_NUMBERS = {
    name: number
    for first, names in (
        (1, "jan feb mar apr may jun jul aug sep oct nov dec"),
        (0, "sun mon tue wed thu fri sat"),
    )
    for number, name in enumerate(names.split(), first)
}

_NAME = re.compile(rf"\b({'|'.join(_NUMBERS)})\b")

_SIGNS_AND_LETTERS = re.compile(r"[\w*,/ -]+", re.ASCII)

_SIGNS = re.compile(r"[\d*,/ -]+", re.ASCII)

_RANGE = re.compile(r"(\w+)-(\w+)", re.ASCII)

_RANGE_OF_ONE = re.compile(r"\b(\w+)-\1\b(?:/\d+)?", re.ASCII)

_STEP = re.compile(r"/(\d+)", re.ASCII)

_FIELDS = (("minutes", 60), ("hours", 24), ("days", 31), ("months", 12), ("days of the week", 7))

_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def normalised(cron: str) -> str:
    """A cron in small letters, one space between fields, ``1-1`` written as ``1``: croniter takes it for ``*``."""
    return _RANGE_OF_ONE.sub(r"\1", " ".join(cron.lower().split()))


def cron_problem(cron: str) -> str | None:
    """Why the platform could not run this cron, or None where it can: five fields, standard Unix."""
    from croniter import croniter

    fields = cron.lower().split() if isinstance(cron, str) else []
    if len(fields) != 5:
        return f"has {len(fields)} field(s): five are needed: minute hour day-of-month month day-of-week"
    plain = normalised(cron)
    if not _SIGNS_AND_LETTERS.fullmatch(plain):
        return "uses a sign that standard Unix cron does not have"
    try:
        _, _, days, months, weekdays = croniter(plain).expanded
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        return f"cannot be read: {error}"
    if not _SIGNS.fullmatch(_NAME.sub("1", plain)):
        return "uses a sign that standard Unix cron does not have"
    problem = next(filter(None, map(_field_problem, fields, _FIELDS)), None)
    if problem is None and days != ["*"] and weekdays == ["*"] and not _has_day(days, months):
        return "never fires: none of its months has such a day"
    return problem


def cron_warning(cron: str | None) -> str | None:
    """Return what makes a valid cron look like a mistake, as the rest of a sentence, or None.

    The platform's web client shows ``* * * * *`` for "no schedule" and saves it as none.
    """
    if cron is None or cron.split() != ["*"] * 5:
        return None
    return (
        "fires every minute. The platform's web editor writes '* * * * *' for 'no schedule', "
        "so this is probably a mistake"
    )


def _field_problem(field: str, meaning: tuple[str, int]) -> str | None:
    return _range_problem(field, meaning[0]) or _step_problem(field, *meaning)


def _range_problem(field: str, name: str) -> str | None:
    for start, end in _RANGE.findall(field):
        is_up_to_sunday = name == "days of the week" and _number(end) == 0
        if _number(start) > _number(end) and not is_up_to_sunday:
            return f"has the range {start}-{end}, which ends before it begins: write it as two"
    return None


def _number(value: str) -> int:
    return int(_NUMBERS.get(value, value))


def _step_problem(field: str, name: str, size: int) -> str | None:
    for step in _STEP.findall(field):
        if int(step) > size:
            return f"steps by {step[:20]} where there are {size} {name}"
    return None


def _has_day(days: list[Any], months: list[Any]) -> bool:
    some = range(1, 13) if months == ["*"] else months
    return any(min(days) <= _LONGEST_MONTHS[month - 1] for month in some)
