"""A platform in memory: executions of one instance, no network, no waiting. For flows and for both clients.

Faults are given request by request, so that a test can place one exactly.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, NamedTuple, TypeVar

from airflow_provider_mics.api import Call, Job, MicsConnectionError, Response
from airflow_provider_mics.api.executions import ORGANISATION_EXECUTIONS
from airflow_provider_mics.api.field_types import milliseconds
from tests.flow_driver import FlowDriver, ok, refusal

T = TypeVar("T")
START = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)
Fault = Callable[["SimulatedPlatform", Call[Any]], Response | None]
"""Responds in place of the platform, raises, or lets the request through with None."""


class Killed(BaseException):
    """The process dies here."""


class Request(NamedTuple):
    """One request that came; ``at`` is in seconds since `START`."""

    at: float
    method: str
    path: str


class SimulatedPlatform:
    """``faults`` are taken in turn, one for each request; None lets the request through.

    Lists are ``stale_for`` so long. ``fields`` are shown in every execution. ``in_list`` and ``by_id`` turn an
    execution into what the platform shows of it. No page has more than ``largest_page`` items. ``total`` turns the
    length of a list into the one that is shown; None shows none. The platform's own clock, in the ``Date`` of its
    answers, is ahead by ``clock_offset``, or behind if negative; ``date`` is sent in its place.
    """

    def __init__(
        self,
        *,
        now: datetime = START,
        stale_for: timedelta = timedelta(0),
        newest_first: bool = True,
        faults: Iterable[Fault | None] = (),
        instance: dict[str, Any] | None = None,
        in_list: Callable[[dict[str, Any]], Any] = lambda shown: shown,
        by_id: Callable[[dict[str, Any]], Any] = lambda shown: shown,
        largest_page: int = 1000,
        total: Callable[[int], int | None] = lambda length: length,
    ) -> None:
        self.driver = FlowDriver(self.send, now=now)
        self.stale_for = stale_for
        self.newest_first = newest_first
        self.faults: Iterator[Fault | None] = iter(faults)
        self.instance = instance or {"id": "42", "name": "Nightly import"}
        self.in_list, self.by_id = in_list, by_id
        self.largest_page, self.total = largest_page, total
        self.executions: list[dict[str, Any]] = []
        self.fields: dict[str, Any] = {}
        self.requests: list[Request] = []
        self.clock_offset = timedelta(0)
        self.date: str | None = None

    @property
    def now(self) -> datetime:
        return self.driver.now

    @now.setter
    def now(self, now: datetime) -> None:
        self.driver.now = now

    @property
    def lines(self) -> str:
        """What the flows logged."""
        return self.driver.lines

    def run(self, job: Job[T]) -> T:
        return self.driver.run(job)

    def send(self, call: Call[Any]) -> Response:
        self.requests.append(Request((self.now - START).total_seconds(), call.method, call.path))
        fault = next(self.faults, None)
        answer = (fault and fault(self, call)) or self.respond(call)
        date = format_datetime(self.now + self.clock_offset) if self.date is None else self.date
        return replace(answer, headers={"date": date, **answer.headers})

    def respond(self, call: Call[Any]) -> Response:
        """What the platform answers, without faults."""
        if call.path.endswith("/executions") and call.method == "POST":
            return response(ok(self.by_id(self.create(dict((call.body or {})["parameters"])))))
        if call.path.endswith("/executions") or call.path == ORGANISATION_EXECUTIONS:
            return self._page(call)
        if call.path.endswith("/action"):
            self.execution(call.path.split("/")[-2])["status"] = "CANCELED"
            return response(ok({}))
        if "/executions/" in call.path:
            found = self.execution(call.path.rsplit("/", 1)[1])
            return (
                response(ok(self.by_id(found | self.fields))) if found else refusal(404, "no such execution")
            )
        return response(ok(self.instance))

    def create(self, parameters: dict[str, Any], status: str = "PENDING") -> dict[str, Any]:
        execution = {
            "id": str(len(self.executions) + 1),
            "status": status,
            "creation_date": milliseconds(self.now + self.clock_offset),
            "parameters": parameters,
        }
        self.executions.append(execution)
        return execution

    def fire(self, tick: datetime, status: str = "PENDING") -> dict[str, Any]:
        """What the platform's own scheduler does."""
        return self.create({"execution_type": "CRON", "expected_start_date": milliseconds(tick)}, status)

    def add(self, *ids: str, status: str = "RUNNING") -> None:
        """Executions of which a test knows the ids, the newest last, and nothing else matters."""
        self.executions += [{"id": each, "status": status} for each in ids]

    @property
    def ids(self) -> list[str]:
        return [each["id"] for each in self.executions]

    def remove(self, execution_id: str) -> None:
        self.executions.remove(self.execution(execution_id))

    def end_all(self, status: str = "SUCCEEDED") -> None:
        for each in self.executions:
            each["status"] = status

    def execution(self, execution_id: str) -> dict[str, Any]:
        return next((each for each in self.executions if each["id"] == execution_id), {})

    def _page(self, call: Call[Any]) -> Response:
        shown = milliseconds(self.now + self.clock_offset - self.stale_for)
        visible = [each for each in self.executions if each.get("creation_date", 0) <= shown]
        ordered = list(reversed(visible)) if self.newest_first else visible
        first, size = call.query["first_result"], call.query["max_results"]
        last = first + min(size, self.largest_page)
        items = [self.in_list(each | self.fields) for each in ordered[first:last]]
        total = self.total(len(ordered))
        return response(ok(items, **({} if total is None else {"total": total})))


def response(body: Any, status: int = 200) -> Response:
    return Response(status, {}, json.dumps(body).encode())


def always(fault: Fault) -> Iterator[Fault]:
    """The same fault at each request."""
    return itertools.repeat(fault)


def refused(status: int, *, path: str | None = None, **headers: str) -> Fault:
    """The platform's own error, for all requests or for those of one path."""
    return lambda platform, call: refusal(status, **headers) if path in (None, call.path) else None


def status(code: int, body: bytes = b"<html>bad gateway</html>") -> Fault:
    """An error page of something between us and the platform."""
    return lambda platform, call: Response(code, {}, body)


def not_sent(platform: SimulatedPlatform, call: Call[Any]) -> Response:
    """Nothing listens."""
    raise MicsConnectionError(f"{call}: connection refused", certainly_not_sent=True)


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
