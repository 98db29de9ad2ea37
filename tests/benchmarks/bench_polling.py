"""The cost of waiting: many waits that share a poller, against the same number of separate waits.

``python -m tests.benchmarks.bench_polling [WAITS] [ROUNDS]`` starts a sandbox, lets WAITS executions run on it (1,000)
and measures the CPU for ROUNDS polls of all of them by the poller (5), and for one poll by each separate wait.
Both are measured in one run: on another machine the times differ, the ratio hardly does. It takes three minutes.
"""
# ruff: noqa: T201 - it prints a table

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from airflow_provider_mics.api import AsyncMicsClient, create_execution, wait_for_execution
from airflow_provider_mics.core.polling import wait_until_over
from tests.sandbox_server import SandboxServer

LIST = "GET /v1/integration_batch_instances.executions"
ONE = "GET /v1/integration_batch_instances/{id}/executions/{id}"
SHARED_INTERVAL = 2.0
REQUESTS_PER_SECOND = 20
"""Of the separate waits: as many as a sandbox on a busy machine answers without a queue."""
AT_ONCE = 10


@dataclass(frozen=True)
class Cost:
    """Of one poll of all executions: CPU milliseconds of the waiting thread, and requests."""

    cpu_ms: float
    requests: float


class Platform:
    """A sandbox with ``waits`` executions that never end."""

    def __init__(self, server: SandboxServer, waits: int) -> None:
        self.server = server
        self.waits = waits
        self.instance_id = server.create_instance(properties={"outcome": "hang"})
        self.execution_ids = asyncio.run(self._start_executions())

    async def make_client(self) -> AsyncMicsClient:
        return AsyncMicsClient(self.server.url, self.server.token, self.server.organisation_id)

    async def _start_executions(self) -> list[str]:
        slots = asyncio.Semaphore(AT_ONCE)
        call = create_execution(self.instance_id, expected_start_date=self.server.now_ms())
        async with await self.make_client() as client:

            async def start() -> str:
                async with slots:
                    return (await client.run(call)).id

            return await asyncio.gather(*(start() for _ in range(self.waits)))

    async def cost_of(
        self, waits: list[Coroutine[Any, Any, Any]], route: str, per_poll: float, rounds: int
    ) -> Cost:
        """Start all waits, and measure from the end of the first poll of each until ``rounds`` polls later."""
        tasks = [asyncio.create_task(wait) for wait in waits]
        began = await self._until_asked(route, per_poll)
        cpu = time.thread_time()
        ended = await self._until_asked(route, began + rounds * per_poll)
        cpu = time.thread_time() - cpu
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        polls = (ended - began) / per_poll
        return Cost(cpu * 1000 / polls, (ended - began) / polls)

    async def _until_asked(self, route: str, count: float) -> int:
        while True:
            asked = (await asyncio.to_thread(self.server.counters)).get(route, 0)
            if asked >= count:
                return asked
            await asyncio.sleep(0.5)


async def shared(platform: Platform, rounds: int) -> Cost:
    waits = [
        wait_until_over(
            key="benchmark",
            make_client=platform.make_client,
            instance_id=platform.instance_id,
            execution_id=execution_id,
            poll_interval=SHARED_INTERVAL,
            log=lambda line: None,
        )
        for execution_id in platform.execution_ids
    ]
    return await platform.cost_of(waits, LIST, platform.waits / 100, rounds)


async def separate(platform: Platform, rounds: int) -> Cost:
    """Separate waits, spread over the interval, with one client for all: cheaper than one client each."""
    interval = platform.waits / REQUESTS_PER_SECOND
    async with await platform.make_client() as client:

        async def wait(place: int, execution_id: str) -> None:
            await asyncio.sleep(place / REQUESTS_PER_SECOND)
            await client.run(wait_for_execution(platform.instance_id, execution_id, poll_interval=interval))

        waits = [wait(place, execution_id) for place, execution_id in enumerate(platform.execution_ids)]
        return await platform.cost_of(waits, ONE, platform.waits, rounds)


async def making_clients(platform: Platform, count: int = 20) -> float:
    """Return the CPU milliseconds to make and close a client for each wait."""
    cpu = time.thread_time()
    for _ in range(count):
        await (await platform.make_client()).aclose()
    return (time.thread_time() - cpu) * 1000 / count * platform.waits


def measured(platform: Platform, waiting: Callable[[Platform, int], Awaitable[Cost]], rounds: int) -> Cost:
    platform.server.reset_counters()
    return asyncio.run(waiting(platform, rounds))  # type: ignore[arg-type]


def main(waits: int = 1000, rounds: int = 5) -> None:
    logging.disable()
    with SandboxServer() as server:
        platform = Platform(server, waits)
        together = measured(platform, shared, rounds)
        apart = measured(platform, separate, 1)
        clients = asyncio.run(making_clients(platform))
    print(f"{waits} waits, one poll of all of them: CPU and requests")
    for name, cost in (("one shared poller", together), ("separate waits", apart)):
        print(f"  {name:<20}{cost.cpu_ms:9.1f} ms {cost.requests:7.0f}")
    cpu, requests = apart.cpu_ms / together.cpu_ms, apart.requests / together.requests
    print(f"  {'ratio':<20}{cpu:9.0f}    {requests:7.0f}")
    print(f"  one-time cost of a client for each wait: {clients / 1000:.1f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
