"""Reading an answer: status, wrapper and data become a value, or one of `errors.py`."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.errors import (
    MicsApiError,
    MicsAuthError,
    MicsError,
    MicsNotFoundError,
    MicsRateLimitError,
    MicsResponseError,
)
from airflow_provider_mics.api.field_types import WholeNumber

T = TypeVar("T")

EXCERPT_LENGTH = 200

LOOKED_AT = 4000

"""Characters of a text from the platform of which an excerpt is made."""

WHAT_TO_DO = {
    401: "the token is wrong or has expired: check the password of the connection",
    403: "the token has no rights in that organisation, or not these: check organisation_id and the token",
    404: "there is no such resource or route: check the ids, and the host of the connection",
}

"""What a refusal means that gives no reason itself."""

_TAG = re.compile(r"<[^<>]*>")


@dataclass(frozen=True)
class Response:
    """What came over the wire; header names are lower-case."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


def _optional_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, default=str)


class _Wrapper(BaseModel):
    """The platform's wrapper around every answer; an error's fields are there in a refusal only."""

    model_config = ConfigDict(defer_build=True)

    status: Annotated[str | None, BeforeValidator(_optional_text)] = None
    error: Annotated[str | None, BeforeValidator(_optional_text)] = None
    error_code: Annotated[str | None, BeforeValidator(_optional_text)] = None
    error_id: Annotated[str | None, BeforeValidator(_optional_text)] = None


class _One(_Wrapper, Generic[T]):
    data: T


class Page(_Wrapper, Generic[T]):
    """A part of a list; the platform leaves ``total`` out where it does not page."""

    data: list[T]
    first_result: WholeNumber = None
    max_results: WholeNumber = None
    total: WholeNumber = None


class _Anything(_Wrapper):
    model_config = ConfigDict(extra="allow")

    data: Any = None


class RefusedWithSuccess(Exception):
    """An answer with a good HTTP status that holds ``status: error``."""

    def __init__(self, wrapper: _Wrapper) -> None:
        super().__init__(wrapper.error)
        self.wrapper = wrapper


class NotUnderstood(Exception):
    """An answer that says something else than what was asked for; the rest of a sentence about it."""


W = TypeVar("W", bound=_Wrapper)


def _read(wrapper: type[W], content: bytes) -> W:
    try:
        answer = wrapper.model_validate_json(content)
    except ValidationError:
        _refuse_error(_wrapper_of(content))
        raise
    _refuse_error(answer)
    return answer


def _refuse_error(wrapper: _Wrapper | None) -> None:
    if wrapper is not None and wrapper.status is not None and wrapper.status.lower() == "error":
        raise RefusedWithSuccess(wrapper)


def one(model: type[T]) -> Callable[[bytes], T]:
    """A reader of ``{"status": "ok", "data": {...}}``."""
    return lambda content: _read(_One[model], content).data  # type: ignore[valid-type]


def one_with_raw(model: type[T]) -> Callable[[bytes], tuple[T, dict[str, Any]]]:
    """As `one`, together with the JSON itself: what is to be written back must not have lost anything."""
    return lambda content: (_read(_One[model], content).data, json.loads(content)["data"])  # type: ignore[valid-type]


def page(model: type[T]) -> Callable[[bytes], Page[T]]:
    """A reader of one page of a list."""
    return lambda content: _read(Page[model], content)  # type: ignore[valid-type]


def ignore_body(content: bytes) -> None:
    """A reader for calls whose success says nothing more: empty, plain text or the platform's JSON.

    :raises NotUnderstood: it is a web page, or JSON of somebody else's
    """
    if _is_web_page(content):
        raise NotUnderstood("is a web page")
    try:
        said = _Anything.model_validate_json(content)
    except ValidationError:
        return
    _refuse_error(said)
    names = said.model_fields_set | set(said.model_extra or ())
    if names and not names & {"status", "data"}:
        raise NotUnderstood("holds neither a status nor data")


def answer(call: Call[T], response: Response, secret: str) -> T:
    """The value of a good answer; ``secret`` never shows in what is raised for a bad one.

    :raises MicsApiError: the platform refused, also where it did so with a good HTTP status
    :raises MicsResponseError: the answer makes no sense
    """
    if not 200 <= response.status_code < 300:
        raise _refusal(call, response, _wrapper_of(response.content), secret)
    try:
        return call.read(response.content)
    except RefusedWithSuccess as refused:
        raise _refusal(call, response, refused.wrapper, secret) from None
    except (ValidationError, NotUnderstood) as invalid:
        problem = redact(secret, f"{call}: the answer {_what_is_wrong(invalid)}")
        raise MicsResponseError(f"{problem}: {_excerpt(response.content, secret)}") from None


def _wrapper_of(content: bytes) -> _Wrapper | None:
    try:
        return _Wrapper.model_validate_json(content)
    except ValidationError:
        return None


def _refusal(call: Call[Any], response: Response, wrapper: _Wrapper | None, secret: str) -> MicsError:
    status = response.status_code
    if 300 <= status < 400:
        where = response.headers.get("location", "another address")
        message = f"the platform redirects to {where}: set the connection's host to the final address"
    else:
        message = (wrapper and wrapper.error) or ""
    kind: type[MicsApiError] = {
        401: MicsAuthError,
        403: MicsAuthError,
        404: MicsNotFoundError,
        429: MicsRateLimitError,
    }.get(status, MicsApiError)
    code, reference = (wrapper.error_code, wrapper.error_id) if wrapper else (None, None)
    return kind(
        one_line(message, secret)
        or _excerpt(response.content, secret)
        or WHAT_TO_DO.get(status, "no reason given"),
        status_code=status,
        request=redact(secret, str(call)),
        error_code=code and one_line(code, secret),
        error_id=reference and one_line(reference, secret),
        retry_after=retry_after(response.headers),
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from a ``Retry-After`` header, a number or a date; a date is read against the answer's own ``Date``."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            wait: timedelta = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))
        except (TypeError, ValueError, IndexError, OverflowError):
            return None
        seconds = wait.total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _what_is_wrong(invalid: ValidationError | NotUnderstood) -> str:
    if isinstance(invalid, NotUnderstood):
        return str(invalid)
    problem = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
    if problem["type"] == "json_invalid":
        return "is not JSON"
    where = ".".join(str(part) for part in problem["loc"]) or "it"
    return f"cannot be read ({one_line(where)}: {problem['msg']})"


def _is_web_page(content: bytes) -> bool:
    return content[:LOOKED_AT].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def _excerpt(content: bytes, secret: str) -> str:
    """The beginning of a body, as text on one line: enough to recognise a proxy's error page."""
    beginning = content[: 2 * LOOKED_AT].decode("utf-8", "replace")
    if _is_web_page(content):
        beginning = html.unescape(_TAG.sub(" ", beginning))
    return one_line(beginning, secret)


def one_line(text: str, secret: str = "") -> str:
    """The beginning of a text on one line, without the secret and without a part of it where the text is cut."""
    spellings = _spellings(secret)
    beginning = redact(secret, text[:LOOKED_AT])
    if len(text) > LOOKED_AT:
        beginning = beginning[: -max(map(len, spellings), default=0) or None]
    line = " ".join("".join(char if char.isprintable() else " " for char in beginning).split())
    return line if len(line) <= EXCERPT_LENGTH else f"{line[:EXCERPT_LENGTH]}…"


def redact(secret: str, text: str) -> str:
    """The text without the secret, in whatever spelling a server may have echoed it."""
    for spelling in _spellings(secret):
        text = text.replace(spelling, "***")
    return text


def _spellings(secret: str) -> set[str]:
    return (
        {secret, quote(secret, safe=""), html.escape(secret), secret.replace("/", "\\/")} if secret else set()
    )
