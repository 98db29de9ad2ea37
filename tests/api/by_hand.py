"""Running calls and flows by hand: a server that is a function, a clock that moves when somebody sleeps."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from airflow_provider_mics.api.calls import Call, Job, Log, Now, Sleep, Step
from airflow_provider_mics.api.responses import Response, answer

T = TypeVar("T")
Server = Callable[[Call[Any]], Any]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def ok(data: Any, **more: Any) -> dict[str, Any]:
    """The platform's wrapper of one resource or of a list."""
    return {"status": "ok", "data": data, **more}


def refusal(status: int, message: str = "no", **headers: str) -> Response:
    """The platform's wrapper of an error."""
    content = {"status": "error", "error": message, "error_code": "CODE", "error_id": "id-1"}
    return Response(status, headers, json.dumps(content).encode())


class ByHand:
    """Drives flows. ``server`` gets each call and gives JSON, bytes or a `Response`, or raises."""

    def __init__(self, server: Server, now: datetime = NOON) -> None:
        self.server = server
        self.now = now
        self.calls: list[Call[Any]] = []
        self.pauses: list[float] = []
        self.lines: list[tuple[int, str]] = []

    def run(self, job: Job[T]) -> T:
        steps = iter(job)
        resume: Callable[[], Step] = lambda: next(steps)  # noqa: E731 - the first of the ways to go on
        while True:
            try:
                step = resume()
            except StopIteration as end:
                result: T = end.value
                return result
            resume = self._after(steps, step)

    @property
    def log(self) -> list[str]:
        return [line for _, line in self.lines]

    @property
    def warnings(self) -> list[str]:
        return [line for level, line in self.lines if level >= logging.WARNING]

    def _after(self, steps: Any, step: Step) -> Callable[[], Step]:
        try:
            result = self._perform(step)
        except Exception as error:
            thrown = error
            return lambda: steps.throw(thrown)
        return lambda: steps.send(result)

    def _perform(self, step: Step) -> Any:
        match step:
            case Call():
                self.calls.append(step)
                return answer(step, as_response(self.server(step)), "the-secret-token")
            case Sleep(seconds):
                assert seconds >= 0
                self.pauses.append(seconds)
                self.now += timedelta(seconds=seconds)
            case Now():
                return self.now
            case Log(message, level):
                self.lines.append((level, message))
        return None


def as_response(given: Any) -> Response:
    if isinstance(given, Response):
        return given
    return Response(200, {}, given if isinstance(given, bytes) else json.dumps(given).encode())
