"""Canceling and deleting one execution, and saying what the platform made of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_mics.api.calls import Log, Now, Sleep, Steps, flow
from airflow_provider_mics.api.errors import MicsApiError, MicsError, MicsNotFoundError, MicsTimeoutError
from airflow_provider_mics.api.executions import (
    Cancellation,
    CancelMethod,
    cancel_execution,
    delete_execution,
    get_execution,
    may_lack_route,
)
from airflow_provider_mics.api.field_types import ExecutionStatus
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import OutageLog, retry_through_outages
from airflow_provider_mics.api.progress import APPEARS_WITHIN, ending, utc
from airflow_provider_mics.core.provisioning.find_or_create import LOOK_INTERVAL


@flow
def cancel(instance_id: str, execution_id: str, give_up: datetime) -> Steps[Cancellation]:
    """Cancel an execution, bear an outage until ``give_up`` (UTC), and say which way worked.

    One that was created a moment ago may not show yet, and is looked for. The execution in the result is as it was
    seen right after, or before where canceling meant deleting; one that the platform shows no more counts as CANCELED.

    :raises MicsError: there is no such execution, or the platform offers no way to cancel it
    """
    name = f"execution {execution_id} of instance {instance_id}"
    canceled = yield from retry_through_outages(
        _cancel_as_it_appears(instance_id, execution_id, give_up), give_up
    )
    if canceled.method == "already over":
        yield Log(f"Nothing to cancel: {name} {ending(canceled.execution)}.")
        return canceled
    if canceled.method == "deletion":
        yield Log(f"Canceled {name} by deleting it: this platform offers no other way for a pending one.")
        return canceled
    try:
        execution = yield from retry_through_outages(get_execution(instance_id, execution_id), give_up)
    except MicsNotFoundError:
        yield Log(f"Canceled {name} ({canceled.method}): the platform no longer has it.")
        return Cancellation(canceled.method, _as_canceled(canceled.execution))
    yield Log(f"Canceled {name} ({canceled.method}): it is {execution.status}.")
    if not execution.is_over:
        yield Log(f"The platform has not stopped {name} yet.", logging.WARNING)
    return Cancellation(canceled.method, execution)


@flow
def _cancel_as_it_appears(instance_id: str, execution_id: str, give_up: datetime) -> Steps[Cancellation]:
    """Cancel an execution; one that the platform does not find yet is looked for until it counts as gone."""
    gone, outage = min((yield Now()) + APPEARS_WITHIN, give_up), OutageLog()
    while True:
        try:
            return (yield from cancel_execution(instance_id, execution_id))
        except MicsNotFoundError as error:
            now = yield Now()
            if now >= gone:
                raise
            yield from outage.failed(error, now)
        yield Sleep(min(LOOK_INTERVAL, (gone - now).total_seconds()))


def _as_canceled(execution: Execution) -> Execution:
    return execution.model_copy(update={"status": ExecutionStatus.CANCELED})


@flow
def until_over(
    instance_id: str, canceled: Cancellation, *, poll_interval: float, deadline: datetime
) -> Steps[Execution]:
    """Wait until a canceled execution is over or gone; ``poll_interval`` in seconds, ``deadline`` in UTC.

    :raises MicsTimeoutError: it still goes on at the deadline
    """
    execution = canceled.execution
    name = f"execution {execution.id} of instance {instance_id}"
    if canceled.method == "deletion":
        return execution
    while not execution.is_over:
        now = yield Now()
        if now >= deadline:
            raise MicsTimeoutError(
                f"{name} is still {execution.status} at {utc(deadline)}, "
                f"although the platform took the {canceled.method}"
            )
        yield Sleep(min(poll_interval, (deadline - now).total_seconds()))
        try:
            execution = yield from retry_through_outages(get_execution(instance_id, execution.id), deadline)
        except MicsNotFoundError:
            yield Log(f"The platform no longer has {name}: it counts as canceled.")
            return _as_canceled(execution)
    if not execution.canceled and canceled.method != "already over":
        yield Log(f"{name} ended before it was canceled: it {ending(execution)}.", logging.WARNING)
    return execution


@flow
def discard_execution(
    instance_id: str, execution_id: str, *, missing_ok: bool = True
) -> Steps[Execution | None]:
    """Delete an execution and return it as it was; None where the platform did not show it.

    :raises MicsError: it does not exist, and ``missing_ok`` is False; it is running; or the platform does not delete it
    """
    name = f"execution {execution_id} of instance {instance_id}"
    execution = yield from _existing(instance_id, execution_id)
    if execution is None:
        yield from _discard_unseen(instance_id, execution_id, name, missing_ok=missing_ok)
        return None
    if not execution.is_over and not execution.is_pending:
        raise MicsError(
            f"{name} is {execution.status}: what becomes of a running one that is deleted is not known; "
            "cancel it first (MicsCancelExecutionOperator with wait_for_completion=True)"
        )
    try:
        yield from delete_execution(instance_id, execution_id)
    except MicsApiError as refusal:
        if not may_lack_route(refusal):
            raise
        if (yield from _existing(instance_id, execution_id)) is not None:
            raise MicsError(f"{name} is still there, the platform does not delete it: {refusal}") from None
    yield Log(f"Deleted {name}, which was {execution.status}.")
    return execution


def _discard_unseen(instance_id: str, execution_id: str, name: str, *, missing_ok: bool) -> Steps[None]:
    """Delete an execution that does not show: without a route for one, the platform's list may only be behind."""
    try:
        yield from delete_execution(instance_id, execution_id)
    except MicsApiError as refusal:
        if not may_lack_route(refusal):
            raise
        if not missing_ok:
            raise MicsError(f"{name} does not exist, and missing_ok is False") from None
        yield Log(f"{name} does not exist: nothing to delete.".capitalize())
    else:
        yield Log(f"Deleted {name}, which the platform did not show.")


def _existing(instance_id: str, execution_id: str) -> Steps[Execution | None]:
    try:
        return (yield from get_execution(instance_id, execution_id))
    except MicsNotFoundError:
        return None


STOPS_WITHIN = timedelta(minutes=1)

"""For so long the platform is given to stop what it took the cancellation of."""


@dataclass(frozen=True)
class TimeoutResult:
    """The execution at the end, and how it was canceled; None where it was left alone."""

    execution: Execution
    how: CancelMethod | None

    @property
    def ended_by_itself(self) -> bool:
        """Whether it ended, and not because its time was up: who canceled it at that moment does not show."""
        return self.execution.is_over and (self.how is None or not self.execution.canceled)

    @property
    def note(self) -> str:
        """What was done, as the rest of a sentence."""
        if self.how is None:
            return "; it goes on"
        if self.how == "already over":
            return "; it is canceled"
        if self.how != "deletion" and not self.execution.is_over:
            return f"; canceled it ({self.how}), but the platform has not stopped it yet"
        return f"; canceled it ({self.how})"


@flow
def cancel_on_timeout(instance_id: str, execution_id: str, *, cancels: bool) -> Steps[TimeoutResult]:
    """Look a last time, and cancel what still goes on if ``cancels``.

    The platform is given a while to stop it: a retry that came before would go on with an execution that dies.

    :raises MicsError: it cannot be asked about, or not be canceled, also not within that while
    """
    give_up = (yield Now()) + STOPS_WITHIN
    if not cancels:
        return TimeoutResult((yield from get_execution(instance_id, execution_id)), None)
    canceled = yield from retry_through_outages(cancel_execution(instance_id, execution_id), give_up)
    try:
        execution = yield from until_over(
            instance_id, canceled, poll_interval=LOOK_INTERVAL, deadline=give_up
        )
    except MicsError:
        # It is canceled, whatever can be seen of it.
        execution = canceled.execution
    return TimeoutResult(execution, canceled.method)
