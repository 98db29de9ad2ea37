"""Waiting for the end of an execution, and telling the story of it in a log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

from airflow_provider_mics.api.calls import Log, Now, Sleep, Steps, flow
from airflow_provider_mics.api.errors import (
    MicsAuthError,
    MicsError,
    MicsNotFoundError,
    MicsTimeoutError,
)
from airflow_provider_mics.api.executions import get_execution
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import OutageLog, backoff, is_outage, readable

HEARTBEAT = timedelta(minutes=5)

"""A wait in which nothing changes says so this often, so that a log never looks dead."""

APPEARS_WITHIN = timedelta(minutes=1)

"""A created execution that the platform does not find yet is looked for so long before it counts as gone."""


class ExecutionLog:
    """What a person wants to read of an execution while it goes on: each change once, and a sign of life."""

    def __init__(self, instance_id: str, execution_id: str) -> None:
        self._name = f"Execution {execution_id} of instance {instance_id}"
        self._told: tuple[object, ...] = ()
        self._status: object = None
        self._told_at: datetime | None = None

    def lines(self, execution: Execution, now: datetime) -> Iterator[Log]:
        """The lines to log now that ``execution`` was seen so; none where nothing changed."""
        state = (execution.status, execution.completed_tasks, execution.num_tasks, execution.erroneous_tasks)
        if state != self._told:
            if execution.status != self._status:
                yield from self._status_line(execution)
            elif not execution.is_over:
                yield Log(f"{self._name}: {progress(execution) or execution.status}")
        elif self._told_at is not None and now - self._told_at >= HEARTBEAT:
            since = execution.start_date or execution.creation_date
            how_long = f", {readable(now - since)} after its start" if since and execution.start_date else ""
            yield Log(f"{self._name} is still {execution.status}{how_long}.")
        else:
            return
        self._told, self._status, self._told_at = state, execution.status, now

    def _status_line(self, execution: Execution) -> Iterator[Log]:
        if not execution.status_is_known:
            note = "a status this version does not know; it is taken as going on"
            yield Log(f"{self._name} is {execution.status}: {note}.", logging.WARNING)
        elif execution.is_over:
            yield Log(
                f"{self._name} {ending(execution)}.", logging.INFO if execution.succeeded else logging.ERROR
            )
        elif execution.is_pending:
            due = execution.expected_start_date
            yield Log(
                f"{self._name} is {execution.status}{f', expected to start at {utc(due)}' if due else ''}."
            )
        else:
            started = f" since {utc(execution.start_date)}" if execution.start_date else ""
            tasks = progress(execution)
            yield Log(f"{self._name} is {execution.status}{started}{f': {tasks}' if tasks else ''}.")


def ending(execution: Execution) -> str:
    """How an execution ended, as the rest of a sentence: ``FAILED after 42 s: exit code 1``."""
    took = f" after {readable(execution.duration)}" if execution.duration is not None else ""
    tasks = f" ({progress(execution)})" if execution.erroneous_tasks and progress(execution) else ""
    why = f": {execution.error_message}" if execution.error_message and not execution.succeeded else ""
    return f"{execution.status}{took}{tasks}{why}"


def progress(execution: Execution) -> str | None:
    """How far an execution is, where the platform counts its tasks."""
    if execution.completed_tasks is None and execution.num_tasks is None:
        return None
    of_all = f" of {execution.num_tasks}" if execution.num_tasks is not None else ""
    bad = f", {execution.erroneous_tasks} erroneous" if execution.erroneous_tasks else ""
    return f"{execution.completed_tasks or 0}{of_all} tasks done{bad}"


def utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


@flow
def wait_for_execution(
    instance_id: str, execution_id: str, *, poll_interval: float = 30.0, deadline: datetime | None = None
) -> Steps[Execution]:
    """Ask every ``poll_interval`` seconds until the execution is over, through outages of any length.

    An unknown status is not an end. The deadline is an absolute time (UTC).

    :raises MicsTimeoutError: it was not over by the deadline; it goes on
    :raises MicsAuthError: the token is wrong or expired
    :raises MicsNotFoundError: the platform no longer has the execution
    """
    execution_log, outage = ExecutionLog(instance_id, execution_id), OutageLog()
    missing_since: datetime | None = None
    while True:
        try:
            execution = yield from get_execution(instance_id, execution_id)
            now = yield Now()
            missing_since = None
            yield from outage.answered(now)
            yield from execution_log.lines(execution, now)
            if execution.is_over:
                return execution
            pause = poll_interval
        except MicsAuthError:
            raise
        except MicsError as error:
            now = yield Now()
            missing_since = (missing_since or now) if isinstance(error, MicsNotFoundError) else None
            missing = missing_since is not None and now - missing_since < APPEARS_WITHIN
            if not missing and not is_outage(error):
                raise
            yield from outage.failed(error, now)
            pause = poll_interval if missing else backoff(poll_interval, outage.failures, error)
        if deadline is not None:
            left = (deadline - now).total_seconds()
            if left <= 0:
                raise MicsTimeoutError(
                    f"execution {execution_id} of instance {instance_id} was not over at {utc(deadline)}"
                )
            pause = min(pause, left)
        yield Sleep(pause)
