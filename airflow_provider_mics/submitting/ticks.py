"""Waiting until the platform has created the execution of a tick."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow_provider_mics.api.calls import Log, Now, Sleep, Steps, flow
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.waiting import Outage, backoff, is_outage
from airflow_provider_mics.submitting.identity import ExecutionIdentity
from airflow_provider_mics.submitting.submission import find_executions, newest


@flow
def until_tick_appears(
    identity: ExecutionIdentity, until: datetime, poll_interval: float
) -> Steps[Execution | None]:
    """The tick's execution as soon as the platform has created it, or None when it has not by ``until`` (UTC).

    An outage is no answer: it is borne, and at ``until`` nothing is known to have appeared.

    :raises MicsError: anything but an outage
    """
    outage = Outage()
    while True:
        pause = poll_interval
        try:
            found = yield from find_executions(identity)
            yield from outage.answered((yield Now()))
            if found:
                execution = newest(found)
                yield Log(f"The platform created execution {execution.id} for the tick.")
                return execution
        except MicsError as error:
            if not is_outage(error):
                raise
            yield from outage.failed(error, (yield Now()))
            pause = backoff(poll_interval, outage.failures, error)
        left = until - (yield Now())
        if left <= timedelta(0):
            return None
        yield Sleep(min(pause, left.total_seconds()))
