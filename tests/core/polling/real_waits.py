"""Waits on a sandbox over HTTP, with an organisation of its own for each test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_mics.api import AsyncMicsClient
from airflow_provider_mics.api.calls import Log
from airflow_provider_mics.core.polling import wait_until_created, wait_until_over
from tests.sandbox_server import SandboxServer

LIST = "GET /v1/integration_batch_instances.executions"
ONE = "GET /v1/integration_batch_instances/{id}/executions/{id}"
OF_INSTANCE = "GET /v1/integration_batch_instances/{id}/executions"
OUTAGE_LINE = "Platform unreachable"
RECOVERY_LINE = "Platform reachable again"
EVERYTHING = {"path": "^/v1/"}
MAX_SECONDS = 60.0
"""After this a condition that is still false fails its test."""


@dataclass
class RealWait:
    """A wait, and its log lines."""

    task: asyncio.Task[Any]
    lines: list[Log]

    @property
    def messages(self) -> list[str]:
        return [line.message for line in self.lines]

    def has_logged(self, text: str) -> bool:
        return any(text in message for message in self.messages)


class TrackedClient(AsyncMicsClient):
    """A client that knows whether it was closed."""

    is_closed = False

    async def aclose(self) -> None:
        await super().aclose()
        self.is_closed = True


@dataclass
class RealPlatform:
    """One organisation of a sandbox. ``token`` is what new clients send, whether the platform takes it or not."""

    server: SandboxServer
    organisation_id: str
    token: str
    clients: list[TrackedClient] = field(default_factory=list)

    async def make_client(self) -> TrackedClient:
        client = TrackedClient(self.server.url, self.token, self.organisation_id, max_retries=0, timeout=5.0)
        self.clients.append(client)
        return client

    @property
    def open_clients(self) -> list[TrackedClient]:
        return [client for client in self.clients if not client.is_closed]

    def instance(self, outcome: str = "hang", duration_s: float = 0) -> str:
        """Create an instance; its executions hang until `end` by default."""
        properties = {"outcome": outcome, "duration_s": duration_s, "result": '{"rows": 12}'}
        organisation_id = self.organisation_id
        return self.server.create_instance(
            artifact_id=f"batch-of-{organisation_id}", organisation_id=organisation_id, properties=properties
        )

    def executions(self, instance_id: str, count: int) -> list[str]:
        """Start executions; return their ids."""
        return [str(self.server.create_execution(instance_id)["id"]) for _ in range(count)]

    def end(self, execution_ids: list[str], status: str = "SUCCEEDED") -> None:
        for execution_id in execution_ids:
            self.server.end_execution(execution_id, status)

    def wait_for(self, instance_id: str, execution_id: str, poll_interval: float = 0.1) -> RealWait:
        """Start a wait for the end of an execution."""
        lines: list[Log] = []
        waiting = execution_of(
            key=("mics_default", self.organisation_id),
            make_client=self.make_client,
            instance_id=instance_id,
            execution_id=execution_id,
            poll_interval=poll_interval,
            log=lines.append,
        )
        return RealWait(asyncio.create_task(waiting), lines)

    def wait_for_all(
        self, instance_id: str, execution_ids: list[str], poll_interval: float = 0.1
    ) -> list[RealWait]:
        return [self.wait_for(instance_id, each, poll_interval) for each in execution_ids]

    def wait_for_creation(
        self, instance_id: str, matches: Callable[[Any], bool], poll_interval: float = 0.1
    ) -> RealWait:
        """Start a wait for the creation of an execution."""
        lines: list[Log] = []
        waiting = wait_until_created(
            key=("mics_default", self.organisation_id),
            make_client=self.make_client,
            instance_id=instance_id,
            matches=matches,
            poll_interval=poll_interval,
            log=lines.append,
        )
        return RealWait(asyncio.create_task(waiting), lines)

    async def asked(self, route: str) -> int:
        """Return how many requests came on a route."""
        counters = await asyncio.to_thread(self.server.counters)
        return counters.get(route, 0)

    async def until_asked(self, route: str, more: int) -> None:
        """Wait until ``more`` further requests came on a route."""
        enough = await self.asked(route) + more
        async with asyncio.timeout(MAX_SECONDS):
            while await self.asked(route) < enough:  # noqa: ASYNC110 - it happens in another process
                await asyncio.sleep(0.01)


async def execution_of(**arguments: Any) -> Any:
    """Wait for the end of an execution, and return it."""
    return (await wait_until_over(**arguments)).execution


async def until(holds: Callable[[], object]) -> None:
    """Let the other tasks run until a condition holds."""
    async with asyncio.timeout(MAX_SECONDS):
        while not holds():  # noqa: ASYNC110 - the code under test makes it true
            await asyncio.sleep(0.005)


async def results(waits: list[RealWait]) -> list[Any]:
    """Return each result; an exception is a result too."""
    async with asyncio.timeout(MAX_SECONDS):
        return await asyncio.gather(*(wait.task for wait in waits), return_exceptions=True)


async def end_quietly(waits: list[RealWait]) -> None:
    for wait in waits:
        wait.task.cancel()
    await asyncio.gather(*(wait.task for wait in waits), return_exceptions=True)


async def started(platform: RealPlatform, count: int = 5) -> tuple[list[str], list[RealWait]]:
    """Start executions and a wait for each; return after the first poll of all."""
    instance_id = platform.instance()
    ids = platform.executions(instance_id, count)
    waits = platform.wait_for_all(instance_id, ids)
    await until(lambda: all(wait.lines for wait in waits))
    return ids, waits
