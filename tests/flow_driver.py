"""Runs calls and flows without waiting: its clock moves only when a flow sleeps, and nothing is lost of what it did."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from airflow_provider_mics.api import Call, Job, MicsClient, Response, Step, drive

T = TypeVar("T")
Server = Callable[[Call[Any]], Any]
"""Gets each request; returns JSON, bytes or a `Response`, or raises."""
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def ok(data: Any, **more: Any) -> dict[str, Any]:
    """The platform's wrapper of one resource or of a list."""
    return {"status": "ok", "data": data, **more}


def refusal(status: int, message: str = "no", **headers: str) -> Response:
    """The platform's wrapper of an error."""
    content = {"status": "error", "error": message, "error_code": "CODE", "error_id": "id-1"}
    return Response(status, headers, json.dumps(content).encode())


class FunctionTransport:
    """A server that is a function, as the transport of a `MicsClient`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def send(self, call: Call[Any]) -> Response:
        given = self._server(call)
        if isinstance(given, Response):
            return given
        return Response(200, {}, given if isinstance(given, bytes) else json.dumps(given).encode())

    def close(self) -> None:
        pass


class FlowDriver:
    """Runs flows on a `MicsClient`: with ``server`` in place of HTTP, or over HTTP at ``base_url``.

    ``before`` gets each call before it is sent, ``asleep`` the seconds of each pause as it begins.
    """

    def __init__(
        self,
        server: Server | None = None,
        *,
        base_url: str = "http://platform.invalid",
        token: str = "the-secret-token",
        organisation_id: str = "1185",
        max_retries: int = 0,
        now: datetime = NOON,
        before: Callable[[Call[Any]], object] = lambda call: None,
        asleep: Callable[[float], object] = lambda seconds: None,
    ) -> None:
        self.now = now
        self.calls: list[Call[Any]] = []
        self.pauses: list[float] = []
        self.log: list[tuple[int, str]] = []
        self.before = before
        self.asleep = asleep
        self._client = MicsClient(
            base_url,
            token,
            organisation_id,
            transport=None if server is None else FunctionTransport(server),
            max_retries=max_retries,
            sleep=self._sleep,
            clock=lambda: self.now,
            log=_Lines(self.log),
        )

    def run(self, job: Job[T]) -> T:
        return drive(job, self._perform)

    @property
    def messages(self) -> list[str]:
        return [message for _, message in self.log]

    @property
    def warnings(self) -> list[str]:
        return [message for level, message in self.log if level >= logging.WARNING]

    @property
    def lines(self) -> str:
        return "\n".join(self.messages)

    def _perform(self, step: Step) -> Any:
        if isinstance(step, Call):
            self.calls.append(step)
            self.before(step)
        return self._client.perform(step)

    def _sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.pauses.append(seconds)
        self.asleep(seconds)
        self.now += timedelta(seconds=seconds)


class _Lines:
    def __init__(self, log: list[tuple[int, str]]) -> None:
        self._log = log

    def log(self, level: int, message: str, /, *args: object) -> None:
        self._log.append((level, message % args))
