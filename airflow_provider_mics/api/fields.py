"""How single fields of the platform's JSON are read: leniently, since only an id is indispensable."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

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
