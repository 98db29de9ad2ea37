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
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Generic, TypeGuard, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.errors import (
    MicsApiError,
    MicsAuthError,
    MicsNotFoundError,
    MicsRateLimitError,
    MicsResponseError,
)
from airflow_provider_mics.api.field_types import WholeNumber
from airflow_provider_mics.api.json_text import Json, cleaned, read_json
from airflow_provider_mics.api.text import EXCERPT_SOURCE, excerpt, one_line, redact

T = TypeVar("T")
HINTS = {
    401: "the token is wrong or has expired: check the password of the connection",
    403: "the token has no rights in that organisation, or not these: check organisation_id and the token",
    304: "something between us and the platform answers from its own memory: exempt the platform from its cache",
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
    content: bytes = field(repr=False)

    @property
    def date(self) -> datetime | None:
        """The ``Date`` header in UTC; None where there is none, or none that can be read."""
        try:
            date = parsedate_to_datetime(self.headers.get("date", ""))
            return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
        except (ValueError, OverflowError):
            return None


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
    """One page of a list. ``total`` is None where the platform does not paginate.

    ``data`` holds the items that can be read, ``unreadable`` the others as JSON, by their position in the page.
    """

    data: list[T]
    unreadable: Annotated[dict[int, Any], BeforeValidator(lambda _: {})] = {}
    first_result: WholeNumber = None
    max_results: WholeNumber = None
    total: WholeNumber = None

    @property
    def size(self) -> int:
        """How many items the page has, readable or not."""
        return len(self.data) + len(self.unreadable)


class ErrorInSuccess(Exception):
    """A response with a success status code and ``status: error``."""

    def __init__(self, wrapper: _Wrapper) -> None:
        super().__init__(wrapper.error)
        self.wrapper = wrapper


class UnexpectedBody(Exception):
    """A body that is not the platform's; the message continues "the response ..."."""


def _json_of(content: bytes) -> Json:
    """Decode a body.

    :raises ErrorInSuccess: it says that it is an error
    :raises UnexpectedBody: it is not JSON
    """
    try:
        body = read_json(content)
    except ValueError:
        raise UnexpectedBody("is not JSON") from None
    _check_status(_wrapper_of(body))
    return body


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


def one(model: type[T], *, has_id: str | None = None) -> Callable[[bytes], T]:
    """Return a reader of one resource.

    :param has_id: the id that the resource must have, or None. The answer to another request has another id.
    """
    return lambda content: _one_of(_json_of(content), model, has_id)


def one_with_raw(
    model: type[T], *, has_id: str | None = None
) -> Callable[[bytes], tuple[T, dict[str, Any] | None]]:
    """Return a reader of one resource and its JSON, for a resource that is to be written back unchanged.

    The JSON is None if parts of it cannot be written back; see `Json.is_exact`.
    """

    def read(content: bytes) -> tuple[T, dict[str, Any] | None]:
        body = _json_of(content)
        return _one_of(body, model, has_id), body.value["data"] if body.is_exact else None

    return read


def _one_of(body: Json, model: type[T], has_id: str | None) -> T:
    value: T = _One[model].model_validate(cleaned(body.value)).data  # type: ignore[valid-type]
    answered_id = getattr(value, "id", None)
    if has_id is not None and answered_id != has_id:
        raise UnexpectedBody(f"is of id {one_line(str(answered_id), 50)}, not of {has_id}")
    return value


def one_or_sent(model: type[T], sent: Mapping[str, Any]) -> Callable[[bytes], T]:
    """Return a reader of one resource that was written: without a body, it is what was sent."""
    read_one, is_sent = one(model), _One[model].model_validate  # type: ignore[valid-type]
    return lambda content: read_one(content) if content.strip() else is_sent({"data": dict(sent)}).data


def cannot_be_written_back(path: str) -> MicsResponseError:
    """Return the error for a resource whose JSON holds more than can be written back unchanged."""
    return MicsResponseError(
        f"PUT /v1/{path}: not sent: the resource is nested too deeply, or holds a number that is too long, "
        "to be written back unchanged. Change it on the platform's console"
    )


def page(model: type[T], *, is_cleaned: bool = True) -> Callable[[bytes], Page[T]]:
    """Return a reader of one page of a list, in which an unreadable item harms no other.

    A page of which no item can be read is not a page of this list, and is refused.

    :param is_cleaned: False keeps the texts as they came, for items that are to be written back unchanged
    """
    read_any = page_of_any(model, is_cleaned=is_cleaned)

    def read(content: bytes) -> Page[T]:
        given = read_any(content)
        if given.unreadable and not given.data:
            item = next(iter(given.unreadable.values()))
            Page[model].model_validate({"data": [item]})  # type: ignore[valid-type]
        return given

    return read


def page_of_any(model: type[T], *, is_cleaned: bool = True) -> Callable[[bytes], Page[T]]:
    """Return a reader as `page` does, which accepts a page of which no item can be read."""

    def read(content: bytes) -> Page[T]:
        body = _json_of(content).value
        body = cleaned(body) if is_cleaned else body
        try:
            return Page[model].model_validate(body)  # type: ignore[valid-type]
        except ValidationError:
            if not isinstance(body, dict) or not isinstance(body.get("data"), list):
                raise
        given: Page[T] = Page[model].model_validate(body | {"data": []})  # type: ignore[valid-type]
        read_item = TypeAdapter(model).validate_python
        for position, item in enumerate(body["data"]):
            try:
                given.data.append(read_item(item))
            except ValidationError:
                given.unreadable[position] = item
        return given

    return read


def ignore_body(content: bytes) -> None:
    """Read a response of which only the success matters: an empty body, plain text or the platform's JSON.

    :raises UnexpectedBody: it is a web page, or JSON that is not the platform's
    """
    if _is_web_page(content):
        raise UnexpectedBody("is a web page")
    try:
        body = read_json(content)
    except ValueError:
        return
    if body.value != {}:
        _check_status(_wrapper_of(body))


def read_response(call: Call[T], response: Response, secret: str) -> T:
    """Return the value of a response.

    :param secret: the token; no error shows it
    :raises MicsApiError: the platform refused the request, with an error status code or with ``status: error``
    :raises MicsResponseError: the body cannot be read
    """
    if not 200 <= response.status_code < 300:
        raise _api_error(call, response, _wrapper_of_error(response.content), secret)
    try:
        return call.read(response.content)
    except ErrorInSuccess as error:
        raise _api_error(call, response, error.wrapper, secret) from None
    except (ValidationError, UnexpectedBody) as error:
        problem = redact(f"{call}: the response {_problem(error)}", secret)
        raise MicsResponseError(f"{problem}: {_body_excerpt(response.content, secret)}") from None


def _wrapper_of(body: Json) -> _Wrapper | None:
    """Return the platform's wrapper of a body, or None if it is no JSON object."""
    if not isinstance(body.value, dict):
        return None
    fields = {name: value for name, value in body.value.items() if name in _Wrapper.model_fields}
    return _Wrapper.model_validate(cleaned(fields))


def _wrapper_of_error(content: bytes) -> _Wrapper | None:
    try:
        return _wrapper_of(read_json(content))
    except ValueError:
        return None


def _api_error(call: Call[Any], response: Response, wrapper: _Wrapper | None, secret: str) -> MicsApiError:
    status, from_platform = response.status_code, _has_status(wrapper, "error")
    wrapper = wrapper or _Wrapper()
    message = wrapper.error or ""
    where = response.headers.get("location")
    if status in (301, 302, 303, 307, 308) or (300 <= status < 400 and where):
        where = where or "another address"
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
