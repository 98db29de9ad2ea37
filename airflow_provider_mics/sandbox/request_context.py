"""An authenticated request with its checked parameters, body and resources."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from airflow_provider_mics.sandbox.answers import ApiError, bad_request, list_response, read_date, served_page
from airflow_provider_mics.sandbox.database import Page
from airflow_provider_mics.sandbox.executions import Execution, StaleList
from airflow_provider_mics.sandbox.instances import Instance
from airflow_provider_mics.sandbox.quirks import Quirks, Route
from airflow_provider_mics.sandbox.scheduler import Scheduler
from airflow_provider_mics.sandbox.state import Caller, PlatformState

LARGEST_INTEGER = 2**63 - 1
LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""
STALE_LIST = "mics.stale_list"
"""Key of the ASGI scope under which the fault ``stale_list`` puts a `StaleList`."""


class RequestContext:
    """An authenticated request, and the platform that it is sent to."""

    def __init__(self, request: Request, caller: Caller) -> None:
        self.request = request
        self.caller = caller
        self.platform: PlatformState = request.app.state.platform
        self.scheduler: Scheduler = request.app.state.scheduler

    @property
    def quirks(self) -> Quirks:
        return self.platform.quirks

    @property
    def stale_list(self) -> StaleList | None:
        stale: StaleList | None = self.request.scope.get(STALE_LIST)
        return stale

    def query(self, name: str) -> str | None:
        """Return a query parameter. An empty one counts as missing."""
        return self.request.query_params.get(name) or None

    def query_boolean(self, name: str) -> bool | None:
        value = self.query(name)
        if value is None:
            return None
        if value.lower() not in {"true", "false"}:
            raise bad_request(f"{name} must be true or false, not {value!r}")
        return value.lower() == "true"

    def page(self) -> Page:
        """Return the page that the platform serves for the requested one."""
        first_result = self._query_integer("first_result", least=0) or 0
        return served_page(first_result, self._query_integer("max_results", least=1), self.quirks)

    def list_response(self, items: list[dict[str, Any]], total: int, page: Page) -> Response:
        requested = self._query_integer("max_results", least=1)
        if page.first_result >= total > 0 and self.quirks.past_the_end != "empty":
            raise ApiError(int(self.quirks.past_the_end), "first_result is beyond the end of the list")
        return list_response(items, total, page, requested, self.quirks)

    def slice_response(self, items: list[dict[str, Any]]) -> Response:
        """Return the answer with the requested page of a list that is at hand in full."""
        page = self.page()
        end = None if page.max_results is None else page.first_result + page.max_results
        return self.list_response(items[page.first_result : end], len(items), page)

    async def body(self) -> dict[str, Any]:
        return json_object(await self.request.body())

    def organisation(self, body: dict[str, Any] | None = None) -> str:
        """Return the organisation in the query or the body, once the token has access to it."""
        organisation_id = self.optional_organisation(body)
        if organisation_id is None:
            raise bad_request("organisation_id must be defined")
        return self.check_access(organisation_id)

    def optional_organisation(self, body: dict[str, Any] | None = None) -> str | None:
        """Return the organisation in the query or the body, or None if neither has one."""
        in_query = self.query("organisation_id")
        in_body = (body or {}).get("organisation_id")
        if in_body is not None:
            in_body = str(in_body)
        if in_query and in_body and in_query != in_body:
            raise bad_request(f"organisation_id is {in_query} in the query and {in_body} in the body")
        return in_query or in_body

    def check_access(self, organisation_id: str) -> str:
        """Return the organisation, or raise a 403 if the token has no access to it."""
        if organisation_id not in self.caller.organisations:
            raise ApiError(403, f"this token has no rights in organisation {organisation_id}")
        return organisation_id

    def instance(self, path_id: str, body: dict[str, Any] | None = None) -> Instance:
        """Return the instance of a path, which must be of the organisation in the query or the body, if any."""
        number = number_of_id(path_id)
        instance = None if number is None else self.platform.instances.get(number)
        if instance is None:
            raise ApiError(404, f"integration batch instance {path_id} not found")
        self.check_access(instance.organisation_id)
        organisation_id = self.optional_organisation(body)
        if organisation_id is not None and self.check_access(organisation_id) != instance.organisation_id:
            raise ApiError(
                404, f"integration batch instance {path_id} not found in organisation {organisation_id}"
            )
        return instance

    def execution(self, instance: Instance, path_id: str) -> Execution:
        """Return the execution of a path, which must be of that instance."""
        number = number_of_id(path_id)
        execution = None if number is None else self.platform.executions.get(number)
        if execution is None or execution.instance_id != instance.id:
            raise ApiError(404, f"execution {path_id} of integration batch instance {instance.id} not found")
        return execution

    def require_route(self, route: Route) -> None:
        """Raise the error of a deployment without this route if the quirk says so."""
        path = self.request.url.path
        if route == "404":
            raise ApiError(404, f"no route {path}")
        if route == "405":
            raise ApiError(405, f"{self.request.method} is not allowed on {path}")

    def _query_integer(self, name: str, least: int) -> int | None:
        value = self.query(name)
        if value is None:
            return None
        if not value.isdecimal() or not least <= int(value) <= LARGEST_INTEGER:
            raise bad_request(f"{name} must be a whole number of at least {least}, not {value!r}")
        return int(value)


async def authenticate(request: Request) -> RequestContext:
    """Return the context of a request with a valid token.

    :raises ApiError: 401
    """
    token = request.headers.get("authorization", "").strip()
    if not token:
        raise ApiError(401, "no API token: send it bare in the Authorization header")
    if token.lower().startswith("bearer "):
        raise ApiError(401, "the API token must be bare in the Authorization header, without the word Bearer")
    platform: PlatformState = request.app.state.platform
    caller = platform.caller(token)
    if caller is None:
        raise ApiError(401, "this API token is unknown, expired or revoked")
    return RequestContext(request, caller)


Context = Annotated[RequestContext, Depends(authenticate)]


def json_object(content: bytes) -> dict[str, Any]:
    """Return the JSON object of a body.

    :raises ApiError: 400 if it is no JSON object, or holds what valid JSON cannot represent
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        raise bad_request("the body is not JSON") from None
    try:
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise bad_request(
            "the body holds NaN, an infinity or a lone surrogate, which are not valid JSON"
        ) from None
    if not isinstance(body, dict):
        raise bad_request("the body must be a JSON object")
    return body


def number_of_id(text: Any) -> int | None:
    """Return the number of an id in decimal digits, or None if it is not one."""
    text = str(text)
    if not (text.isascii() and text.isdecimal()) or len(text) > 19:
        return None
    return int(text) if int(text) <= LARGEST_INTEGER else None


def required_text(body: dict[str, Any], name: str) -> str:
    value = optional_text(body, name)
    if value is None:
        raise bad_request(f"{name} must be defined")
    return value


def optional_text(body: dict[str, Any], name: str) -> str | None:
    """Return a text field without spaces around it, or None if it is blank. An id may be a number."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and name.endswith("_id"):
        value = str(value)
    if not isinstance(value, str):
        raise bad_request(f"{name} must be a text, not {value!r}")
    return value.strip() or None


def optional_choice(body: dict[str, Any], name: str, choices: Iterable[str]) -> str | None:
    """Return a field that is one of several words.

    The vendor's page writes a choice as ``"ACTIVE | PAUSED"``. This means the first word here, so that the requests of
    that page work unchanged.
    """
    value = optional_text(body, name)
    if value is None:
        return None
    words = [word.strip() for word in value.split("|")]
    allowed = list(choices)
    if not all(word in allowed for word in words):
        raise bad_request(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    return words[0]


def optional_boolean(body: dict[str, Any], name: str, *, default: bool) -> bool:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise bad_request(f"{name} must be true or false, not {value!r}")
    return value


def optional_integer(body: dict[str, Any], name: str) -> int | None:
    """Return a whole number from 0 to the largest that the database can store."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_INTEGER:
        raise bad_request(f"{name} must be a whole number from 0, not {value!r}")
    return value


def required_milliseconds(body: dict[str, Any], name: str, quirks: Quirks) -> int:
    """Return a date in epoch milliseconds, which a PUT may also have in the form that answers have."""
    value = body.get(name)
    if value is None:
        raise bad_request(f"{name} must be defined")
    value = read_date(value, quirks)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LATEST_MS:
        raise bad_request(f"{name} must be epoch milliseconds, not {value!r}")
    return value


def unknown_fields(body: dict[str, Any], known: Container[str]) -> dict[str, Any]:
    """Return the fields that the platform does not know. It stores them and returns them as they came."""
    return {name: value for name, value in body.items() if name not in known}
