"""The watcher: one task that looks at the platform for all who wait on the same connection in one event loop."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Sequence
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any

from airflow_provider_mics.api.calls import Log
from airflow_provider_mics.api.errors import MicsAuthError, MicsConnectionError, MicsError
from airflow_provider_mics.api.waiting import backoff
from airflow_provider_mics.watching.looks import Looker
from airflow_provider_mics.watching.schedules import Schedule
from airflow_provider_mics.watching.waits import Wait

if TYPE_CHECKING:
    from airflow_provider_mics.api.clients import AsyncMicsClient

Waits = Sequence[Wait[Any]]

CLIENT_PATIENCE = 60.0
"""Seconds for which a connection that cannot be read is tried again, before it ends those who wait on it."""
FAREWELL = 2.0
"""Seconds for which the last to leave waits for the client to be closed."""


class WatcherStoppedError(Exception):
    """The shared watcher was stopped from outside while it was needed; who waits again starts another."""


class Watcher:
    """Looks for all its waits, from the first to the last; then it closes its client and is done."""

    def __init__(self, name: str) -> None:
        """Start at once. ``name`` is the task's, for people who look at the tasks of a loop."""
        self.loop = asyncio.get_running_loop()
        self.is_open = True
        self._waits: dict[Wait[Any], None] = {}
        self._joined = asyncio.Event()
        self._schedule = Schedule()
        self._looker = Looker()
        self._failures = 0
        self._client: AsyncMicsClient | None = None
        self._no_client_since: float | None = None
        self._token_is_doubtful = False
        # A context of its own: what is logged here belongs to none of those who wait.
        self._task = self.loop.create_task(self._run(), name=name, context=Context())

    def join(self, wait: Wait[Any]) -> None:
        """Look for ``wait`` too, soon; only while the watcher `is_open`."""
        self._waits[wait] = None
        if self._schedule.someone_joined(self.loop.time()):
            self._joined.set()

    async def leave(self, wait: Wait[Any]) -> None:
        """Look for ``wait`` no more. The last to leave sees the watcher to its end."""
        self._waits.pop(wait, None)
        if not self._waits and self.is_open:
            self.is_open = False
            self._task.cancel()
            await asyncio.wait([self._task], timeout=FAREWELL)

    async def _run(self) -> None:
        reason: BaseException = WatcherStoppedError(
            "the shared watcher was stopped; waiting again starts another"
        )
        try:
            await self._watch()
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it must reach those who wait
            reason = error
        finally:
            self.is_open = False
            for wait in self._waits:
                wait.fail(reason)
            await self._close_client()

    async def _watch(self) -> None:
        while True:
            await self._until_due()
            self._schedule.look_begins()
            trouble = await self._look(tuple(self._waits))
            self._schedule.look_ended(self.loop.time(), self._rest_after(trouble))
            self._waits = {wait: None for wait in self._waits if not wait.is_over}

    async def _until_due(self) -> None:
        while True:
            self._joined.clear()
            due = self._schedule.due(self._interval) if self._waits else math.inf
            left = due - self.loop.time()
            if left <= 0:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._joined.wait()

    @property
    def _interval(self) -> float:
        return min((wait.poll_interval for wait in self._waits), default=math.inf)

    async def _look(self, waits: Waits) -> MicsError | None:
        try:
            trouble = await self._look_once(waits)
        except MicsAuthError:
            # The token may have been replaced in the connection since the client was made.
            if self._token_is_doubtful:
                raise
            self._token_is_doubtful = True
            await self._close_client()
            trouble = await self._look_once([wait for wait in waits if not wait.is_over])
        if trouble is None:
            self._token_is_doubtful = False
        return trouble

    async def _look_once(self, waits: Waits) -> MicsError | None:
        if self._client is None:
            try:
                self._client = await waits[0].make_client()
            except Exception as error:  # noqa: BLE001 - Airflow may not find its own connection for a moment
                return self._bear_without_client(error, waits)
            self._no_client_since = None
        interval = min(wait.poll_interval for wait in waits)
        return await self._looker.look(self._client, waits, interval)

    def _bear_without_client(self, error: Exception, waits: Waits) -> MicsError:
        now = self.loop.time()
        if self._no_client_since is None:
            self._no_client_since = now
            for wait in waits:
                wait.note(Log(f"The connection cannot be read: {error}. Trying again.", logging.WARNING))
        elif now - self._no_client_since >= CLIENT_PATIENCE:
            raise error
        return MicsConnectionError(str(error), certainly_not_sent=True)

    def _rest_after(self, trouble: MicsError | None) -> float:
        """Seconds, a little more than is due, at random: not all who were refused come back at the same moment."""
        if trouble is None:
            self._failures = 0
            return 0.0
        self._failures += 1
        return backoff(self._interval, self._failures, trouble) * random.uniform(1.0, 1.2)  # noqa: S311

    async def _close_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):
                await client.aclose()
