"""Answers of what stands between us and the platform: by status code and by shape. None has the platform's wrapper."""

from __future__ import annotations

from typing import Any

from airflow_provider_mics.api import Call, Response
from tests.simulated_platform import START, Fault, SimulatedPlatform

STATUSES = (200, 301, 302, 304, 400, 401, 403, 404, 405, 409, 410, 413, 418, 422, 451, 500, 502, 503)
SHAPES: dict[str, bytes] = {
    "nothing": b"",
    "a web page": b"<!doctype html><html><title>Not Found</title><p>no route</p></html>",
    "text": b"upstream connect error",
    "other JSON": b'{"message": "no Route matched with those values"}',
    "Spring Boot": b'{"status": 404, "error": "Not Found", "data": {"id": "1", "status": "SUCCEEDED"}}',
    "a status of health": b'{"status": "UP", "data": []}',
    "a list": b"[]",
    "data alone": b'{"data": [], "total": 0}',
    "cut off": b'{"status": "ok", "data": [{"id": "1", "sta',
}
LOGIN = {"location": "https://login.example/?next=/v1"}


def foreign(status: int, shape: str) -> Response:
    """One such answer; a redirect leads to a login page."""
    return Response(status, LOGIN if 300 <= status < 400 else {}, SHAPES[shape])


def foreign_until(seconds: float, status: int, shape: str, *, method: str = "", path: str = "") -> Fault:
    """Such an answer to each request of that method and path, for so many seconds after the platform's start."""

    def fault(platform: SimulatedPlatform, call: Call[Any]) -> Response | None:
        is_hit = method in ("", call.method) and (not path or call.path.endswith(path))
        is_over = (platform.now - START).total_seconds() >= seconds
        return foreign(status, shape) if is_hit and not is_over else None

    return fault
