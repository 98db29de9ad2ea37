"""Which crons the platform can run: five fields of standard Unix cron.

The vendor's page has an example of five fields, and its web client an editor of five:
https://developer.mediarithmics.io/data-ingestion/bulk-processing/integration-batch. Python's cron libraries accept
more, each with its own meaning.
"""

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
_ALLOWED = re.compile(r"[\w*,/ -]+", re.ASCII)
_ALLOWED_WITHOUT_NAMES = re.compile(r"[\d*,/ -]+", re.ASCII)
_RANGE = re.compile(r"(\w+)-(\w+)", re.ASCII)
_RANGE_OF_ONE = re.compile(r"\b(\w+)-\1\b(?:/\d+)?", re.ASCII)
_STEP = re.compile(r"/(\d+)", re.ASCII)
_FIELDS = (("minutes", 60), ("hours", 24), ("days", 31), ("months", 12), ("days of the week", 7))
_DAYS_OF_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def collapse_spaces(cron: Any) -> Any:
    """Return a cron with one space between its fields, as the platform and a person would both write it."""
    return " ".join(cron.split()) if isinstance(cron, str) else cron


def normalised(cron: str) -> str:
    """Return a cron in lower case, with single spaces, and ``1`` for ``1-1``, which croniter reads as ``*``."""
    return _RANGE_OF_ONE.sub(r"\1", collapse_spaces(cron.lower()))


def cron_problem(cron: str) -> str | None:
    """Return why a cron is invalid, as the rest of a sentence that begins with it, or None if it is valid."""
    from croniter import croniter

    fields = cron.lower().split() if isinstance(cron, str) else []
    if len(fields) != 5:
        return f"has {len(fields)} field(s), not five: minute hour day-of-month month day-of-week"
    plain = normalised(cron)
    if not _ALLOWED.fullmatch(plain):
        return "has a character that standard Unix cron does not allow"
    try:
        _, _, days, months, weekdays = croniter(plain).expanded
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        return f"cannot be read: {error}"
    if not _ALLOWED_WITHOUT_NAMES.fullmatch(_NAME.sub("1", plain)):
        return "has a character that standard Unix cron does not allow"
    problem = next(filter(None, map(_field_problem, fields, _FIELDS)), None)
    if problem is None and days != ["*"] and weekdays == ["*"] and not _has_day(days, months):
        return "never fires: none of its months has that day"
    return problem


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


def _field_problem(field: str, meaning: tuple[str, int]) -> str | None:
    return _range_problem(field, meaning[0]) or _step_problem(field, *meaning)


def _range_problem(field: str, name: str) -> str | None:
    for start, end in _RANGE.findall(field):
        is_up_to_sunday = name == "days of the week" and _number(end) == 0
        if _number(start) > _number(end) and not is_up_to_sunday:
            return f"has the range {start}-{end}, which ends before it begins: write two ranges"
    return None


def _number(value: str) -> int:
    return int(_NUMBERS.get(value, value))


def _step_problem(field: str, name: str, size: int) -> str | None:
    for step in _STEP.findall(field):
        if int(step) > size:
            return f"has the step {step[:20]}, but there are only {size} {name}"
    return None


def _has_day(days: list[Any], months: list[Any]) -> bool:
    numbers = range(1, 13) if months == ["*"] else months
    return any(min(days) <= _DAYS_OF_MONTHS[month - 1] for month in numbers)
