"""An event loop with a simulated clock and a platform in memory: hours of waiting take a moment.

For tests of *when* requests are sent. What they ask, and how answers are read, is tested against the sandbox.
"""

from __future__ import annotations

import asyncio
import json
import re
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from airflow_provider_mics.api.calls import Call, Job, Log, Now, Sleep
from airflow_provider_mics.api.errors import MicsConnectionError
from airflow_provider_mics.api.responses import Response, answer
from airflow_provider_mics.core.polling import wait_until_created, wait_until_over

T = TypeVar("T")
START = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)
ONE = re.compile(r"integration_batch_instances/(\w+)/executions/(\w+)")
OF_INSTANCE = re.compile(r"integration_batch_instances/(\w+)/executions")
ORGANISATION_LIST = "integration_batch_instances.executions"


class _InstantSelector(selectors.DefaultSelector):
    """A selector that does not wait: if nothing is ready, it moves the clock by the timeout."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout:
            self.passed += timeout
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Its clock moves only when all tasks sleep, and then at once."""

    def __init__(self) -> None:
        self._selector_without_waiting = _InstantSelector()
        super().__init__(self._selector_without_waiting)

    def time(self) -> float:
        return self._selector_without_waiting.passed


def simulate(scenario: Coroutine[Any, Any, T]) -> T:
    """Run to the end; it must not need real time or threads."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(scenario)


def elapsed() -> float:
    """Seconds since the simulation began."""
    return asyncio.get_running_loop().time()


@dataclass
class SimulatedPlatform:
    """Executions by id; ``trouble`` may raise, or answer, instead of the platform."""

    statuses: dict[str, str] = field(default_factory=dict)
    instance_id: str = "42"
    trouble: Callable[[Call[Any]], Response | None] = lambda call: None
    fields: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[float, str]] = field(default_factory=list)
    clients_made: int = 0
    clients_closed: int = 0

    async def make_client(self) -> SimulatedClient:
        self.clients_made += 1
        return SimulatedClient(self)

    def paths(self) -> Counter[str]:
        """Count the requests by path."""
        return Counter(path for _, path in self.asked)

    def times_of(self, path: str) -> list[float]:
        """Return the times of the requests to a path, in whole seconds since the simulation began."""
        return [round(at) for at, asked in self.asked if asked == path]

    def answer(self, call: Call[Any]) -> Response:
        self.asked.append((elapsed(), call.path))
        trouble = self.trouble(call)
        if trouble is not None:
            return trouble
        if one := ONE.fullmatch(call.path):
            return self._one(one[2])
        if call.path == ORGANISATION_LIST or OF_INSTANCE.fullmatch(call.path):
            return self._page(call)
        return refusal(404)

    def _one(self, execution_id: str) -> Response:
        if execution_id not in self.statuses:
            return refusal(404)
        return response(200, {"status": "ok", "data": self._json(execution_id)})

    def _page(self, call: Call[Any]) -> Response:
        start, size = call.query["first_result"], call.query["max_results"]
        newest_first = sorted(self.statuses, key=int, reverse=True)
        data = [self._json(each) for each in newest_first[start : start + size]]
        return response(200, {"status": "ok", "data": data, "total": len(self.statuses)})

    def _json(self, execution_id: str) -> dict[str, Any]:
        return {"id": execution_id, "status": self.statuses[execution_id], **self.fields}


class SimulatedClient:
    """Drives calls and flows as the real one does, in simulated time and without retries of its own."""

    organisation_id = "1185"

    def __init__(self, platform: SimulatedPlatform) -> None:
        self._platform = platform

    async def run(self, job: Job[T]) -> T:
        steps = iter(job)
        resume: Callable[[], Any] = lambda: next(steps)  # noqa: E731
        while True:
            try:
                step = resume()
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            try:
                result = await self._perform(step)
            except Exception as error:
                resume = lambda error=error: steps.throw(error)  # noqa: E731
            else:
                resume = lambda result=result: steps.send(result)  # noqa: E731

    async def _perform(self, step: Any) -> Any:
        if isinstance(step, Sleep):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, Now):
            return START + timedelta(seconds=elapsed())
        elif isinstance(step, Call):
            await asyncio.sleep(0.02)
            return answer(step, self._platform.answer(step), "")
        return None

    async def aclose(self) -> None:
        self._platform.clients_closed += 1


def response(status: int, body: Any, **headers: str) -> Response:
    return Response(status, headers, json.dumps(body).encode())


def refusal(status: int, **headers: str) -> Response:
    return response(status, {"status": "error", "error": f"no {status}"}, **headers)


def no_answer(call: Call[Any]) -> Response:
    raise MicsConnectionError(f"{call}: connection refused", certainly_not_sent=True)


@dataclass
class Waiter:
    """A wait, and its log lines."""

    task: asyncio.Task[Any]
    lines: list[Log]

    @property
    def messages(self) -> list[str]:
        return [line.message for line in self.lines]


def running(count: int) -> SimulatedPlatform:
    return SimulatedPlatform({str(number): "RUNNING" for number in range(1, count + 1)})


async def end(platform: SimulatedPlatform, waiters: list[Waiter], status: str = "SUCCEEDED") -> list[Any]:
    """End all executions, and return what each waiter got."""
    platform.statuses = dict.fromkeys(platform.statuses, status)
    return await asyncio.gather(*(waiter.task for waiter in waiters))


def wait_for(platform: SimulatedPlatform, execution_id: str, poll_interval: float = 30.0) -> Waiter:
    """Start a wait for the end of an execution."""
    lines: list[Log] = []
    waiting = wait_until_over(
        key="simulated",
        make_client=platform.make_client,
        instance_id=platform.instance_id,
        execution_id=execution_id,
        poll_interval=poll_interval,
        log=lines.append,
    )
    return Waiter(asyncio.create_task(waiting), lines)


def wait_for_creation(platform: SimulatedPlatform, execution_id: str, poll_interval: float = 30.0) -> Waiter:
    """Start a wait for the creation of an execution with that id."""
    lines: list[Log] = []
    waiting = wait_until_created(
        key="simulated",
        make_client=platform.make_client,
        instance_id=platform.instance_id,
        matches=lambda each: each.id == execution_id,
        poll_interval=poll_interval,
        log=lines.append,
    )
    return Waiter(asyncio.create_task(waiting), lines)
