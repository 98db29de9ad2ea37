"""What a request says: whose it is, for which organisation, with which query and body; each checked here."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from airflow_provider_mics.sandbox.answers import RefusedError, many, refuse, window_asked_for
from airflow_provider_mics.sandbox.executions import Execution, Staleness
from airflow_provider_mics.sandbox.instances import Instance
from airflow_provider_mics.sandbox.pages import Window
from airflow_provider_mics.sandbox.quirks import Quirks, Route
from airflow_provider_mics.sandbox.scheduler import Scheduler
from airflow_provider_mics.sandbox.state import Caller, LocalPlatform

LARGEST_ID = 2**63 - 1
STALENESS = "mics.staleness"
"""Where in a request's ASGI scope the fault `stale_list` leaves its order."""


class Ask:
    """An authenticated request and the platform that it asks."""

    def __init__(self, request: Request, caller: Caller) -> None:
        self.request = request
        self.caller = caller
        self.platform: LocalPlatform = request.app.state.platform
        self.scheduler: Scheduler = request.app.state.scheduler

    @property
    def quirks(self) -> Quirks:
        return self.platform.quirks

    @property
    def staleness(self) -> Staleness | None:
        staleness: Staleness | None = self.request.scope.get(STALENESS)
        return staleness

    def query(self, name: str) -> str | None:
        """A query parameter; an empty one counts as left out."""
        return self.request.query_params.get(name) or None

    def flag(self, name: str) -> bool | None:
        value = self.query(name)
        if value is None:
            return None
        if value.lower() not in {"true", "false"}:
            raise refuse(f"{name} must be true or false, not {value!r}")
        return value.lower() == "true"

    def window(self) -> Window:
        """The part of a list that was asked for, as far as the platform gives it."""
        first_result = self._whole_number("first_result", least=0) or 0
        return window_asked_for(first_result, self._whole_number("max_results", least=1), self.quirks)

    def page(self, items: list[dict[str, Any]], total: int, window: Window) -> Response:
        """The answer that holds this part of a list."""
        return many(items, total, window, self._whole_number("max_results", least=1), self.quirks)

    async def body(self) -> dict[str, Any]:
        """The JSON object that was sent."""
        return object_of(await self.request.body())

    def organisation(self, body: dict[str, Any] | None = None) -> str:
        """The organisation that the query or the body names: one that the token reaches."""
        named = self.named_organisation(body)
        if named is None:
            raise refuse("organisation_id must be defined")
        return self.allowed(named)

    def named_organisation(self, body: dict[str, Any] | None = None) -> str | None:
        """The organisation that the query or the body names, None where neither does."""
        in_query = self.query("organisation_id")
        in_body = (body or {}).get("organisation_id")
        if in_body is not None:
            in_body = str(in_body)
        if in_query and in_body and in_query != in_body:
            raise refuse(f"organisation_id is {in_query} in the query and {in_body} in the body")
        return in_query or in_body

    def allowed(self, organisation_id: str) -> str:
        if organisation_id not in self.caller.organisations:
            raise RefusedError(403, f"this token has no rights in organisation {organisation_id}")
        return organisation_id

    def instance(self, path_id: str, body: dict[str, Any] | None = None) -> Instance:
        """The instance of a path: it exists, and the token and the named organisation reach it."""
        number = number_of_id(path_id)
        instance = None if number is None else self.platform.instances.get(number)
        if instance is None:
            raise RefusedError(404, f"integration batch instance {path_id} not found")
        self.allowed(instance.organisation_id)
        named = self.named_organisation(body)
        if named is not None and self.allowed(named) != instance.organisation_id:
            raise RefusedError(404, f"integration batch instance {path_id} not found in organisation {named}")
        return instance

    def execution(self, instance: Instance, path_id: str) -> Execution:
        """The execution of a path, which must be of that instance."""
        number = number_of_id(path_id)
        execution = None if number is None else self.platform.executions.get(number)
        if execution is None or execution.instance_id != instance.id:
            raise RefusedError(
                404, f"execution {path_id} of integration batch instance {instance.id} not found"
            )
        return execution

    def needs_route(self, route: Route) -> None:
        """Refuse as a deployment does that lacks a route."""
        path = self.request.url.path
        if route == "404":
            raise RefusedError(404, f"no route {path}")
        if route == "405":
            raise RefusedError(405, f"{self.request.method} is not allowed on {path}")

    def _whole_number(self, name: str, least: int) -> int | None:
        value = self.query(name)
        if value is None:
            return None
        if not value.isdecimal() or not least <= int(value) <= LARGEST_ID:
            raise refuse(f"{name} must be a whole number of at least {least}, not {value!r}")
        return int(value)


def object_of(content: bytes) -> dict[str, Any]:
    """The JSON object of a body: one that can be kept and given back, or no list that holds it could be read."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        raise refuse("the body is not JSON") from None
    try:
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise refuse(
            "the body holds NaN, an infinity or half a character, which JSON cannot give back"
        ) from None
    if not isinstance(body, dict):
        raise refuse("the body must be a JSON object")
    return body


def number_of_id(text: Any) -> int | None:
    """The number behind an id in decimal digits; None where it cannot be one."""
    text = str(text)
    if not (text.isascii() and text.isdecimal()) or len(text) > 19:
        return None
    return int(text) if int(text) <= LARGEST_ID else None


async def asked(request: Request) -> Ask:
    """The request, once its token is known to be good."""
    token = request.headers.get("authorization", "").strip()
    if not token:
        raise RefusedError(401, "no API token: send it bare in the Authorization header")
    if token.lower().startswith("bearer "):
        raise RefusedError(
            401, "an API token goes bare into the Authorization header, without the word Bearer"
        )
    platform: LocalPlatform = request.app.state.platform
    caller = platform.caller(token)
    if caller is None:
        raise RefusedError(401, "this API token is unknown, expired or revoked")
    return Ask(request, caller)


Asked = Annotated[Ask, Depends(asked)]
