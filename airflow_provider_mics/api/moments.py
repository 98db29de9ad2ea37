"""Moments as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from airflow_provider_mics.api.checks import checked_milliseconds
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.fields import from_milliseconds

_NUMBER = re.compile(r"-?\d{1,20}", re.ASCII)


def moment_of(value: datetime | str | int | None, name: str = "expected_start_date") -> datetime | None:
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
