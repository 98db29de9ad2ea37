"""The types of single fields. They are read leniently: only an id is required.

A field that cannot be understood is None or plain text, so that a new value of the platform breaks nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, PlainSerializer

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_SECONDS = range(10**8, 10**11)
"""Numbers that are epoch seconds: from 1973 to 5138. In milliseconds, they would all be before March 1973."""
EPOCH_MICROSECONDS = range(253_402_300_800_000, 253_402_300_800_000_000)
"""Numbers that are epoch microseconds: from 1978 to 9999. In milliseconds, they would all be after the year 9999."""
LONGEST_ID = 250
"""Characters. A longer text, or one with characters that could not be read, is not an id."""
LONGEST_TEXT = 2000
"""Characters of a name or another short text. A longer one is cut."""


def milliseconds(moment: datetime) -> int:
    """Return the epoch milliseconds of an aware datetime, rounded down."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_milliseconds(value: float) -> datetime:
    """Return the UTC datetime of epoch milliseconds.

    :raises OverflowError: it is outside the range of datetime
    """
    return EPOCH + timedelta(milliseconds=value)


def id_text(value: Any) -> Any:
    """Return an id as text. The platform sends strings of digits; a JSON number means the same id."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def text(value: Any) -> str | None:
    """Return a value as text: text as it is, other values as JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, default=str)


def _flag(value: Any) -> bool:
    return value in (True, 1) or (isinstance(value, str) and value.strip().lower() in ("true", "1"))


def _whole_number(value: Any) -> int | None:
    try:
        return None if value is None or isinstance(value, bool) else int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _moment(value: Any) -> datetime | None:
    """Return a UTC datetime from what can be read without doubt; a date without a time zone is None.

    A number is in milliseconds, as documented, unless it can only be in seconds or microseconds.
    """
    try:
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        number = _whole_number(value)
        if number is None:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else None
            return None if moment is None or moment.tzinfo is None else moment.astimezone(UTC)
        if abs(number) in EPOCH_SECONDS:
            return EPOCH + timedelta(seconds=float(value))
        return from_milliseconds(number // 1000 if abs(number) in EPOCH_MICROSECONDS else number)
    except (OverflowError, ValueError):
        return None


def is_rounded(value: Any) -> bool:
    """Whether a moment has no milliseconds as the platform sent it: whole epoch seconds, or ISO text to the second."""
    number = _whole_number(value)
    if number is not None:
        return abs(number) in EPOCH_SECONDS and float(value) == number
    return isinstance(value, str) and _moment(value) is not None and "." not in value and "," not in value


def _duration(value: Any) -> timedelta | None:
    if isinstance(value, timedelta):
        return value
    number = _whole_number(value)
    try:
        return None if number is None else timedelta(milliseconds=number)
    except OverflowError:
        return None


def _moment_json(value: datetime | None) -> int | None:
    return None if value is None else milliseconds(value)


def _duration_json(value: timedelta | None) -> int | None:
    return None if value is None else value // timedelta(milliseconds=1)


def _id(value: Any) -> Any:
    found = id_text(value)
    if isinstance(found, str) and (not 0 < len(found) <= LONGEST_ID or "\ufffd" in found):
        raise ValueError("is not an id")
    return found


def _text(value: Any) -> str | None:
    found = text(value)
    return found if found is None or len(found) <= LONGEST_TEXT else f"{found[: LONGEST_TEXT - 1]}…"


Id = Annotated[str, BeforeValidator(_id)]
OptionalId = Annotated[str | None, BeforeValidator(lambda value: _text(id_text(value)))]
Text = Annotated[str | None, BeforeValidator(_text)]
Flag = Annotated[bool, BeforeValidator(_flag)]
WholeNumber = Annotated[int | None, BeforeValidator(_whole_number)]
Moment = Annotated[datetime | None, BeforeValidator(_moment), PlainSerializer(_moment_json)]
Duration = Annotated[timedelta | None, BeforeValidator(_duration), PlainSerializer(_duration_json)]


class LenientEnum(StrEnum):
    """An enumeration of the platform, equal to its text. It accepts any case, and synonyms."""

    @classmethod
    def _synonyms(cls) -> Mapping[str, str]:
        return {}

    @classmethod
    def _missing_(cls, value: object) -> LenientEnum | None:
        name = str(value).upper()
        return cls.__members__.get(cls._synonyms().get(name, name))


class CronStatus(LenientEnum):
    """Whether the platform fires the cron of an instance."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"


class ExecutionType(LenientEnum):
    """What created an execution: a person or a program (MANUAL), or the instance's cron (CRON)."""

    MANUAL = "MANUAL"
    CRON = "CRON"


class ContainerSize(LenientEnum):
    """The size of an instance's container. The vendor's web client writes ``XL`` for EXTRA_LARGE."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    LARGE = "LARGE"
    EXTRA_LARGE = "EXTRA_LARGE"

    @classmethod
    def _synonyms(cls) -> Mapping[str, str]:
        return {"XL": "EXTRA_LARGE"}


class ExecutionStatus(LenientEnum):
    """The status of an execution. The last four are known from the platform's other kinds of job.

    Source: ``jobs.ts`` and ``JobResource.ts`` of the vendor's web client, https://github.com/mnguyen-mics/mcu-nx
    """

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    SCHEDULED = "SCHEDULED"
    WAITING_DEPENDENT_JOB = "WAITING_DEPENDENT_JOB"
    EXECUTOR_NOT_RESPONDING = "EXECUTOR_NOT_RESPONDING"
    LOST = "LOST"

    @classmethod
    def _synonyms(cls) -> Mapping[str, str]:
        return {"SUCCESS": "SUCCEEDED", "CANCELLED": "CANCELED"}


NOT_STARTED = frozenset(
    {ExecutionStatus.PENDING, ExecutionStatus.SCHEDULED, ExecutionStatus.WAITING_DEPENDENT_JOB}
)
ENDED_BADLY = frozenset(
    {ExecutionStatus.FAILED, ExecutionStatus.EXECUTOR_NOT_RESPONDING, ExecutionStatus.LOST}
)
OVER = ENDED_BADLY | {ExecutionStatus.SUCCEEDED, ExecutionStatus.CANCELED}
E = TypeVar("E", bound=LenientEnum)


def lenient(enumeration: type[E]) -> Any:
    """Return a pydantic validator for an enumeration: a value that it does not have stays plain text."""

    def read(value: Any) -> E | str | None:
        if value is None:
            return None
        try:
            return enumeration(value)
        except ValueError:
            return text(value)

    return BeforeValidator(read)
