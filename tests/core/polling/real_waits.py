"""Waits on a sandbox over HTTP: an organisation of its own for each test, and all that a watcher does there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_mics.api import AsyncMicsClient
from airflow_provider_mics.api.calls import Log
from airflow_provider_mics.core.polling import until_appears, watch_execution
from tests.sandbox_server import SandboxServer

LIST = "GET /v1/integration_batch_instances.executions"
ONE = "GET /v1/integration_batch_instances/{id}/executions/{id}"
OF_INSTANCE = "GET /v1/integration_batch_instances/{id}/executions"
LONGEST = 60.0
"""Seconds after which a condition that does not come true fails its test."""


@dataclass
class RealWait:
    """One who waits, and what was told."""

    task: asyncio.Task[Any]
    lines: list[Log]

    @property
    def messages(self) -> list[str]:
        return [line.message for line in self.lines]

    def was_told(self, text: str) -> bool:
        return any(text in message for message in self.messages)


class WatchedClient(AsyncMicsClient):
    """A client that says whether it was closed."""

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
    clients: list[WatchedClient] = field(default_factory=list)

    async def make_client(self) -> WatchedClient:
        client = WatchedClient(self.server.url, self.token, self.organisation_id, max_retries=0, timeout=5.0)
        self.clients.append(client)
        return client

    @property
    def open_clients(self) -> list[WatchedClient]:
        return [client for client in self.clients if not client.is_closed]

    def instance(self, outcome: str = "hang", duration_s: float = 0) -> str:
        """A new instance; what it runs hangs until `end`, unless told otherwise."""
        properties = {"outcome": outcome, "duration_s": duration_s, "result": '{"rows": 12}'}
        organisation_id = self.organisation_id
        return self.server.create_instance(
            artifact_id=f"batch-of-{organisation_id}", organisation_id=organisation_id, properties=properties
        )

    def executions(self, instance_id: str, count: int) -> list[str]:
        """Start so many executions; their ids."""
        return [str(self.server.create_execution(instance_id)["id"]) for _ in range(count)]

    def end(self, execution_ids: list[str], status: str = "SUCCEEDED") -> None:
        for execution_id in execution_ids:
            self.server.end_execution(execution_id, status)

    def watch(self, instance_id: str, execution_id: str, poll_interval: float = 0.1) -> RealWait:
        """Begin to wait for the end of an execution."""
        lines: list[Log] = []
        waiting = watch_execution(
            key=("mics_default", self.organisation_id),
            make_client=self.make_client,
            instance_id=instance_id,
            execution_id=execution_id,
            poll_interval=poll_interval,
            tell=lines.append,
        )
        return RealWait(asyncio.create_task(waiting), lines)

    def watch_all(
        self, instance_id: str, execution_ids: list[str], poll_interval: float = 0.1
    ) -> list[RealWait]:
        return [self.watch(instance_id, each, poll_interval) for each in execution_ids]

    def watch_appearance(
        self, instance_id: str, matches: Callable[[Any], bool], poll_interval: float = 0.1
    ) -> RealWait:
        """Begin to wait until an execution appears."""
        lines: list[Log] = []
        waiting = until_appears(
            key=("mics_default", self.organisation_id),
            make_client=self.make_client,
            instance_id=instance_id,
            matches=matches,
            poll_interval=poll_interval,
            tell=lines.append,
        )
        return RealWait(asyncio.create_task(waiting), lines)

    async def asked(self, route: str) -> int:
        """How many requests came on a route."""
        counters = await asyncio.to_thread(self.server.counters)
        return counters.get(route, 0)

    async def until_asked(self, route: str, more: int) -> None:
        """Wait until so many more requests came on a route."""
        enough = await self.asked(route) + more
        async with asyncio.timeout(LONGEST):
            while await self.asked(route) < enough:  # noqa: ASYNC110 - it happens in another process
                await asyncio.sleep(0.01)


async def until(holds: Callable[[], object]) -> None:
    """Let the others work until a condition holds."""
    async with asyncio.timeout(LONGEST):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in the code under test
            await asyncio.sleep(0.005)


async def results(waits: list[RealWait]) -> list[Any]:
    """What each got, an exception being a result too."""
    async with asyncio.timeout(LONGEST):
        return await asyncio.gather(*(wait.task for wait in waits), return_exceptions=True)


async def end_quietly(waits: list[RealWait]) -> None:
    for wait in waits:
        wait.task.cancel()
    await asyncio.gather(*(wait.task for wait in waits), return_exceptions=True)
