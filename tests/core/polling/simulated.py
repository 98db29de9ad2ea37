"""An event loop with a simulated clock and the simulated platform in it: hours of waiting take a moment.

For tests of *when* requests are sent. What they ask, and how answers are read, is tested against the sandbox.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from airflow_provider_mics.api import AsyncMicsClient, Call, Log, Response
from airflow_provider_mics.api.executions import ORGANISATION_EXECUTIONS as ORGANISATION_LIST
from airflow_provider_mics.api.token_history import TokenHistory
from airflow_provider_mics.core.polling import wait_until_created
from tests.core.polling.real_waits import execution_of
from tests.simulated_platform import START, SimulatedPlatform

__all__ = [
    "ORGANISATION_LIST",
    "AsyncSimulatedPlatform",
    "client_in_loop",
    "elapsed",
    "end",
    "running",
    "simulate",
    "wait_for",
    "wait_for_creation",
    "with_history",
    "with_token",
]
T = TypeVar("T")


class _ImpatientSelector(selectors.DefaultSelector):
    """Where nothing is ready, the time waited for has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout:
            self.passed += timeout
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Its clock moves only when everybody sleeps, and then at once."""

    def __init__(self) -> None:
        self._impatient = _ImpatientSelector()
        super().__init__(self._impatient)

    def time(self) -> float:
        return self._impatient.passed


def simulate(scenario: Coroutine[Any, Any, T]) -> T:
    """Run to the end; it must not need real time or threads."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(scenario)


def elapsed() -> float:
    """Seconds since the simulation began."""
    return asyncio.get_running_loop().time()


class AsyncSimulatedPlatform(SimulatedPlatform):
    """The simulated platform in simulated time, for async clients."""

    instance_id = "42"

    def __init__(self) -> None:
        super().__init__()
        self.clients_made = 0
        self.clients_closed = 0

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=elapsed())

    async def make_client(self) -> AsyncMicsClient:
        return await with_token(self, "token")()

    def paths(self) -> Counter[str]:
        """How often each path was requested."""
        return Counter(each.path for each in self.requests)

    def times_of(self, path: str) -> list[int]:
        """When a path was requested, in whole seconds since the simulation began."""
        return [round(each.at) for each in self.requests if each.path == path]


def with_history(
    platform: AsyncSimulatedPlatform, history: TokenHistory, token: str = "token"
) -> Callable[[], Coroutine[Any, Any, AsyncMicsClient]]:
    """Make clients of one token that share what is known of it, as those of one process do."""

    async def make_client() -> AsyncMicsClient:
        platform.clients_made += 1
        return AsyncMicsClient(
            "http://platform.invalid",
            token,
            "1185",
            transport=_TransportInLoop(platform),
            clock=lambda: platform.now,
            max_retries=0,
            token_history=history,
        )

    return make_client


def with_token(
    platform: AsyncSimulatedPlatform, token: str
) -> Callable[[], Coroutine[Any, Any, AsyncMicsClient]]:
    """Make clients of another token, or of another platform."""
    return with_history(platform, TokenHistory(), token)


class _TransportInLoop:
    def __init__(self, platform: SimulatedPlatform) -> None:
        self._platform = platform

    async def send(self, call: Call[Any]) -> Response:
        await asyncio.sleep(0.02)
        return self._platform.send(call)

    async def aclose(self) -> None:
        if isinstance(self._platform, AsyncSimulatedPlatform):
            self._platform.clients_closed += 1


def client_in_loop(platform: SimulatedPlatform) -> AsyncMicsClient:
    """Make an async client of a platform, without retries."""
    return AsyncMicsClient(
        "http://platform.invalid", "token", "1185", transport=_TransportInLoop(platform), max_retries=0
    )


@dataclass
class Waiter:
    """One who waits, and what was told."""

    task: asyncio.Task[Any]
    lines: list[Log]

    @property
    def messages(self) -> list[str]:
        return [line.message for line in self.lines]


def running(count: int) -> AsyncSimulatedPlatform:
    """A platform with this many running executions, whose ids count from 1."""
    platform = AsyncSimulatedPlatform()
    platform.add(*map(str, range(1, count + 1)))
    return platform


async def end(
    platform: AsyncSimulatedPlatform, waiters: list[Waiter], status: str = "SUCCEEDED"
) -> list[Any]:
    """End all executions, and return what each waiter got."""
    platform.end_all(status)
    return await asyncio.gather(*(waiter.task for waiter in waiters))


def wait_for(platform: AsyncSimulatedPlatform, execution_id: str, poll_interval: float = 30.0) -> Waiter:
    """Begin to wait for the end of an execution."""
    lines: list[Log] = []
    waiting = execution_of(
        key="simulated",
        make_client=platform.make_client,
        instance_id=platform.instance_id,
        execution_id=execution_id,
        poll_interval=poll_interval,
        log=lines.append,
    )
    return Waiter(asyncio.create_task(waiting), lines)


def wait_for_creation(
    platform: AsyncSimulatedPlatform, execution_id: str, poll_interval: float = 30.0
) -> Waiter:
    """Begin to wait until an execution of that id appears."""
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
