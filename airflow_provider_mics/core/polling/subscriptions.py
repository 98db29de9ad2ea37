"""Subscriptions: what a task waits for, and how poll results and log lines reach that task.

The poller's task publishes results; the waiting task reads them in `Subscription.next_event`. So log lines are written
in the context of the waiting task, which is how Airflow knows whose log they belong to.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_mics.api.calls import Flow, Log
from airflow_provider_mics.api.errors import MicsError, MicsNotFoundError
from airflow_provider_mics.api.executions import newest_execution
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import OutageLog, backoff, is_outage, readable
from airflow_provider_mics.api.progress import APPEARS_WITHIN, HEARTBEAT, ExecutionLog
from airflow_provider_mics.api.validation import checked_id
from airflow_provider_mics.core.polling.completions import (
    CompletionCursor,
    RecentExecutions,
    list_recent_executions,
)
from airflow_provider_mics.core.polling.execution_lists import CreationSearch, Matches, Target
from airflow_provider_mics.core.polling.listed_executions import ListedExecution

if TYPE_CHECKING:
    from airflow_provider_mics.api.clients import AsyncMicsClient

MakeClient = Callable[[], Awaitable["AsyncMicsClient"]]
LogCallback = Callable[[Log], object]
Subscriptions = Sequence["Subscription"]
MIN_POLL_INTERVAL = 0.05
"""Seconds; a shorter ``poll_interval`` is raised to this."""
SEARCH_EVERY = 10
"""Polls after which the list of an instance is searched again, even if the organisation's list shows what is new."""


class Ended(NamedTuple):
    """An execution that is over. If not ``is_in_full``, it is as a list shows it, which may leave out texts."""

    execution: Execution
    is_in_full: bool


class Completions(NamedTuple):
    """Executions that ended, the earliest end first, and the cursor after them."""

    executions: list[Execution]
    cursor: CompletionCursor


class Subscription:
    """One wait: its state between polls, and the events for the task that waits."""

    __slots__ = (
        "__weakref__",
        "_backs_off_until",
        "_events",
        "_failures",
        "_has_told_outage",
        "_missing_since",
        "_outage",
        "_platform_answers",
        "_waiter",
        "connection_key",
        "is_over",
        "make_client",
        "on_outage",
        "poll_interval",
    )

    def __init__(self, connection_key: Hashable, poll_interval: float, make_client: MakeClient) -> None:
        """``poll_interval`` is in seconds; ``make_client`` works for all waits with the same ``connection_key``."""
        self.connection_key = connection_key
        self.poll_interval = max(poll_interval, MIN_POLL_INTERVAL)
        self.make_client = make_client
        self.is_over = False
        self.on_outage: Callable[[bool], object] | None = None
        """Called with True when an outage of the platform begins, and with False when it is over."""
        self._events: list[Any] = []
        self._waiter: asyncio.Future[None] | None = None
        self._outage: OutageLog | None = None
        self._has_told_outage = False
        self._platform_answers = False
        self._missing_since: datetime | None = None
        self._failures = 0
        self._backs_off_until = float("-inf")

    @property
    def name(self) -> str:
        """What is waited for, in log lines."""
        raise NotImplementedError

    async def next_event(self, log: LogCallback) -> Any:
        """Pass log lines to ``log`` as they come, and return the next result."""
        while True:
            while not self._events:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
            event = self._events.pop(0)
            if isinstance(event, Log):
                log(event)
            elif isinstance(event, BaseException):
                # One error can end many waits. Without this, each would add its frames to the same traceback.
                raise event.with_traceback(None)
            else:
                return event

    def publish(self, event: Any) -> None:
        """Give the waiting task a log line, a result or an error."""
        self._events.append(event)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def on_answer(self, answer: Any, now: datetime) -> None:
        """Handle the answer to a request for what is waited for."""
        raise NotImplementedError

    def on_error(self, error: MicsError, now: datetime) -> None:
        """Handle a failed request: log an outage, retry a 404 for a while, end the wait on any other error."""
        if isinstance(error, MicsNotFoundError):
            self._on_not_found(error, now)
        elif is_outage(error):
            self._missing_since = None
            self._outage = self._outage or OutageLog()
            self._tell_outage(not self._platform_answers)
            self._platform_answers = False
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
            self.publish(line)

    def end(self, outcome: object) -> None:
        """End the wait with its result or an error. Only the first call counts."""
        if not self.is_over:
            self.is_over = True
            self.publish(outcome)

    def _on_not_found(self, error: MicsNotFoundError, now: datetime) -> None:
        if self._missing_since is None:
            self._missing_since = now
            message = f"{self.name} not found, retrying for {readable(APPEARS_WITHIN)}: {error}"
            self.log([Log(message, logging.WARNING)])
        elif now - self._missing_since >= APPEARS_WITHIN:
            self.end(error)

    def _reset_failures(self, now: datetime) -> None:
        self._missing_since = None
        self._failures = 0
        self._backs_off_until = float("-inf")
        self._platform_answers = False
        self._tell_outage(False)
        if self._outage is not None:
            self.log(self._outage.answered(now))
            self._outage = None

    def _tell_outage(self, is_one: bool) -> None:
        """Call ``on_outage`` if that the platform is down, or answers, is news."""
        if is_one != self._has_told_outage:
            self._has_told_outage = is_one
            if self.on_outage is not None:
                self.on_outage(is_one)


class CompletionSubscription(Subscription):
    """Waits until an execution is over."""

    __slots__ = ("_execution_log", "_logged_at", "_state", "target")

    def __init__(
        self, target: Target, connection_key: Hashable, poll_interval: float, make_client: MakeClient
    ) -> None:
        checked_id("instance_id", target.instance_id)
        checked_id("execution_id", target.execution_id)
        self.target = target
        super().__init__(connection_key, poll_interval, make_client)
        self._execution_log = ExecutionLog(*target, with_reason=False)
        self._state: tuple[object, ...] = ()
        self._logged_at: datetime | None = None

    @property
    def name(self) -> str:
        return self._execution_log.name

    def on_list_item(self, listed: ListedExecution, now: datetime, *, is_in_full: bool) -> bool:
        """Handle a list item; return whether it could be read."""
        state = listed.state
        was_logged = self._logged_at is not None and now - self._logged_at < HEARTBEAT
        if was_logged and state == self._state:
            self._reset_failures(now)
            return True
        execution = listed.as_execution()
        if execution is None:
            return False
        self._reset_failures(now)
        self._log_progress(execution, now)
        self._state = state
        if execution.is_over:
            self.end(Ended(execution, is_in_full))
        return True

    def on_answer(self, answer: Execution, now: datetime) -> None:
        """Log the execution's progress; end the wait if it is over."""
        self._reset_failures(now)
        self._log_progress(answer, now)
        if answer.is_over:
            self.end(Ended(answer, is_in_full=True))

    def _log_progress(self, execution: Execution, now: datetime) -> None:
        self.log(self._execution_log.lines(execution, now))
        self._logged_at = now


class InstanceSubscription(Subscription):
    """Waits for something new among the executions of an instance.

    The list of the instance is searched first. While the organisation's list shows without a gap what is new, the
    search is repeated only now and then.
    """

    __slots__ = ("_polls_until_search", "instance_id")

    def __init__(
        self, instance_id: str, connection_key: Hashable, poll_interval: float, make_client: MakeClient
    ) -> None:
        checked_id("instance_id", instance_id)
        self.instance_id = instance_id
        super().__init__(connection_key, poll_interval, make_client)
        self._polls_until_search = 0

    @property
    def name(self) -> str:
        return f"Instance {self.instance_id}"

    @property
    def open_ids(self) -> frozenset[str]:
        """The executions whose state matters."""
        return frozenset()

    def search(self) -> Flow[Any]:
        """Return the search of the instance's list; `on_answer` gets its result."""
        raise NotImplementedError

    def on_new(self, executions: Sequence[Execution], now: datetime) -> None:
        """Handle executions that the organisation's list shows as new, or whose state matters."""
        raise NotImplementedError

    def on_list(
        self, executions: Sequence[Execution], now: datetime, *, is_read: bool, is_continuous: bool
    ) -> bool:
        """Handle what the organisation's list shows; return whether the instance's list must be searched too.

        :param is_read: whether the organisation's list could be read
        :param is_continuous: whether it joins what was read before, and shows all that matters
        """
        self._polls_until_search = self._polls_until_search - 1 if is_continuous else 0
        needs_search = self._polls_until_search <= 0
        if not needs_search:
            self._reset_failures(now)
        elif is_read:
            # If the search fails, that is no outage of the platform: only of the instance's own list.
            self._platform_answers = True
            self._tell_outage(False)
        if executions:
            self.on_new(executions, now)
        return needs_search and not self.is_over

    def searched(self, now: datetime) -> None:
        """Note a search whose result was published."""
        self._polls_until_search = SEARCH_EVERY
        self._reset_failures(now)


class CreationSubscription(InstanceSubscription):
    """Waits until an instance has an execution that ``matches``."""

    __slots__ = ("_creation_search", "_matches")

    def __init__(
        self,
        instance_id: str,
        matches: Matches,
        since: datetime | None,
        connection_key: Hashable,
        poll_interval: float,
        make_client: MakeClient,
    ) -> None:
        super().__init__(instance_id, connection_key, poll_interval, make_client)
        self._matches = matches
        self._creation_search = CreationSearch(instance_id, matches, since)

    def search(self) -> Flow[Execution | None]:
        return self._creation_search.search()

    def on_answer(self, answer: Execution | None, now: datetime) -> None:
        """End the wait if the search found an execution."""
        self.searched(now)
        if answer is not None:
            self.end(answer)

    def on_new(self, executions: Sequence[Execution], now: datetime) -> None:
        found = [each for each in executions if self._matches(each)]
        if found:
            self.end(newest_execution(found))


class CompletionsSubscription(InstanceSubscription):
    """Waits, again and again, for executions of an instance that end."""

    __slots__ = ("_cursor",)

    def __init__(
        self,
        instance_id: str,
        cursor: CompletionCursor | None,
        connection_key: Hashable,
        poll_interval: float,
        make_client: MakeClient,
    ) -> None:
        """``cursor`` is None at the very first time: what has ended until then counts as known."""
        super().__init__(instance_id, connection_key, poll_interval, make_client)
        self._cursor = cursor

    @property
    def open_ids(self) -> frozenset[str]:
        return frozenset() if self._cursor is None else self._cursor.still_open

    def search(self) -> Flow[RecentExecutions]:
        return list_recent_executions(self.instance_id, self._cursor)

    def on_list(
        self, executions: Sequence[Execution], now: datetime, *, is_read: bool, is_continuous: bool
    ) -> bool:
        """Handle what the organisation's list shows, as far as it joins what was read before.

        The cursor counts all earlier ends as processed. So it must not move over a gap, which the search closes.
        """
        is_without_gap = is_continuous and self._polls_until_search > 0
        joined = executions if is_without_gap else ()
        return super().on_list(joined, now, is_read=is_read, is_continuous=is_continuous)

    def on_answer(self, answer: RecentExecutions, now: datetime) -> None:
        self.searched(now)
        if self._cursor is None:
            self._move_to([], CompletionCursor.start(answer.executions, now))
        else:
            self._move_to(*self._cursor.new_completions(answer.executions, now, not_read=answer.not_read))

    def on_new(self, executions: Sequence[Execution], now: datetime) -> None:
        if self._cursor is not None:
            self._move_to(*self._cursor.new_completions(executions, now, not_read=self._cursor.still_open))

    def _move_to(self, ended: list[Execution], cursor: CompletionCursor) -> None:
        if cursor != self._cursor or ended:
            self._cursor = cursor
            self.publish(Completions(ended, cursor))
