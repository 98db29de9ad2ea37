"""Arguments checked before they are sent, so that a mistake is one clear line and not a refusal far away."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.fields import milliseconds
from airflow_provider_mics.api.vocabulary import ContainerSize, CronStatus, ExecutionType

_ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_CRON_NAME = re.compile(r"\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)\b")
_CRON_SIGNS_AND_LETTERS = re.compile(r"[\w*,/ -]+", re.ASCII)
_CRON_SIGNS = re.compile(r"[\d*,/ -]+", re.ASCII)
_CRON_RANGE = re.compile(r"(\w+)-(\w+)", re.ASCII)
_CRON_RANGE_OF_ONE = re.compile(r"\b(\w+)-\1\b", re.ASCII)
_CRON_STEP = re.compile(r"/(\d+)", re.ASCII)
_CRON_FIELDS = (("minutes", 60), ("hours", 24), ("days", 31), ("months", 12), ("days of the week", 7))
_CRON_NUMBERS = {
    name: number
    for first, names in (
        (1, "jan feb mar apr may jun jul aug sep oct nov dec"),
        (0, "sun mon tue wed thu fri sat"),
    )
    for number, name in enumerate(names.split(), first)
}
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_VERSION_NUMBER = re.compile(r"\d+\.\d+\.\d+(-[A-Za-z0-9.-]+)?", re.ASCII)

LAST_MOMENT = milliseconds(datetime.max.replace(tzinfo=UTC))
"""Epoch milliseconds."""
FIRST_PLAUSIBLE_MOMENT = 100_000_000_000
"""Epoch milliseconds, in March 1973. A smaller number is a moment of our days in seconds."""


def checked_id(what: str, value: str | int | None) -> str:
    """An id as the platform writes it in a path; ``what`` names the argument in the error."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _ID.fullmatch(text):
        raise MicsError(f"{what} {value!r} is not an id: give the platform's id, such as '1185'")
    return text


def checked_milliseconds(what: str, value: datetime | int) -> int:
    """A moment as the platform wants it: epoch milliseconds, from an aware datetime or from such a number."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise MicsError(f"{what} {value.isoformat()} has no time zone: give an aware datetime")
        value = milliseconds(value)
    elif isinstance(value, int) and 0 < value < FIRST_PLAUSIBLE_MOMENT and not isinstance(value, bool):
        raise MicsError(f"{what} {value} looks like seconds: give milliseconds, a thousand times as many")
    if isinstance(value, bool) or not isinstance(value, int):
        raise MicsError(f"{what} {value!r} is not a moment: give an aware datetime or epoch milliseconds")
    if value < 0:
        raise MicsError(f"{what} {value} is negative: give a moment after 1970, in epoch milliseconds")
    if value > LAST_MOMENT:
        raise MicsError(f"{what} is after the year 9999: give epoch milliseconds")
    return value


def checked_cron(cron: str | None, cron_status: str | CronStatus | None) -> None:
    """A cron and its status go together, and the cron has the five fields the platform reads (vendor's page).

    :raises MicsError: one without the other, an unknown status, or a cron that cannot be read
    """
    if (cron is None) != (cron_status is None):
        given, missing = ("cron_status", "cron") if cron is None else ("cron", "cron_status")
        value = cron_status if cron is None else cron
        raise MicsError(
            f"{given} {str(value)!r} is given without {missing}: give both, or neither for manual runs"
        )
    if cron is not None:
        problem = cron_problem(cron)
        if problem:
            raise MicsError(f"cron {cron!r} {problem}")
        checked_word("cron_status", CronStatus, cron_status)


def cron_problem(cron: str) -> str | None:
    """Why the platform could not run this cron, or None where it can: five fields, standard Unix."""
    from croniter import croniter

    fields = cron.lower().split() if isinstance(cron, str) else []
    if len(fields) != 5:
        return f"has {len(fields)} field(s): five are needed: minute hour day-of-month month day-of-week"
    plain = " ".join(fields)
    if not _CRON_SIGNS_AND_LETTERS.fullmatch(plain):
        return "uses a sign that standard Unix cron does not have"
    try:
        # croniter takes 31-31 for a star.
        _, _, days, months, weekdays = croniter(_CRON_RANGE_OF_ONE.sub(r"\1", plain)).expanded
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        return f"cannot be read: {error}"
    if not _CRON_SIGNS.fullmatch(_CRON_NAME.sub("1", plain)):
        return "uses a sign that standard Unix cron does not have"
    never_fires = days != ["*"] and weekdays == ["*"] and not _has_day(days, months)
    impossible = "never fires: none of its months has such a day" if never_fires else None
    return next(filter(None, map(_field_problem, fields, _CRON_FIELDS)), impossible)


def _field_problem(field: str, meaning: tuple[str, int]) -> str | None:
    """What standard Unix cron refuses, and libraries accept, each with another meaning."""
    return _range_problem(field, meaning[0]) or _step_problem(field, *meaning)


def _range_problem(field: str, name: str) -> str | None:
    for start, end in _CRON_RANGE.findall(field):
        is_up_to_sunday = name == "days of the week" and _cron_number(end) == 0
        if _cron_number(start) > _cron_number(end) and not is_up_to_sunday:
            return f"has the range {start}-{end}, which ends before it begins: write it as two"
    return None


def _cron_number(value: str) -> int:
    return int(_CRON_NUMBERS.get(value, value))


def _step_problem(field: str, name: str, size: int) -> str | None:
    for step in _CRON_STEP.findall(field):
        if int(step) > size:
            return f"steps by {step[:20]} where there are {size} {name}"
    return None


def _has_day(days: list[Any], months: list[Any]) -> bool:
    some = range(1, 13) if months == ["*"] else months
    return any(min(days) <= _LONGEST_MONTHS[month - 1] for month in some)


def checked_size(what: str, value: str | ContainerSize) -> str:
    return checked_word(what, ContainerSize, value)


def checked_execution_type(value: str | ExecutionType) -> str:
    return checked_word("execution_type", ExecutionType, value)


def checked_version_number(value: str) -> str:
    """A version number for people: three numbers and an optional suffix, ``1.2.0`` or ``1.2.0-rc1`` (vendor's docs)."""
    if not isinstance(value, str) or not _VERSION_NUMBER.fullmatch(value):
        raise MicsError(
            f"version {value!r} is not a version number: write three numbers, such as '1.0.0' or '1.2.0-rc1'"
        )
    return value


def checked_word(what: str, words: Any, value: Any) -> str:
    """A word of the platform's vocabulary, in its documented spelling."""
    try:
        return str(words(value))
    except ValueError:
        known = ", ".join(word.value for word in words)
        raise MicsError(f"{what} {value!r} is not one of {known}") from None
