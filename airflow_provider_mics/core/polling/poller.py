"""The shared poller: one task that polls the platform for all waits on the same connection in one event loop.

From an ended execution to its waiter: `SharedPoller` decides when to poll, `fetching` asks the platform,
`subscriptions` passes each result to the task that waits for it.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Callable, Hashable, Iterable
from contextlib import suppress
from contextvars import Context
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakValueDictionary

from airflow_provider_mics.api.errors import MicsAuthError, MicsError
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import backoff, is_outage
from airflow_provider_mics.core.polling.completions import CompletionCursor
from airflow_provider_mics.core.polling.execution_lists import Matches, Target
from airflow_provider_mics.core.polling.fetching import ExecutionFetcher
from airflow_provider_mics.core.polling.shared_connection import SharedConnection
from airflow_provider_mics.core.polling.subscriptions import (
    Completions,
    CompletionsSubscription,
    CompletionSubscription,
    CreationSubscription,
    Ended,
    LogCallback,
    MakeClient,
    Subscription,
    Subscriptions,
)

if TYPE_CHECKING:
    from airflow_provider_mics.api.clients import AsyncMicsClient

CLOSE_SECONDS = 2.0
"""How long the last unsubscriber waits until the client is closed."""
JOIN_DELAY = 1.0
"""Seconds from the first new subscription to the poll for it, so that many new ones share one poll."""
MIN_JOIN_GAP = 5.0
"""Minimum seconds between two polls while new subscriptions keep coming."""
SHORTEST_REST = 1.0
"""Minimum seconds from the end of a poll to the start of the next."""


class PollerStoppedError(Exception):
    """The shared poller was cancelled from outside while it was in use. A new wait starts a new poller."""


async def wait_until_over(
    *,
    key: Hashable,
    make_client: MakeClient,
    instance_id: str,
    execution_id: str,
    poll_interval: float = 30.0,
    log: LogCallback,
) -> Ended:
    """Wait until an execution is over, through outages of any length, and return it, however it ended.

    There is no deadline: put `asyncio.timeout` around it.

    :param key: the connection and the organisation. All waits with the same key share one poller and one client, and
        so do those of other keys whose clients have the same settings
    :param make_client: makes a client for that connection. It is called again when another wait begins, every few
        minutes, and when the token is refused, so it must read the connection again. If it raises `MicsConnectionError`
        or an error that is no `MicsError`, the connection cannot be read, and the wait goes on. The poller retries by
        itself: few retries in the client are enough
    :param poll_interval: seconds from the start of one poll to the next; the shortest among the waits that share a
        poller counts
    :param log: called with each log line, in the task and context of the caller: one line for each change, and one
        every five minutes
    :raises MicsAuthError: the token is refused, with a new client too, and never worked or not for five minutes
    :raises MicsNotFoundError: the platform has not found the execution for one minute
    :raises MicsError: the platform refuses to return this execution, and a retry would not help
    :raises PollerStoppedError: the shared task was cancelled from outside
    """
    target = Target(instance_id, execution_id)
    subscription = CompletionSubscription(target, key, poll_interval, make_client)
    _subscribe(subscription)
    try:
        ended: Ended = await subscription.next_event(log)
        return ended
    finally:
        await _unsubscribe(subscription)


async def wait_until_created(
    *,
    key: Hashable,
    make_client: MakeClient,
    instance_id: str,
    matches: Matches,
    since: datetime | None = None,
    poll_interval: float = 30.0,
    log: LogCallback,
    on_outage: Callable[[bool], object] | None = None,
) -> Execution:
    """Wait until the instance has an execution that ``matches``, and return it; the newest if there are several.

    An execution that was created before ``since`` need not be found: a long list is read no further.
    ``on_outage`` is called with True when an outage of the platform begins, and with False when it is over.

    ``matches`` must depend only on fields that never change: an execution that did not match once is not checked
    again at every poll. Everything else is as in `wait_until_over`.
    """
    subscription = CreationSubscription(instance_id, matches, since, key, poll_interval, make_client)
    subscription.on_outage = on_outage
    _subscribe(subscription)
    try:
        created: Execution = await subscription.next_event(log)
        return created
    finally:
        await _unsubscribe(subscription)


async def watch_completions(
    *,
    key: Hashable,
    make_client: MakeClient,
    instance_id: str,
    cursor: CompletionCursor | None,
    poll_interval: float = 30.0,
    log: LogCallback,
) -> AsyncGenerator[Completions, None]:
    """Yield the executions of an instance that end, and the cursor after them, without end; close it with `aclosing`.

    :param cursor: from where to go on; None counts what has ended until now as known

    Everything else is as in `wait_until_over`.
    """
    subscription = CompletionsSubscription(instance_id, cursor, key, poll_interval, make_client)
    _subscribe(subscription)
    try:
        while True:
            yield await subscription.next_event(log)
    finally:
        await _unsubscribe(subscription)


_pollers: WeakValueDictionary[tuple[int, Hashable], SharedPoller] = WeakValueDictionary()
"""By event loop and key. The waits keep their poller alive, and the poller its loop: no entry outlives them."""
_pollers_of: WeakKeyDictionary[Subscription, SharedPoller] = WeakKeyDictionary()


def _subscribe(subscription: Subscription) -> None:
    key = subscription.connection_key
    loop = asyncio.get_running_loop()
    poller = _pollers.get((id(loop), key))
    if poller is None or poller.loop is not loop or not poller.is_open:
        poller = SharedPoller(f"mediarithmics poller of {key}")
    poller.subscribe(subscription)


async def _unsubscribe(subscription: Subscription) -> None:
    await _pollers_of.pop(subscription).unsubscribe(subscription)


class SharedPoller:
    """Polls for all its subscriptions. When the last one is removed, it closes its client and ends."""

    def __init__(self, name: str) -> None:
        """Start polling. ``name`` is the name of the asyncio task, for debugging."""
        self.loop = asyncio.get_running_loop()
        self.is_open = True
        self._subscriptions: dict[Subscription, None] = {}
        self._subscribed = asyncio.Event()
        self._schedule = PollSchedule()
        self._fetcher = ExecutionFetcher()
        self._failures = 0
        self.connection = SharedConnection()
        # An empty context: log lines written in this task belong to no subscriber.
        self._task = self.loop.create_task(self._run(), name=name, context=Context())

    def subscribe(self, subscription: Subscription) -> None:
        """Poll for ``subscription`` too. Call it only while the poller `is_open`."""
        self._subscriptions[subscription] = None
        _pollers[id(self.loop), subscription.connection_key] = self
        _pollers_of[subscription] = self
        self.connection.may_have_changed(subscription.connection_key)
        if self._schedule.subscribed(self.loop.time()):
            self._subscribed.set()

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Stop polling for ``subscription``; after the last one, end the poller."""
        self._subscriptions.pop(subscription, None)
        if not self._subscriptions and self.is_open:
            self.is_open = False
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)

    async def _run(self) -> None:
        reason: BaseException = PollerStoppedError("the shared poller was stopped; a new wait starts another")
        try:
            await self._poll_until_cancelled()
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - every subscriber must get it, or it would wait without end
            reason = error
        finally:
            self.is_open = False
            for subscription in self._subscriptions:
                subscription.end(reason)
            await self.connection.close()

    async def _poll_until_cancelled(self) -> None:
        while self.is_open:
            await self._sleep_until_due()
            self._schedule.poll_started(self.loop.time())
            outage = await self._poll(tuple(self._subscriptions))
            self._schedule.poll_ended(self.loop.time(), self._pause_after(outage))
            self._subscriptions = {each: None for each in self._subscriptions if not each.is_over}

    async def _sleep_until_due(self) -> None:
        while True:
            self._subscribed.clear()
            due = self._schedule.due(self._interval) if self._subscriptions else math.inf
            left = due - self.loop.time()
            if left <= 0:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._subscribed.wait()

    @property
    def _interval(self) -> float:
        return min((each.poll_interval for each in self._subscriptions), default=math.inf)

    async def _poll(self, subscriptions: Subscriptions) -> MicsError | None:
        """Poll once; return the outage that prevented it, if any.

        A refused token may have been replaced, so the connection is read again at each refusal.
        """
        try:
            return await self._fetch(subscriptions)
        except MicsAuthError as refusal:
            is_new = self.connection.is_new
            await self.connection.close()
            if is_new:
                return _outage_for(subscriptions, refusal)
        try:
            return await self._fetch([each for each in subscriptions if not each.is_over])
        except MicsAuthError as refusal:
            await self.connection.close()
            return _outage_for(subscriptions, refusal)

    async def _fetch(self, subscriptions: Subscriptions) -> MicsError | None:
        if not subscriptions:
            return None
        client = await self.connection.client(subscriptions)
        if self.connection.strangers:
            self._move(
                self.connection.strangers, SharedPoller("mediarithmics poller of a changed connection")
            )
        if isinstance(client, MicsError):
            return client
        if self.connection.is_new and (other := self._other_poller_with(client)) is not None:
            self.is_open = False
            self._move(self._subscriptions, other)
        here = [each for each in subscriptions if each in self._subscriptions]
        if not here:
            return None
        interval = min(each.poll_interval for each in here)
        return await self._fetcher.fetch(client, here, interval)

    def _other_poller_with(self, client: AsyncMicsClient) -> SharedPoller | None:
        """Return another poller that asks the same platform for the same organisation with the same token."""
        for other in set(_pollers.values()):
            is_usable = other is not self and other.is_open and other.loop is self.loop
            if is_usable and other.connection.has_settings_of(client):
                return other
        return None

    def _move(self, subscriptions: Iterable[Subscription], poller: SharedPoller) -> None:
        for subscription in tuple(subscriptions):
            if self._subscriptions.pop(subscription, self) is None:
                poller.subscribe(subscription)

    def _pause_after(self, outage: MicsError | None) -> float:
        """Seconds without polling, with jitter so that not all clients of the platform retry at the same moment."""
        if outage is None:
            self._failures = 0
            return 0.0
        self._failures += 1
        return backoff(self._interval, self._failures, outage) * random.uniform(1.0, 1.2)  # noqa: S311


def _outage_for(subscriptions: Subscriptions, refusal: MicsAuthError) -> MicsError:
    """Return the refusal of a token as an outage, and log it.

    :raises MicsAuthError: it is none
    """
    if not is_outage(refusal):
        raise refusal
    now = datetime.now(UTC)
    for subscription in subscriptions:
        if not subscription.is_over:
            subscription.on_error(refusal, now)
    return refusal


class PollSchedule:
    """Decides when to poll next. All times are the event loop's, in seconds."""

    def __init__(self) -> None:
        self._polled_at: float | None = None
        self._ended_at = -math.inf
        self._paused_until = -math.inf
        self._subscribed_at: float | None = None

    def subscribed(self, now: float) -> bool:
        """Note a new subscription; return whether it is the first since the last poll, which moves the next one."""
        if self._subscribed_at is not None:
            return False
        self._subscribed_at = now
        return True

    def poll_started(self, now: float) -> None:
        """Note that a poll for all present subscriptions started."""
        self._subscribed_at = None
        self._polled_at = now

    def poll_ended(self, now: float, pause: float = 0.0) -> None:
        """Note the end of a poll; do not poll in the next ``pause`` seconds."""
        self._ended_at = now
        self._paused_until = now + pause

    def due(self, interval: float) -> float:
        """Return the time of the next poll, if no further subscription is added.

        An interval is from start to start. A poll that takes longer than that is followed by a short rest.
        """
        polled_at = -math.inf if self._polled_at is None else self._polled_at
        due = math.inf if self._polled_at is None else polled_at + interval
        due = max(due, self._ended_at + min(SHORTEST_REST, interval))
        if self._subscribed_at is not None:
            joined = self._subscribed_at + min(JOIN_DELAY, interval)
            due = min(due, max(joined, polled_at + min(MIN_JOIN_GAP, interval)))
        return max(due, self._paused_until)
