"""Runs flows against a real sandbox over HTTP, with a clock of its own: nobody waits for a pause."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from airflow_provider_mics.api import MicsClient
from airflow_provider_mics.api.calls import Call, Job, Log, Now, Sleep
from tests.sandbox_server import SandboxServer

T = TypeVar("T")


class Flows:
    """Runs flows as one task would. ``before`` sees each call before it is sent, ``asleep`` each pause."""

    def __init__(
        self,
        server: SandboxServer,
        *,
        before: Callable[[Call[Any]], object] = lambda call: None,
        asleep: Callable[[float], object] = lambda seconds: None,
    ) -> None:
        self.now = datetime.now(UTC)
        self.log: list[tuple[int, str]] = []
        self._before = before
        self._asleep = asleep
        self._client = MicsClient(
            server.url, server.token, server.organisation_id, sleep=self._sleep, log=_Lines(self.log)
        )

    @property
    def lines(self) -> str:
        return "\n".join(line for _, line in self.log)

    @property
    def warnings(self) -> list[str]:
        return [line for level, line in self.log if level >= logging.WARNING]

    def run(self, job: Job[T]) -> T:
        steps = iter(job)
        resume: Callable[[], Any] = lambda: next(steps)  # noqa: E731
        while True:
            try:
                step = resume()
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            try:
                result = self._perform(step)
            except Exception as error:
                resume = lambda error=error: steps.throw(error)  # noqa: E731
            else:
                resume = lambda result=result: steps.send(result)  # noqa: E731

    def _perform(self, step: Any) -> Any:
        match step:
            case Call():
                self._before(step)
                return self._client.run(step)
            case Sleep(seconds):
                self._sleep(seconds)
            case Now():
                return self.now
            case Log(message, level):
                self.log.append((level, message))
        return None

    def _sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self._asleep(seconds)


class WorkerLostError(Exception):
    """A try of a task ends in the middle of whatever it does."""


def lose_the_worker_after_its_request(server: SandboxServer, job: Job[Any]) -> None:
    """Run a job up to the moment at which its POST was carried out."""
    sent: list[Call[Any]] = []

    def before(call: Call[Any]) -> None:
        if any(each.method == "POST" for each in sent):
            raise WorkerLostError
        sent.append(call)

    with pytest.raises(WorkerLostError):
        Flows(server, before=before).run(job)


def list_that_shows_nothing(path: str) -> dict[str, Any]:
    """The fault of a list that is behind."""
    body = '{"status": "ok", "count": 0, "first_result": 0, "max_results": 500, "total": 0, "data": []}'
    return {"kind": "body", "method": "GET", "path": path, "parameters": {"status": 200, "body": body}}


def with_a_list_behind(server: SandboxServer, path: str, seconds: float) -> Flows:
    """Flows for a platform whose list shows nothing until so many seconds were slept."""
    server.faults([list_that_shows_nothing(path)])
    pauses: list[float] = []

    def asleep(pause: float) -> None:
        pauses.append(pause)
        if sum(pauses) >= seconds:
            server.faults()

    return Flows(server, asleep=asleep)


class _Lines:
    def __init__(self, log: list[tuple[int, str]]) -> None:
        self._log = log

    def log(self, level: int, message: str, /, *args: object) -> None:
        self._log.append((level, message % args))
