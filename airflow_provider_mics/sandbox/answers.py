"""The bodies of the platform's answers: one resource, a list, an error."""

from __future__ import annotations

import html
import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from airflow_provider_mics.sandbox.database import Page
from airflow_provider_mics.sandbox.quirks import Quirks

ERROR_CODES = {
    400: "INVALID_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "RESOURCE_NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    416: "RANGE_NOT_SATISFIABLE",
    429: "TOO_MANY_REQUESTS",
    500: "INTERNAL_ERROR",
    502: "BAD_GATEWAY",
    503: "SERVICE_UNAVAILABLE",
    504: "GATEWAY_TIMEOUT",
}


class ApiError(Exception):
    """A request that the platform refuses, with an HTTP status and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def bad_request(message: str) -> ApiError:
    return ApiError(400, message)


def json_response(content: Any, status: int = 200) -> Response:
    return Response(json.dumps(content).encode(), status, media_type="application/json")


def resource_response(data: dict[str, Any], quirks: Quirks) -> Response:
    """Return the answer with one resource."""
    return json_response(_apply_quirks({"status": "ok", "data": data}, quirks))


def served_page(first_result: int, max_results: int | None, quirks: Quirks) -> Page:
    """Return the page that the platform serves for a requested one."""
    if not quirks.lists_paginated:
        return Page(0, None, quirks.list_order)
    requested = quirks.default_max_results if max_results is None else max_results
    served = requested if quirks.max_results_cap is None else min(requested, quirks.max_results_cap)
    return Page(first_result, served, quirks.list_order)


def list_response(
    items: list[dict[str, Any]], total: int, page: Page, requested: int | None, quirks: Quirks
) -> Response:
    """Return the answer with a page of a list. ``requested`` is the max_results of the request."""
    if page.max_results is None:
        # The vendor's sample of a list without paging names a page size all the same.
        max_results = requested or 20
    else:
        max_results = requested if requested and quirks.max_results_echo == "asked" else page.max_results
    wrapper: dict[str, Any] = {
        "status": "ok",
        "count": len(items),
        "first_result": page.first_result,
        "max_results": max_results,
    }
    if quirks.lists_have_total and quirks.lists_paginated:
        wrapper["total"] = _shown_total(total, len(items), quirks)
    return json_response(_apply_quirks(wrapper | {"data": items}, quirks))


def _shown_total(total: int, size: int, quirks: Quirks) -> int | str:
    shown: dict[str, int | str] = {
        "text": str(total),
        "of_page": size,
        "too_small": total // 2,
        "too_large": 3 * total,
    }
    return shown.get(quirks.total_shown, total)


def deleted_response(quirks: Quirks) -> Response:
    """Return the answer to a DELETE."""
    return Response(status_code=204) if quirks.delete_answer == "empty" else json_response({"status": "ok"})


def error_content(status: int, message: str) -> dict[str, str]:
    """Return the JSON object of an error. The vendor's support asks for its ``error_id``."""
    return {
        "status": "error",
        "error": message,
        "error_code": ERROR_CODES.get(status, "ERROR"),
        "error_id": str(uuid.uuid4()),
    }


def error_response(status: int, message: str, quirks: Quirks) -> Response:
    """Return the answer to a request that is refused."""
    sent_status = 200 if quirks.errors_with_status_200 else status
    if quirks.errors_as == "html":
        page = f"<html><head><title>Error {status}</title></head><body><h1>{html.escape(message)}</h1></body></html>"
        return Response(page.encode(), sent_status, media_type="text/html")
    if quirks.errors_as == "text":
        return Response(message.encode(), sent_status, media_type="text/plain")
    if quirks.errors_as == "bare_json":
        return json_response({"message": message}, sent_status)
    return json_response(error_content(status, message), sent_status)


def _apply_quirks(wrapper: dict[str, Any], quirks: Quirks) -> dict[str, Any]:
    if quirks.extra_fields:
        wrapper = {**wrapper, "trace": {"node": "api-7"}, "data": _map(_with_extra_fields, wrapper["data"])}
    if quirks.ids_as_numbers:
        wrapper = {**wrapper, "data": _map(_with_number_ids, wrapper["data"])}
    if quirks.dates_as != "milliseconds":
        write = _DATE_FORMATS[quirks.dates_as]
        wrapper = {**wrapper, "data": _map(lambda resource: _with_dates(resource, write), wrapper["data"])}
    return wrapper


def _map(change: Callable[[dict[str, Any]], dict[str, Any]], data: Any) -> Any:
    return [change(item) for item in data] if isinstance(data, list) else change(data)


def _with_extra_fields(resource: dict[str, Any]) -> dict[str, Any]:
    return {**resource, "new_in_this_release": {"labels": ["a", "b"], "weight": 0.5}, "legacy_flag": None}


def _with_number_ids(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: _number_id(name, value) for name, value in resource.items()}


def _number_id(name: str, value: Any) -> Any:
    is_id = name == "id" or name.endswith("_id")
    return int(value) if is_id and isinstance(value, str) and value.isdigit() else value


def _iso(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


LARGEST_SECONDS = 10**11
"""Smaller numbers are epoch seconds, where answers have them."""
_DATE_FORMATS: dict[str, Callable[[int], Any]] = {
    "seconds": lambda milliseconds: milliseconds // 1000,
    "iso": lambda milliseconds: _iso(milliseconds).isoformat(timespec="milliseconds"),
    "iso_without_offset": lambda milliseconds: (
        _iso(milliseconds).replace(tzinfo=None).isoformat(timespec="milliseconds")
    ),
}


def read_date(value: Any, quirks: Quirks) -> Any:
    """Return a date of a request in epoch milliseconds, if it is in the form that answers have; else as it is."""
    if quirks.dates_as == "seconds" and isinstance(value, int) and abs(value) < LARGEST_SECONDS:
        return value * 1000
    if quirks.dates_as.startswith("iso") and isinstance(value, str):
        with suppress(ValueError):
            moment = datetime.fromisoformat(value)
            return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    return value


def _with_dates(resource: dict[str, Any], write: Callable[[int], Any]) -> dict[str, Any]:
    return {name: _written_date(name, value, write) for name, value in resource.items()}


def _written_date(name: str, value: Any, write: Callable[[int], Any]) -> Any:
    if isinstance(value, dict) and name == "parameters":
        return _with_dates(value, write)
    is_date = name.endswith(("_date", "_ts"))
    return write(value) if is_date and isinstance(value, int) else value
