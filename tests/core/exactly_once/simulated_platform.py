"""A platform in memory with a clock of its own, and a driver that runs flows against it: no network, no waiting.

It knows executions only. Faults are given call by call, so that a test can place one exactly.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from airflow_provider_mics.api.calls import Call, Job, Log, Now, Sleep
from airflow_provider_mics.api.errors import MicsConnectionError
from airflow_provider_mics.api.field_types import milliseconds
from airflow_provider_mics.api.responses import Response, answer

T = TypeVar("T")
START = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)
Fault = Callable[["SimulatedPlatform", Call[Any]], Response | None]


class Killed(BaseException):
    """The process dies here."""


@dataclass
class SimulatedPlatform:
    """``faults`` are taken in turn, one for each request; None lets the request through."""

    now: datetime = START
    stale_for: timedelta = timedelta(0)
    newest_first: bool = True
    faults: Iterator[Fault | None] = field(default_factory=lambda: iter(()))
    instance: dict[str, Any] = field(default_factory=lambda: {"id": "42", "name": "Nightly import"})
    executions: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    log: list[tuple[int, str]] = field(default_factory=list)

    def run(self, job: Job[T]) -> T:
        steps = iter(job)
        send: Callable[[], Any] = lambda: next(steps)  # noqa: E731
        while True:
            try:
                step = send()
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            try:
                result = self._perform(step)
            except Exception as error:
                send = lambda error=error: steps.throw(error)  # noqa: E731
            else:
                send = lambda result=result: steps.send(result)  # noqa: E731

    def _perform(self, step: Any) -> Any:
        if isinstance(step, Sleep):
            self.now += timedelta(seconds=step.seconds)
        elif isinstance(step, Now):
            return self.now
        elif isinstance(step, Log):
            self.log.append((step.level, step.message))
        else:
            self.requests.append(f"{step.method} {step.path}")
            fault = next(self.faults, None)
            response = fault(self, step) if fault else None
            return answer(step, response or self.respond(step), "secret-token")
        return None

    def respond(self, call: Call[Any]) -> Response:
        if call.method == "POST" and call.path.endswith("/executions"):
            return self._ok(self.create(dict((call.body or {})["parameters"])))
        if call.path.endswith("/executions"):
            return self._page(call)
        if call.path.endswith("/action"):
            self._one(call.path.split("/")[-2])["status"] = "CANCELED"
            return self._ok({})
        if "/executions/" in call.path:
            found = self._one(call.path.rsplit("/", 1)[1])
            return (
                self._ok(found)
                if found
                else Response(404, {}, b'{"status":"error","error":"no such execution"}')
            )
        return self._ok(self.instance)

    def create(self, parameters: dict[str, Any], status: str = "PENDING") -> dict[str, Any]:
        execution = {
            "id": str(len(self.executions) + 1),
            "status": status,
            "creation_date": milliseconds(self.now),
            "parameters": parameters,
        }
        self.executions.append(execution)
        return execution

    def fire(self, tick: datetime, status: str = "PENDING") -> dict[str, Any]:
        """What the platform's own scheduler does."""
        return self.create({"execution_type": "CRON", "expected_start_date": milliseconds(tick)}, status)

    def _one(self, execution_id: str) -> dict[str, Any]:
        return next((each for each in self.executions if each["id"] == execution_id), {})

    def _page(self, call: Call[Any]) -> Response:
        shown = milliseconds(self.now - self.stale_for)
        visible = [each for each in self.executions if each["creation_date"] <= shown]
        ordered = list(reversed(visible)) if self.newest_first else visible
        first, size = int(call.query["first_result"]), int(call.query["max_results"])
        return self._ok(ordered[first : first + size], total=len(ordered))

    @staticmethod
    def _ok(data: Any, **more: Any) -> Response:
        return Response(200, {}, json.dumps({"status": "ok", "data": data, **more}).encode())

    def lines(self, level: int = logging.DEBUG) -> str:
        return "\n".join(message for severity, message in self.log if severity >= level)


def lost_answer(platform: SimulatedPlatform, call: Call[Any]) -> Response:
    """The work is done, the answer is lost."""
    platform.respond(call)
    raise MicsConnectionError(f"{call}: connection reset")


def lost_request(platform: SimulatedPlatform, call: Call[Any]) -> Response:
    raise MicsConnectionError(f"{call}: connection reset")


def delivered_twice(platform: SimulatedPlatform, call: Call[Any]) -> Response:
    platform.respond(call)
    return platform.respond(call)


def killed_before(platform: SimulatedPlatform, call: Call[Any]) -> Response:
    raise Killed


def killed_after(platform: SimulatedPlatform, call: Call[Any]) -> Response:
    platform.respond(call)
    raise Killed


def status(code: int, body: bytes = b"<html>bad gateway</html>") -> Fault:
    return lambda platform, call: Response(code, {}, body)


def after(done: Fault, code: int) -> Fault:
    """The work is done, and the answer is an error page all the same."""

    def fault(platform: SimulatedPlatform, call: Call[Any]) -> Response:
        platform.respond(call)
        return Response(code, {}, b"<html>gateway timeout</html>")

    return fault
