"""Checks of arguments before they are sent, so that a mistake is one clear line and no error of the platform."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_mics.api.cron_syntax import cron_problem
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.field_types import (
    ContainerSize,
    CronStatus,
    ExecutionType,
    LenientEnum,
    from_milliseconds,
    milliseconds,
)

_ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_VERSION_NUMBER = re.compile(r"\d+\.\d+\.\d+(-[A-Za-z0-9.-]+)?", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,20}", re.ASCII)
LAST_MOMENT = milliseconds(datetime.max.replace(tzinfo=UTC))
"""Epoch milliseconds."""
FIRST_PLAUSIBLE_MOMENT = 100_000_000_000
"""Epoch milliseconds, in March 1973. A smaller number is taken for seconds."""
LONGEST = timedelta(days=36_500).total_seconds()
"""Seconds: the longest length of time that an argument may have."""


def checked_id(what: str, value: str | int | None) -> str:
    """Return an id as text, as a path needs it.

    :param what: the name of the argument, for the error
    :raises MicsError: the value is no id
    """
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _ID.fullmatch(text):
        raise MicsError(f"{what} {value!r} is not an id: give the platform's id, such as '1185'")
    return text


def checked_milliseconds(what: str, value: datetime | int) -> int:
    """Return epoch milliseconds.

    :param what: the name of the argument, for the error
    :param value: an aware datetime, or epoch milliseconds
    :raises MicsError: the datetime is naive, or the number is negative, too large, or in seconds
    """
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


def checked_cron(
    cron: str | None, cron_status: str | CronStatus | None, *, is_syntax_checked: bool = True
) -> None:
    """Check a cron and its status.

    The platform takes both or neither, and five fields of standard Unix cron:
    https://developer.mediarithmics.io/data-ingestion/bulk-processing/integration-batch

    :param is_syntax_checked: whether the fields of the cron are checked too
    :raises MicsError: one is missing, the status is unknown, or the cron is invalid
    """
    if (cron is None) != (cron_status is None):
        given, missing = ("cron_status", "cron") if cron is None else ("cron", "cron_status")
        value = cron_status if cron is None else cron
        raise MicsError(
            f"{given} {str(value)!r} is given without {missing}: give both, or neither for manual runs"
        )
    if cron is not None:
        problem = cron_problem(cron) if is_syntax_checked else None
        if problem:
            raise MicsError(f"cron {cron!r} {problem}")
        checked_word("cron_status", CronStatus, cron_status)


def checked_size(what: str, value: str | ContainerSize) -> str:
    return checked_word(what, ContainerSize, value)


def checked_execution_type(value: str | ExecutionType) -> str:
    return checked_word("execution_type", ExecutionType, value)


def checked_version_number(value: str) -> str:
    """Return a version number, such as ``1.2.0`` or ``1.2.0-rc1``.

    The format: https://developer.mediarithmics.io/advanced-usages/plugins/creation-deployment

    :raises MicsError: the value is no version number
    """
    if not isinstance(value, str) or not _VERSION_NUMBER.fullmatch(value):
        raise MicsError(
            f"version {value!r} is not a version number: write three numbers, such as '1.0.0' or '1.2.0-rc1'"
        )
    return value


def checked_word(what: str, words: type[LenientEnum], value: Any) -> str:
    """Return a value of an enumeration in the platform's documented spelling.

    :param what: the name of the argument, for the error
    :raises MicsError: the enumeration has no such value
    """
    try:
        return str(words(value))
    except ValueError:
        known = ", ".join(words)
        raise MicsError(f"{what} {value!r} is not one of {known}") from None


def seconds_of(owner: str, name: str, value: Any, *, may_be_zero: bool = False) -> float:
    """Return a length of time in seconds.

    :param owner: whose argument it is, for the error
    :param name: the name of the argument, for the error
    :param value: seconds, or a timedelta
    :param may_be_zero: whether 0 is allowed
    :raises ValueError: the value is no number and no timedelta, is negative, or is longer than a hundred years
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
        raise ValueError(f"{owner}: {name} {value!r} is no length of time: give seconds or a timedelta")
    if seconds < 0 or (seconds == 0 and not may_be_zero):
        bound = "must not be below 0 seconds" if may_be_zero else "must be above 0 seconds"
        raise ValueError(f"{owner}: {name} {value} {bound}")
    if seconds > LONGEST:
        raise ValueError(
            f"{owner}: {name} {value} is longer than a hundred years: give seconds or a timedelta"
        )
    return float(seconds)


def parse_datetime(value: datetime | str | int | None, name: str = "expected_start_date") -> datetime | None:
    """Return a UTC datetime, to the microsecond, or None for no value.

    :param value: an aware datetime, ISO 8601 text with a time zone, or epoch milliseconds, also as text
    :param name: the name of the argument, for the error
    :raises MicsError: the value is no date and time, has no time zone, or is negative
    """
    if value is None or value in ("", "None"):
        return None
    if isinstance(value, str):
        text = value.strip()
        value = int(text) if _NUMBER.fullmatch(text) else _from_iso(name, text)
    checked = from_milliseconds(checked_milliseconds(name, value))
    return value.astimezone(UTC) if isinstance(value, datetime) else checked


def _from_iso(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise MicsError(f"{name} {text!r} is not a moment: write it like 2026-01-31T05:30:00+00:00") from None
    if moment.tzinfo is None:
        raise MicsError(f"{name} {text!r} has no time zone: add one, such as +00:00")
    return moment
