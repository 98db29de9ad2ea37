"""A triggerer in small: one process, one event loop, many triggers of ours, and nothing that outlives it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from multiprocessing.connection import Connection

from airflow_provider_mics.triggers import MicsExecutionTrigger

SPAWN = multiprocessing.get_context("spawn")
"""Not forked: a copy of this process would wait for ever for threads of asgiref that it does not have."""
Waits = list[tuple[str, str]]
"""Instance id and execution id of each wait."""


async def _wait(pipe: Connection, instance_id: str, execution_id: str) -> None:
    trigger = MicsExecutionTrigger(
        instance_id, execution_id, poll_interval=0.5, cancel_on_kill=True, deadline=None
    )
    async for event in trigger.run():
        pipe.send((execution_id, event.payload["status"], event.payload.get("execution", {}).get("status")))


async def _wait_for_all(pipe: Connection, waits: Waits) -> None:
    await asyncio.gather(*(_wait(pipe, *wait) for wait in waits))


def _work(pipe: Connection, waits: Waits) -> None:
    try:
        asyncio.run(_wait_for_all(pipe, waits))
    finally:
        pipe.close()
        os._exit(0)


class WaitingProcess:
    """Waits for all of ``waits`` in a process of its own, until they end or it is killed."""

    def __init__(self, waits: Waits) -> None:
        self._pipe, theirs = SPAWN.Pipe(duplex=False)
        self._process = SPAWN.Process(target=_work, args=(theirs, waits))
        self._process.start()
        theirs.close()

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def events(self, count: int, within_s: float) -> list[tuple[str, str, str | None]]:
        """The next ``count`` events: execution id, status of the event, status of the execution."""
        events = []
        while len(events) < count and self._pipe.poll(within_s):
            try:
                events.append(self._pipe.recv())
            except EOFError:
                break
        return events

    def kill(self) -> None:
        """SIGKILL, by its pid, and wait for its end."""
        self._process.kill()
        self._process.join(30)
        self._pipe.close()
