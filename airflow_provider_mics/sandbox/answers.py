"""What the platform answers: the wrappers of one resource, of a list and of an error."""

from __future__ import annotations

import html
import json
import uuid
from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from airflow_provider_mics.sandbox.pages import Window
from airflow_provider_mics.sandbox.quirks import Quirks

ERROR_CODES = {
    400: "INVALID_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "RESOURCE_NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    429: "TOO_MANY_REQUESTS",
    500: "INTERNAL_ERROR",
    502: "BAD_GATEWAY",
    503: "SERVICE_UNAVAILABLE",
    504: "GATEWAY_TIMEOUT",
}


class RefusedError(Exception):
    """The platform will not do it: an HTTP status and the sentence that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def refuse(message: str) -> RefusedError:
    """A 400: the request itself is wrong."""
    return RefusedError(400, message)


def json_response(content: Any, status: int = 200) -> Response:
    return Response(json.dumps(content).encode(), status, media_type="application/json")


def one(data: dict[str, Any], quirks: Quirks) -> Response:
    """The wrapper of one resource."""
    wrapper = {"status": "ok", "data": data}
    return json_response(_dressed(wrapper, quirks))


def window_asked_for(first_result: int, max_results: int | None, quirks: Quirks) -> Window:
    """The part of a list that is given where this one was asked for."""
    if not quirks.lists_paginated:
        return Window(0, None, quirks.list_order)
    wanted = quirks.default_max_results if max_results is None else max_results
    given = wanted if quirks.max_results_cap is None else min(wanted, quirks.max_results_cap)
    return Window(first_result, given, quirks.list_order)


def many(
    items: list[dict[str, Any]], total: int, window: Window, asked: int | None, quirks: Quirks
) -> Response:
    """The wrapper of a list, or of a part of it."""
    if window.max_results is None:
        # The vendor's sample of a list that is not paginated names a page size all the same.
        echo = asked or 20
    else:
        echo = asked if quirks.max_results_echo == "asked" and asked is not None else window.max_results
    wrapper: dict[str, Any] = {
        "status": "ok",
        "count": len(items),
        "first_result": window.first_result,
        "max_results": echo,
    }
    if quirks.lists_have_total and quirks.lists_paginated:
        wrapper["total"] = total
    return json_response(_dressed(wrapper | {"data": items}, quirks))


def deleted(quirks: Quirks) -> Response:
    """The answer to a DELETE."""
    return Response(status_code=204) if quirks.delete_answer == "empty" else json_response({"status": "ok"})


def error_content(status: int, message: str) -> dict[str, str]:
    """The wrapper of an error; its ``error_id`` is what the vendor's support asks for."""
    return {
        "status": "error",
        "error": message,
        "error_code": ERROR_CODES.get(status, "ERROR"),
        "error_id": str(uuid.uuid4()),
    }


def refusal(status: int, message: str, quirks: Quirks) -> Response:
    """The answer to a request that is refused."""
    sent_status = 200 if quirks.errors_with_status_200 else status
    if quirks.errors_as == "html":
        page = f"<html><head><title>Error {status}</title></head><body><h1>{html.escape(message)}</h1></body></html>"
        return Response(page.encode(), sent_status, media_type="text/html")
    if quirks.errors_as == "text":
        return Response(message.encode(), sent_status, media_type="text/plain")
    if quirks.errors_as == "bare_json":
        return json_response({"message": message}, sent_status)
    return json_response(error_content(status, message), sent_status)


def _dressed(wrapper: dict[str, Any], quirks: Quirks) -> dict[str, Any]:
    if quirks.extra_fields:
        wrapper = {**wrapper, "trace": {"node": "api-7"}, "data": _each(wrapper["data"], _with_extra_fields)}
    if quirks.ids_as_numbers:
        wrapper = {**wrapper, "data": _each(wrapper["data"], _with_numbers)}
    return wrapper


def _each(data: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    return [change(item) for item in data] if isinstance(data, list) else change(data)


def _with_extra_fields(resource: dict[str, Any]) -> dict[str, Any]:
    return {**resource, "new_in_this_release": {"labels": ["a", "b"], "weight": 0.5}, "legacy_flag": None}


def _with_numbers(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: _number_of_id(name, value) for name, value in resource.items()}


def _number_of_id(name: str, value: Any) -> Any:
    is_id = name == "id" or name.endswith("_id")
    return int(value) if is_id and isinstance(value, str) and value.isdigit() else value
