"""Arguments checked before they are sent, so that a mistake is one clear line and not a refusal far away."""

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
    from_milliseconds,
    milliseconds,
)

_ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

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


LONGEST = timedelta(days=36_500).total_seconds()


def seconds_of(owner: str, name: str, value: Any, *, may_be_zero: bool = False) -> float:
    """The seconds of a number or a timedelta; ``owner`` and ``name`` say in the error whose and what it is.

    :raises ValueError: it is no length of time, or none that makes sense
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


_NUMBER = re.compile(r"-?\d{1,20}", re.ASCII)


def parse_datetime(value: datetime | str | int | None, name: str = "expected_start_date") -> datetime | None:
    """A moment as a user may write it: an aware datetime, ISO 8601 text, epoch milliseconds, or nothing.

    ``name`` is that of the argument, for the error.

    :raises MicsError: it cannot be understood, has no time zone, or is negative
    """
    if value is None or value in ("", "None"):
        return None
    if isinstance(value, str):
        text = value.strip()
        value = int(text) if _NUMBER.fullmatch(text) else _parsed(name, text)
    return from_milliseconds(checked_milliseconds(name, value)).astimezone(UTC)


def _parsed(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise MicsError(f"{name} {text!r} is not a moment: write it like 2026-01-31T05:30:00+00:00") from None
    if moment.tzinfo is None:
        raise MicsError(f"{name} {text!r} has no time zone: add one, such as +00:00")
    return moment
