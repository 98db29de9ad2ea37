"""Waiting for the end of an execution, and the log lines on its progress."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

from airflow_provider_mics.api.calls import Log, Now, Sleep, Steps, flow
from airflow_provider_mics.api.errors import MicsError, MicsNotFoundError, MicsTimeoutError
from airflow_provider_mics.api.executions import get_execution
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import OutageLog, backoff, is_outage, readable
from airflow_provider_mics.api.text import one_line

HEARTBEAT = timedelta(minutes=5)
"""How often a wait logs that nothing has changed."""
APPEARS_WITHIN = timedelta(minutes=1)
"""How long the platform may take to show an execution that it has created. Until then, a 404 is no error."""
SHORT_REASON = 90
"""Characters of the platform's message in the exception of a task, whose log has it whole."""


class ExecutionLog:
    """The log lines on one execution: one for each change, and a heartbeat.

    :param with_reason: whether the last line says why the execution failed; a task logs that on a line of its own
    """

    __slots__ = ("_logged_at", "_state", "_status", "_with_reason", "name")

    def __init__(self, instance_id: str, execution_id: str, *, with_reason: bool = True) -> None:
        self.name = f"Execution {execution_id} of instance {instance_id}"
        self._with_reason = with_reason
        self._state: tuple[object, ...] = ()
        self._status: object = None
        self._logged_at: datetime | None = None

    def lines(self, execution: Execution, now: datetime) -> Iterator[Log]:
        """Yield the lines to log for a response of the platform, if anything changed."""
        state = (execution.status, execution.completed_tasks, execution.num_tasks, execution.erroneous_tasks)
        if state != self._state:
            if execution.status != self._status:
                yield self._status_line(execution)
            elif not execution.is_over:
                yield Log(f"{self.name}: {progress(execution) or execution.status}")
        elif self._logged_at is not None and now - self._logged_at >= HEARTBEAT:
            started = execution.start_date
            how_long = f", {readable(now - started)} after its start" if started else ""
            yield Log(f"{self.name} is still {execution.status}{how_long}.")
        else:
            return
        self._state, self._status, self._logged_at = state, execution.status, now

    def _status_line(self, execution: Execution) -> Log:
        if not execution.status_is_known:
            note = "this version does not know the status, and treats it as running"
            return Log(f"{self.name} is {execution.status}: {note}.", logging.WARNING)
        if execution.is_over:
            level = logging.INFO if execution.succeeded else logging.ERROR
            how = ending(execution) if self._with_reason else result(execution)
            return Log(f"{self.name} {how}.", level)
        if execution.is_pending:
            due = execution.expected_start_date
            expected = f", expected to start at {utc(due)}" if due else ""
            return Log(f"{self.name} is {execution.status}{expected}.")
        since = f" since {utc(execution.start_date)}" if execution.start_date else ""
        tasks = progress(execution)
        return Log(f"{self.name} is {execution.status}{since}{f': {tasks}' if tasks else ''}.")


def ending(execution: Execution) -> str:
    """Return how an execution ended, as the rest of a sentence: ``FAILED after 42 s: exit code 1``."""
    why = f": {execution.error_message}" if execution.error_message and not execution.succeeded else ""
    return f"{result(execution)}{why}"


def result(execution: Execution) -> str:
    """Return how an execution ended, without the reason: ``FAILED after 42 s (9 of 10 tasks done, 1 erroneous)``."""
    tasks = f" ({progress(execution)})" if execution.erroneous_tasks and progress(execution) else ""
    return f"{_status_and_duration(execution)}{tasks}"


def short_ending(execution: Execution) -> str:
    """Return how an execution ended for an exception, with the beginning of the reason: its log has all of it."""
    why = f": {one_line(execution.error_message, SHORT_REASON)}" if execution.error_message else ""
    return f"{_status_and_duration(execution)}{why}"


def _status_and_duration(execution: Execution) -> str:
    took = f" after {readable(execution.duration)}" if execution.duration is not None else ""
    return f"{execution.status}{took}"


def progress(execution: Execution) -> str | None:
    """Return how many tasks of an execution are done, or None if the platform does not count them."""
    if execution.completed_tasks is None and execution.num_tasks is None:
        return None
    of_all = f" of {execution.num_tasks}" if execution.num_tasks is not None else ""
    bad = f", {execution.erroneous_tasks} erroneous" if execution.erroneous_tasks else ""
    return f"{execution.completed_tasks or 0}{of_all} tasks done{bad}"


def utc(moment: datetime) -> str:
    """Return a UTC datetime for people, to the second."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


@flow
def wait_for_execution(
    instance_id: str, execution_id: str, *, poll_interval: float = 30.0, deadline: datetime | None = None
) -> Steps[Execution]:
    """Poll an execution until it is over, through outages of any length.

    A status that this version does not know counts as running, and a 404 as a delay for the first minute. The vendor
    has no way to wait: its web client polls too (``ImportService.ts``, https://github.com/mnguyen-mics/mcu-nx).

    :param instance_id: the platform's id of the instance
    :param execution_id: the platform's id of the execution
    :param poll_interval: seconds between two requests; longer in an outage
    :param deadline: when to stop waiting (an aware datetime); None waits without limit
    :returns: the execution, SUCCEEDED or not
    :raises MicsTimeoutError: it is not over by the deadline; it continues on the platform
    :raises MicsAuthError: the token is wrong or has expired; one that has worked is asked with for five minutes more
    :raises MicsNotFoundError: the platform has no such execution for a minute
    :raises MicsError: another error that is no outage
    """
    wait = _Wait(instance_id, execution_id, poll_interval)
    while True:
        try:
            execution = yield from get_execution(instance_id, execution_id)
            now = yield Now()
            yield from wait.read(execution, now)
            if execution.is_over:
                return execution
        except MicsError as error:
            now = yield Now()
            yield from wait.failed(error, now)
        pause = wait.pause
        if deadline is not None:
            left = (deadline - now).total_seconds()
            if left <= 0:
                raise MicsTimeoutError(
                    f"execution {execution_id} of instance {instance_id} was not over at {utc(deadline)}"
                )
            pause = min(pause, left)
        yield Sleep(pause)


class _Wait:
    """The state of one `wait_for_execution`; ``pause`` is in seconds until the next request."""

    def __init__(self, instance_id: str, execution_id: str, poll_interval: float) -> None:
        self.pause = poll_interval
        self._poll_interval = poll_interval
        self._log = ExecutionLog(instance_id, execution_id)
        self._outage = OutageLog()
        self._missing_since: datetime | None = None

    def read(self, execution: Execution, now: datetime) -> Iterator[Log]:
        self.pause = self._poll_interval
        self._missing_since = None
        yield from self._outage.answered(now)
        yield from self._log.lines(execution, now)

    def failed(self, error: MicsError, now: datetime) -> Iterator[Log]:
        """Yield the lines to log for an error.

        :raises MicsError: ``error``, if it is no outage, and not a 404 that may be a delay
        """
        self._missing_since = (self._missing_since or now) if isinstance(error, MicsNotFoundError) else None
        is_delay = self._missing_since is not None and now - self._missing_since < APPEARS_WITHIN
        if not is_delay and not is_outage(error):
            raise error
        yield from self._outage.failed(error, now)
        self.pause = (
            self._poll_interval if is_delay else backoff(self._poll_interval, self._outage.failures, error)
        )
