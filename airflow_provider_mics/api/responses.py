"""Reading a response: its status code, wrapper and data become a value, or an error of `errors.py`.

The wrapper is ``{"status": "ok", "data": ...}``, and ``{"status": "error", "error": ...}`` for an error. Sources:
https://developer.mediarithmics.io/resources/api-overview, and ``ApiService.ts`` of the vendor's web client,
https://github.com/mnguyen-mics/mcu-nx.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Generic, TypeGuard, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.errors import (
    MicsApiError,
    MicsAuthError,
    MicsNotFoundError,
    MicsRateLimitError,
    MicsResponseError,
)
from airflow_provider_mics.api.field_types import WholeNumber
from airflow_provider_mics.api.text import EXCERPT_SOURCE, excerpt, redact

T = TypeVar("T")
HINTS = {
    401: "the token is wrong or has expired: check the password of the connection",
    403: "the token has no rights in that organisation, or not these: check organisation_id and the token",
    404: "there is no such resource or route: check the ids, and the host of the connection",
}
"""By status code: the message of an error response that gives no reason."""
_ERROR_TYPES: dict[int, type[MicsApiError]] = {
    401: MicsAuthError,
    403: MicsAuthError,
    404: MicsNotFoundError,
    429: MicsRateLimitError,
}
_TAG = re.compile(r"<[^<>]*>")
_SPACE = b" \t\r\n"


@dataclass(frozen=True)
class Response:
    """An HTTP response. Header names are in lower case; the body is decoded."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


def _optional_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, default=str)


class _Wrapper(BaseModel):
    """The fields of each response; those of an error are only there in an error.

    ``status`` is ``ok`` or ``error``. Anything else is not the platform's: Spring Boot, Kubernetes and others have a
    ``status`` too.
    """

    model_config = ConfigDict(defer_build=True)

    status: Annotated[str | None, BeforeValidator(_optional_text)] = None
    error: Annotated[str | None, BeforeValidator(_optional_text)] = None
    error_code: Annotated[str | None, BeforeValidator(_optional_text)] = None
    error_id: Annotated[str | None, BeforeValidator(_optional_text)] = None


class _One(_Wrapper, Generic[T]):
    data: T


class Page(_Wrapper, Generic[T]):
    """One page of a list. ``total`` is None where the platform does not paginate."""

    data: list[T]
    first_result: WholeNumber = None
    max_results: WholeNumber = None
    total: WholeNumber = None


class ErrorInSuccess(Exception):
    """A response with a success status code and ``status: error``."""

    def __init__(self, wrapper: _Wrapper) -> None:
        super().__init__(wrapper.error)
        self.wrapper = wrapper


class UnexpectedBody(Exception):
    """A body that is not the platform's; the message continues "the response ..."."""


W = TypeVar("W", bound=_Wrapper)


def _read(wrapper: type[W], content: bytes) -> W:
    try:
        value = wrapper.model_validate_json(content)
    except ValidationError:
        any_wrapper = _wrapper_of(content)
        if _has_status(any_wrapper, "error"):
            raise ErrorInSuccess(any_wrapper) from None
        raise
    _check_status(value)
    return value


def _check_status(wrapper: _Wrapper | None) -> None:
    """Check the wrapper of a response with a success status code.

    :raises ErrorInSuccess: it is an error's
    :raises UnexpectedBody: it is not the platform's
    """
    if _has_status(wrapper, "error"):
        raise ErrorInSuccess(wrapper)
    if wrapper is not None and not _has_status(wrapper, "ok"):
        raise UnexpectedBody('is not the platform\'s: it has no status "ok"')


def _has_status(wrapper: _Wrapper | None, status: str) -> TypeGuard[_Wrapper]:
    return wrapper is not None and (wrapper.status or "").lower() == status


def one(model: type[T]) -> Callable[[bytes], T]:
    """Return a reader of one resource."""
    return lambda content: _read(_One[model], content).data  # type: ignore[valid-type]


def one_with_raw(model: type[T]) -> Callable[[bytes], tuple[T, dict[str, Any]]]:
    """Return a reader of one resource and its JSON, for a resource that is to be written back unchanged."""
    return lambda content: (_read(_One[model], content).data, json.loads(content)["data"])  # type: ignore[valid-type]


def page(model: type[T]) -> Callable[[bytes], Page[T]]:
    """Return a reader of one page of a list."""
    return lambda content: _read(Page[model], content)  # type: ignore[valid-type]


def ignore_body(content: bytes) -> None:
    """Read a response of which only the success matters: an empty body, plain text or the platform's JSON.

    :raises UnexpectedBody: it is a web page, or JSON that is not the platform's
    """
    if _is_web_page(content):
        raise UnexpectedBody("is a web page")
    wrapper = _wrapper_of(content)
    if wrapper is not None and content.strip(_SPACE) != b"{}":
        _check_status(wrapper)


def read_response(call: Call[T], response: Response, secret: str) -> T:
    """Return the value of a response.

    :param secret: the token; no error shows it
    :raises MicsApiError: the platform refused the request, with an error status code or with ``status: error``
    :raises MicsResponseError: the body cannot be read
    """
    if not 200 <= response.status_code < 300:
        raise _api_error(call, response, _wrapper_of(response.content), secret)
    try:
        return call.read(response.content)
    except ErrorInSuccess as error:
        raise _api_error(call, response, error.wrapper, secret) from None
    except (ValidationError, UnexpectedBody) as error:
        problem = redact(f"{call}: the response {_problem(error)}", secret)
        raise MicsResponseError(f"{problem}: {_body_excerpt(response.content, secret)}") from None


def _wrapper_of(content: bytes) -> _Wrapper | None:
    try:
        return _Wrapper.model_validate_json(content)
    except ValidationError:
        return None


def _api_error(call: Call[Any], response: Response, wrapper: _Wrapper | None, secret: str) -> MicsApiError:
    status, from_platform = response.status_code, _has_status(wrapper, "error")
    wrapper = wrapper or _Wrapper()
    message = wrapper.error or ""
    if 300 <= status < 400:
        where = response.headers.get("location", "another address")
        message = f"the platform redirects to {where}: set the connection's host to the final address"
    error_type = _ERROR_TYPES.get(status, MicsApiError)
    if not from_platform and error_type is not MicsRateLimitError:
        error_type = MicsApiError
    return error_type(
        excerpt(message, secret)
        or _body_excerpt(response.content, secret)
        or HINTS.get(status, "no reason given"),
        status_code=status,
        request=redact(str(call), secret),
        error_code=wrapper.error_code and excerpt(wrapper.error_code, secret),
        error_id=wrapper.error_id and excerpt(wrapper.error_id, secret),
        retry_after=retry_after(response.headers),
        from_platform=from_platform,
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a ``Retry-After`` header; a date is compared with the ``Date`` of the same response."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            pause: timedelta = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))
        except (TypeError, ValueError, IndexError, OverflowError):
            return None
        seconds = pause.total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _problem(error: ValidationError | UnexpectedBody) -> str:
    if isinstance(error, UnexpectedBody):
        return str(error)
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if problem["type"] == "json_invalid":
        return "is not JSON"
    where = ".".join(str(part) for part in problem["loc"]) or "it"
    return f"cannot be read ({excerpt(where, '')}: {problem['msg']})"


def _is_web_page(content: bytes) -> bool:
    return content[:EXCERPT_SOURCE].lstrip(b"\xef\xbb\xbf" + _SPACE).startswith(b"<")


def _body_excerpt(content: bytes, secret: str) -> str:
    """Return the beginning of a body as text: enough to recognise a proxy's error page."""
    beginning = content[: 2 * EXCERPT_SOURCE].decode("utf-8", "replace")
    if _is_web_page(content):
        beginning = html.unescape(_TAG.sub(" ", beginning))
    return excerpt(beginning, secret)
