"""How single fields of the platform's JSON are read: leniently, since only an id is indispensable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, PlainSerializer

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(moment: datetime) -> int:
    """The epoch milliseconds of an aware datetime, exact to the millisecond."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_milliseconds(value: float) -> datetime:
    """The aware UTC datetime of epoch milliseconds; OverflowError where no datetime can hold it."""
    return EPOCH + timedelta(milliseconds=value)


def id_text(value: Any) -> Any:
    """An id as text. The platform sends strings of digits; a JSON number means the same id."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def text(value: Any) -> str | None:
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
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    number = _whole_number(value)
    try:
        return None if number is None else from_milliseconds(number)
    except OverflowError:
        return None


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


Id = Annotated[str, BeforeValidator(id_text)]

OptionalId = Annotated[str | None, BeforeValidator(lambda value: text(id_text(value)))]

Text = Annotated[str | None, BeforeValidator(text)]

Flag = Annotated[bool, BeforeValidator(_flag)]

WholeNumber = Annotated[int | None, BeforeValidator(_whole_number)]

Moment = Annotated[datetime | None, BeforeValidator(_moment), PlainSerializer(_moment_json)]

Duration = Annotated[timedelta | None, BeforeValidator(_duration), PlainSerializer(_duration_json)]


class LenientEnum(StrEnum):
    """A word of the platform's vocabulary; equal to its text."""

    @classmethod
    def _synonyms(cls) -> Mapping[str, str]:
        return {}

    @classmethod
    def _missing_(cls, value: object) -> LenientEnum | None:
        word = str(value).upper()
        return cls.__members__.get(cls._synonyms().get(word, word))


class CronStatus(LenientEnum):
    """Whether the platform fires the cron of an instance."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"


class ExecutionType(LenientEnum):
    """Who planned an execution: a person or a program (MANUAL), or the instance's own cron (CRON)."""

    MANUAL = "MANUAL"
    CRON = "CRON"


class ContainerSize(LenientEnum):
    """How large the container of an instance is; the vendor's console writes ``XL`` for EXTRA_LARGE."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    LARGE = "LARGE"
    EXTRA_LARGE = "EXTRA_LARGE"

    @classmethod
    def _synonyms(cls) -> Mapping[str, str]:
        return {"XL": "EXTRA_LARGE"}


class ExecutionStatus(LenientEnum):
    """Where an execution stands. The last four are known from the platform's other kinds of job."""

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


W = TypeVar("W", bound=LenientEnum)


def lenient(words: type[W]) -> Any:
    """Read a word of ``words``; one that the platform added since stays plain text."""

    def read(value: Any) -> W | str | None:
        if value is None:
            return None
        try:
            return words(value)
        except ValueError:
            return text(value)

    return BeforeValidator(read)
