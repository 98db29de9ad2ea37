"""The watcher: one task that looks at the platform for all who wait on the same connection in one event loop."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Hashable, Sequence
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from airflow_provider_mics.api.calls import Log
from airflow_provider_mics.api.errors import MicsAuthError, MicsConnectionError, MicsError
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import backoff
from airflow_provider_mics.core.polling.execution_lists import Matches
from airflow_provider_mics.core.polling.fetching import Looker
from airflow_provider_mics.core.polling.subscriptions import (
    AppearanceWait,
    ExecutionWait,
    MakeClient,
    Tell,
    Wait,
)

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


T = TypeVar("T")


_watchers: WeakValueDictionary[tuple[int, Hashable], Watcher] = WeakValueDictionary()

"""By event loop and key. Those who wait keep their watcher alive, and it keeps its loop: nothing outlives them here."""


async def watch_execution(
    *,
    key: Hashable,
    make_client: MakeClient,
    instance_id: str,
    execution_id: str,
    poll_interval: float = 30.0,
    tell: Tell,
) -> Execution:
    """Wait until an execution is over, through outages of any length, and return it in full, however it ended.

    There is no deadline: put `asyncio.timeout` around it.

    :param key: the connection id and the organisation id: those with the same key share one poll and one client
    :param make_client: makes a client for that connection; called again once when the token is refused, so it must
        read the connection anew. The watcher retries by itself: a client with few retries of its own serves it best
    :param poll_interval: seconds between two looks; among those who share, the shortest counts
    :param tell: called with each log line, in the task and context of the caller: one for each change, and one every
        five minutes
    :raises MicsAuthError: the token is refused, by a newly made client too
    :raises MicsNotFoundError: the platform has not had the execution for a minute
    :raises MicsError: the platform refuses to show this execution, for good
    :raises WatcherStoppedError: somebody else stopped the shared task
    """
    wait = ExecutionWait(instance_id, execution_id, poll_interval, make_client)
    return await _wait_with_others(key, wait, tell)


async def until_appears(
    *,
    key: Hashable,
    make_client: MakeClient,
    instance_id: str,
    matches: Matches,
    poll_interval: float = 30.0,
    tell: Tell,
) -> Execution:
    """Wait until the instance has an execution that ``matches``, and return it; the newest where several do.

    ``matches`` must judge by what never changes of an execution: one that did not match is not asked about again at
    every look. All else as in `watch_execution`.
    """
    return await _wait_with_others(
        key, AppearanceWait(instance_id, matches, poll_interval, make_client), tell
    )


async def _wait_with_others(key: Hashable, wait: Wait[T], tell: Tell) -> T:
    watcher = _watcher(key)
    watcher.join(wait)
    try:
        return await wait.follow(tell)
    finally:
        await watcher.leave(wait)


def _watcher(key: Hashable) -> Watcher:
    loop = asyncio.get_running_loop()
    watcher = _watchers.get((id(loop), key))
    if watcher is None or watcher.loop is not loop or not watcher.is_open:
        watcher = _watchers[id(loop), key] = Watcher(f"mediarithmics watcher of {key}")
    return watcher


GATHERING = 1.0

"""Seconds from the first newcomer to the look, so that many who come together cost one look."""

SPACING = 5.0

"""Seconds at least between two looks, where newcomers keep coming."""


class Schedule:
    """All times are the event loop's, in seconds."""

    def __init__(self) -> None:
        self._looked_at: float | None = None
        self._rests_until = -math.inf
        self._newcomer_at: float | None = None

    def someone_joined(self, now: float) -> bool:
        """Whether this makes the next look due earlier: it is the first newcomer since the last look."""
        if self._newcomer_at is not None:
            return False
        self._newcomer_at = now
        return True

    def look_begins(self) -> None:
        """All who have joined so far are looked at."""
        self._newcomer_at = None

    def look_ended(self, now: float, rest: float = 0.0) -> None:
        """``rest``: seconds in which nobody is to look."""
        self._looked_at = now
        self._rests_until = now + rest

    def due(self, interval: float) -> float:
        """When to look, if all stays as it is."""
        looked_at = -math.inf if self._looked_at is None else self._looked_at
        due = math.inf if self._looked_at is None else looked_at + interval
        if self._newcomer_at is not None:
            gathered = self._newcomer_at + min(GATHERING, interval)
            due = min(due, max(gathered, looked_at + min(SPACING, interval)))
        return max(due, self._rests_until)
