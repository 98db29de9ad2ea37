"""Cancels an execution of the doctor's own, through lost answers and outages: left alone, it would start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_mics.api.calls import Now, Sleep, Steps, flow
from airflow_provider_mics.api.errors import MicsError, MicsNotFoundError
from airflow_provider_mics.api.eventual_consistency import READ_INTERVAL
from airflow_provider_mics.api.executions import cancel_execution, get_execution
from airflow_provider_mics.api.outages import is_outage, readable

CANCEL_TIMEOUT = timedelta(seconds=30)


@dataclass(frozen=True)
class Outcome:
    """What came of canceling an execution; ``found`` says how, or why it may start."""

    is_over: bool
    found: str


@flow
def cancel_and_wait(instance_id: str, execution_id: str, *, is_listed: bool) -> Steps[Outcome]:
    """Cancel an execution until it is over, or until `CANCEL_TIMEOUT`. Never raises a `MicsError`.

    :param is_listed: whether the platform has shown it, so that it is gone where it is no longer there; else the
        platform may not know yet what it has created
    """
    began: datetime = yield Now()
    attempt = _Attempt(instance_id, execution_id)
    while True:
        try:
            if (yield from attempt.is_over()):
                took = readable((yield Now()) - began)
                return Outcome(True, f"{execution_id}, {attempt.how}, within {took}")
        except MicsError as error:
            attempt.problem = error
            if isinstance(error, MicsNotFoundError) and is_listed:
                return Outcome(True, f"{execution_id}, which is gone")
            if not isinstance(error, MicsNotFoundError) and not is_outage(error):
                return Outcome(False, str(error))
        if (yield Now()) - began > CANCEL_TIMEOUT:
            return Outcome(False, attempt.shortfall)
        yield Sleep(READ_INTERVAL)


class _Attempt:
    """The requests to cancel one execution, until one is accepted, and those for its status after it."""

    def __init__(self, instance_id: str, execution_id: str) -> None:
        self._instance_id, self._execution_id = instance_id, execution_id
        self._accepted: str | None = None
        self.problem: MicsError | None = None
        self.how = ""

    def is_over(self) -> Steps[bool]:
        """Go on, and return whether the execution is over.

        :raises MicsError: that cannot be known now
        """
        if self._accepted is None:
            cancellation = yield from cancel_execution(self._instance_id, self._execution_id)
            self._accepted, self.how = cancellation.method, f"by {cancellation.method}"
            if cancellation.method == "already over":
                self.how = "which was over" if self.problem is None else "by a request whose answer was lost"
                return True
        is_over = yield from _is_over(self._instance_id, self._execution_id)
        self.problem = None
        return is_over

    @property
    def shortfall(self) -> str:
        """Why the execution is not known to be over."""
        accepted = "" if self._accepted is None else f"accepted ({self._accepted}), but "
        why = "" if self.problem is None else f": {self.problem}"
        return f"{accepted}not canceled within {readable(CANCEL_TIMEOUT)}{why}"


def _is_over(instance_id: str, execution_id: str) -> Steps[bool]:
    """Whether an execution has ended, or is gone: a platform may only be able to delete it."""
    try:
        execution = yield from get_execution(instance_id, execution_id)
    except MicsNotFoundError:
        return True
    return execution.is_over
