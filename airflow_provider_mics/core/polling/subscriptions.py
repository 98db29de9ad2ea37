"""Subscriptions: what a task waits for, and how poll results and log lines reach that task.

The poller's task publishes results; the waiting task reads them in `Subscription.stream`. So log lines are written in
the context of the waiting task, which is how Airflow knows whose log they belong to.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Union

from airflow_provider_mics.api.calls import Flow, Log
from airflow_provider_mics.api.errors import MicsError, MicsNotFoundError
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import OutageLog, backoff, is_outage, readable
from airflow_provider_mics.api.progress import APPEARS_WITHIN, HEARTBEAT, ExecutionLog
from airflow_provider_mics.api.validation import checked_id
from airflow_provider_mics.core.polling.execution_lists import (
    CreationSearch,
    ExecutionSummary,
    Matches,
    Target,
)

if TYPE_CHECKING:
    from airflow_provider_mics.api.clients import AsyncMicsClient

MakeClient = Callable[[], Awaitable["AsyncMicsClient"]]
LogCallback = Callable[[Log], object]
Subscriptions = Sequence["Subscription"]
Topic = Union[Target, "CreationSubscription"]
"""What a result is about: an execution, or the search of one subscription."""
MIN_POLL_INTERVAL = 0.05
"""Seconds; a shorter ``poll_interval`` is raised to this."""


class Dispatcher:
    """Passes the results of one poll to the subscriptions that wait for them."""

    def __init__(self, subscriptions: Subscriptions, now: datetime) -> None:
        self._started = now, asyncio.get_running_loop().time()
        self._pending = dict.fromkeys(subscriptions)
        self._completions: dict[Target, list[CompletionSubscription]] = {}
        self._creations: list[CreationSubscription] = []
        for subscription in subscriptions:
            if isinstance(subscription, CompletionSubscription):
                self._completions.setdefault(subscription.target, []).append(subscription)
            elif isinstance(subscription, CreationSubscription):
                self._creations.append(subscription)

    @property
    def targets(self) -> list[Target]:
        """The executions that are waited for."""
        return list(self._completions)

    def due_searches(self) -> dict[CreationSubscription, Flow[Execution | None]]:
        """Return the searches for created executions that may run now."""
        return {each: each.search() for each in self._creations if each.is_due(self._loop_time)}

    def publish_list(self, summaries: Mapping[str, ExecutionSummary]) -> list[Target]:
        """Publish list items by execution id; return the targets to request by id: over, or not in the list."""
        now, loop_time = self._now, self._loop_time
        unresolved = []
        for target, group in self._completions.items():
            summary = summaries.get(target.execution_id)
            if summary is not None and not summary.may_belong_to(target.instance_id):
                summary = None
            if summary is not None and not any(each.on_list_item(summary, now) for each in group):
                for each in group:
                    self._pending.pop(each, None)
            elif any(each.is_due(loop_time) for each in group):
                unresolved.append(target)
        return unresolved

    async def publish_all(self, results: AsyncGenerator[tuple[Topic, Any], None]) -> list[Any]:
        """Publish each result as soon as it comes, and return all of them."""
        published = []
        async with aclosing(results):
            async for topic, result in results:
                self._publish(topic, result)
                published.append(result)
        return published

    def publish_outage(self, outage: MicsError) -> None:
        """Publish to all pending subscriptions why there is no result for them."""
        for subscription in self._pending:
            subscription.on_error(outage, self._now)

    def _publish(self, topic: Topic, result: Any) -> None:
        group = [topic] if isinstance(topic, CreationSubscription) else self._completions[topic]
        for subscription in group:
            self._pending.pop(subscription, None)
            if not isinstance(result, MicsError):
                subscription.on_answer(result, self._now)
                continue
            subscription.on_error(result, self._now)
            if is_outage(result):
                subscription.back_off(result, self._loop_time)

    @property
    def _loop_time(self) -> float:
        return asyncio.get_running_loop().time()

    @property
    def _now(self) -> datetime:
        started, loop_time = self._started
        return started + timedelta(seconds=self._loop_time - loop_time)


class Subscription:
    """One wait: its state between polls, and the events for the task that waits."""

    def __init__(self, name: str, poll_interval: float, make_client: MakeClient) -> None:
        """``poll_interval`` is in seconds; ``make_client`` works for all waits on the same connection."""
        self.poll_interval = max(poll_interval, MIN_POLL_INTERVAL)
        self.make_client = make_client
        self.is_over = False
        self._name = name
        self._events: asyncio.Queue[Log | Execution | BaseException] = asyncio.Queue()
        self._outage = OutageLog()
        self._missing_since: datetime | None = None
        self._failures = 0
        self._backs_off_until = float("-inf")
        self.on_outage: Callable[[bool], object] | None = None
        """Called with True when an outage of the platform begins, and with False when it is over."""

    async def stream(self, log: LogCallback) -> Execution:
        """Pass each log line to ``log`` as it comes, and return the execution waited for."""
        while True:
            event = await self._events.get()
            if isinstance(event, Log):
                log(event)
            elif isinstance(event, BaseException):
                # One error can end many waits. Without this, each would add its frames to the same traceback.
                raise event.with_traceback(None)
            else:
                return event

    def on_answer(self, answer: Any, now: datetime) -> None:
        """Handle the answer to a request for what is waited for: an execution, or None if the search found none."""
        raise NotImplementedError

    def on_error(self, error: MicsError, now: datetime) -> None:
        """Handle a failed request: log an outage, retry a 404 for a while, end the wait on any other error."""
        if isinstance(error, MicsNotFoundError):
            self._on_not_found(error, now)
        elif is_outage(error):
            self._missing_since = None
            if self.on_outage is not None and not self._outage.failures:
                self.on_outage(True)
            self.log(self._outage.failed(error, now))
        else:
            self.end(error)

    def is_due(self, loop_time: float) -> bool:
        """Whether a request for this subscription alone may be sent, see `back_off`."""
        return loop_time >= self._backs_off_until

    def back_off(self, error: MicsError, loop_time: float) -> None:
        """Send no request for this subscription alone for a while, longer with each failure in a row."""
        self._failures += 1
        self._backs_off_until = loop_time + backoff(self.poll_interval, self._failures, error)

    def log(self, lines: Iterable[Log]) -> None:
        for line in lines:
            self._events.put_nowait(line)

    def end(self, outcome: Execution | BaseException) -> None:
        """End the wait with its result or an error. Only the first call counts."""
        if not self.is_over:
            self.is_over = True
            self._events.put_nowait(outcome)

    def _on_not_found(self, error: MicsNotFoundError, now: datetime) -> None:
        if self._missing_since is None:
            self._missing_since = now
            message = f"{self._name} not found, retrying for {readable(APPEARS_WITHIN)}: {error}"
            self.log([Log(message, logging.WARNING)])
        elif now - self._missing_since >= APPEARS_WITHIN:
            self.end(error)

    def _reset_failures(self, now: datetime) -> None:
        self._missing_since = None
        self._failures = 0
        self._backs_off_until = float("-inf")
        if self._outage.failures:
            if self.on_outage is not None:
                self.on_outage(False)
            self.log(self._outage.answered(now))


class CompletionSubscription(Subscription):
    """Waits until an execution is over."""

    def __init__(
        self, instance_id: str, execution_id: str, poll_interval: float, make_client: MakeClient
    ) -> None:
        self.target = Target(checked_id("instance_id", instance_id), checked_id("execution_id", execution_id))
        super().__init__(f"Execution {execution_id} of instance {instance_id}", poll_interval, make_client)
        self._execution_log = ExecutionLog(*self.target)
        self._state: tuple[object, ...] = ()
        self._logged_at: datetime | None = None

    def on_list_item(self, summary: ExecutionSummary, now: datetime) -> bool:
        """Handle a list item; return whether the execution is over, so that it must be requested in full."""
        was_logged = self._logged_at is not None and now - self._logged_at < HEARTBEAT
        if not was_logged or summary.state != self._state:
            execution = summary.as_execution()
            if execution.is_over:
                return True
            self._log_progress(execution, now)
            self._state = summary.state
        self._reset_failures(now)
        return False

    def on_answer(self, execution: Execution, now: datetime) -> None:
        """Log the execution's progress; end the wait if it is over."""
        self._reset_failures(now)
        self._log_progress(execution, now)
        if execution.is_over:
            self.end(execution)

    def _log_progress(self, execution: Execution, now: datetime) -> None:
        self.log(self._execution_log.lines(execution, now))
        self._logged_at = now


class CreationSubscription(Subscription):
    """Waits until an instance has an execution that ``matches``."""

    def __init__(
        self, instance_id: str, matches: Matches, poll_interval: float, make_client: MakeClient
    ) -> None:
        checked_id("instance_id", instance_id)
        super().__init__(f"Instance {instance_id}", poll_interval, make_client)
        self._creation_search = CreationSearch(instance_id, matches)

    def search(self) -> Flow[Execution | None]:
        return self._creation_search.search()

    def on_answer(self, execution: Execution | None, now: datetime) -> None:
        """End the wait if the search found an execution."""
        self._reset_failures(now)
        if execution is not None:
            self.end(execution)
