"""Cancel and delete one execution, and log how the platform did it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_mics.api.calls import Log, Now, Sleep, Steps, flow
from airflow_provider_mics.api.errors import MicsApiError, MicsError, MicsNotFoundError, MicsTimeoutError
from airflow_provider_mics.api.eventual_consistency import READ_INTERVAL
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
from airflow_provider_mics.api.outages import is_outage, readable, retry_through_outages
from airflow_provider_mics.api.progress import APPEARS_WITHIN, ending, utc

STOP_TIMEOUT = timedelta(minutes=1)
"""How long the platform may take to stop an execution after accepting the cancel request."""


@flow
def ensure_execution_canceled(
    instance_id: str, execution_id: str, give_up_at: datetime
) -> Steps[Cancellation]:
    """Cancel an execution unless it is over, and log the method that worked.

    Outages are tolerated until ``give_up_at`` (UTC), and so is an execution that was created a moment ago and is not
    visible yet. The execution in the result is the one read after the cancellation, or before it where the method
    was DELETE; if the platform no longer has it, it counts as CANCELED.

    :raises MicsNotFoundError: there is no such execution
    :raises MicsError: the platform rejected every cancel method
    """
    label = _label(instance_id, execution_id)
    cancellation = yield from retry_through_outages(
        _cancel_once_visible(instance_id, execution_id, give_up_at), give_up_at
    )
    method = cancellation.method
    if method == "already over":
        yield Log(f"Nothing to cancel: {label} is already over: {ending(cancellation.execution)}.")
        return cancellation
    if method == "deletion":
        yield Log(f"Canceled {label} with DELETE: the platform has no other cancel method for a pending one.")
        return cancellation
    try:
        execution = yield from retry_through_outages(get_execution(instance_id, execution_id), give_up_at)
    except MicsNotFoundError:
        yield Log(f"Canceled {label} ({method}): the platform no longer has it.")
        return Cancellation(method, _as_canceled(cancellation.execution))
    yield Log(f"Canceled {label} ({method}): its status is {execution.status}.")
    if not execution.is_over:
        yield Log(f"The platform has not stopped {label} yet.", logging.WARNING)
    return Cancellation(method, execution)


@flow
def _cancel_once_visible(instance_id: str, execution_id: str, give_up_at: datetime) -> Steps[Cancellation]:
    """Cancel an execution; retry while the platform does not find it and may not show it yet."""
    visible_by, is_logged = min((yield Now()) + APPEARS_WITHIN, give_up_at), False
    while True:
        try:
            return (yield from cancel_execution(instance_id, execution_id))
        except MicsNotFoundError as error:
            now = yield Now()
            if now >= visible_by or is_outage(error):
                raise
            if not is_logged:
                yield Log(f"{error}. Retrying for {readable(visible_by - now)}.", logging.WARNING)
            is_logged = True
        yield Sleep(min(READ_INTERVAL, (visible_by - now).total_seconds()))


@flow
def wait_until_stopped(
    instance_id: str, cancellation: Cancellation, *, poll_interval: float, deadline: datetime
) -> Steps[Execution]:
    """Wait until a canceled execution is over or gone; ``poll_interval`` in seconds, ``deadline`` in UTC.

    :raises MicsTimeoutError: it is not over at the deadline
    """
    execution = cancellation.execution
    label = _label(instance_id, execution.id)
    if cancellation.method == "deletion":
        return execution
    while not execution.is_over:
        now = yield Now()
        if now >= deadline:
            raise MicsTimeoutError(
                f"timed out: {label} is still {execution.status} at {utc(deadline)}, "
                f"although the platform accepted the {cancellation.method}"
            )
        yield Sleep(min(poll_interval, (deadline - now).total_seconds()))
        try:
            execution = yield from retry_through_outages(get_execution(instance_id, execution.id), deadline)
        except MicsNotFoundError:
            yield Log(f"The platform no longer has {label}: it counts as canceled.")
            return _as_canceled(execution)
    if not execution.canceled and cancellation.method != "already over":
        yield Log(f"{label} ended before it was canceled: {ending(execution)}.", logging.WARNING)
    return execution


def _as_canceled(execution: Execution) -> Execution:
    return execution.model_copy(update={"status": ExecutionStatus.CANCELED})


@flow
def ensure_execution_deleted(
    instance_id: str, execution_id: str, *, missing_ok: bool = True
) -> Steps[Execution | None]:
    """Delete an execution and return it as it was; None where the platform did not show it.

    :raises MicsError: it does not exist and ``missing_ok`` is False; it is running; or the platform rejected the
        DELETE request
    """
    label = _label(instance_id, execution_id)
    execution = yield from _get_or_none(instance_id, execution_id)
    if execution is None:
        yield from _delete_unlisted(instance_id, execution_id, missing_ok=missing_ok)
        return None
    if not execution.is_over and not execution.is_pending:
        raise MicsError(
            f"{label} is {execution.status}, and the effect of deleting a running execution is not documented: "
            "cancel it first (MicsCancelExecutionOperator with wait_for_completion=True)"
        )
    try:
        yield from delete_execution(instance_id, execution_id)
    except MicsApiError as refusal:
        if not may_lack_route(refusal) or not refusal.from_platform:
            raise
        if (yield from _get_or_none(instance_id, execution_id)) is not None:
            raise MicsError(
                f"{label} still exists: the platform rejected the DELETE request: {refusal}"
            ) from None
    yield Log(f"Deleted {label}, which was {execution.status}.")
    return execution


def _delete_unlisted(instance_id: str, execution_id: str, *, missing_ok: bool) -> Steps[None]:
    """Delete an execution that the platform does not show: without a GET route, its list may only be stale."""
    label = _label(instance_id, execution_id)
    try:
        yield from delete_execution(instance_id, execution_id)
    except MicsApiError as refusal:
        if not may_lack_route(refusal) or not refusal.from_platform:
            raise
        if not missing_ok:
            raise MicsError(f"{label} does not exist, and missing_ok is False") from None
        yield Log(f"E{label[1:]} does not exist: nothing to delete.")
    else:
        yield Log(f"Deleted {label}, which the platform did not show.")


def _get_or_none(instance_id: str, execution_id: str) -> Steps[Execution | None]:
    try:
        return (yield from get_execution(instance_id, execution_id))
    except MicsNotFoundError:
        return None


def _label(instance_id: str, execution_id: str) -> str:
    return f"execution {execution_id} of instance {instance_id}"


@dataclass(frozen=True)
class TimeoutResult:
    """An execution at the deadline of its task, and how it was canceled; ``method`` is None where it was not."""

    execution: Execution
    method: CancelMethod | None

    @property
    def ended_by_itself(self) -> bool:
        """Whether it ended without the deadline; one canceled at that moment counts as canceled by the deadline."""
        return self.execution.is_over and (self.method is None or not self.execution.canceled)

    @property
    def note(self) -> str:
        """What was done, as the rest of a sentence."""
        if self.method is None:
            return "; it was not canceled"
        if self.method == "already over":
            return "; it is canceled"
        if self.method != "deletion" and not self.execution.is_over:
            return f"; canceled it ({self.method}), but the platform has not stopped it yet"
        return f"; canceled it ({self.method})"


@flow
def cancel_on_timeout(instance_id: str, execution_id: str, *, should_cancel: bool) -> Steps[TimeoutResult]:
    """Check an execution a last time at the deadline, and cancel it if it is not over and ``should_cancel``.

    Waits up to `STOP_TIMEOUT` for it to stop: an earlier retry would adopt an execution that is about to end.

    :raises MicsError: it could not be read or canceled, also after `STOP_TIMEOUT`
    """
    give_up_at = (yield Now()) + STOP_TIMEOUT
    if not should_cancel:
        return TimeoutResult((yield from get_execution(instance_id, execution_id)), None)
    cancellation = yield from retry_through_outages(cancel_execution(instance_id, execution_id), give_up_at)
    try:
        execution = yield from wait_until_stopped(
            instance_id, cancellation, poll_interval=READ_INTERVAL, deadline=give_up_at
        )
    except MicsError:
        # The platform accepted the cancellation, even if its effect could not be read.
        execution = cancellation.execution
    return TimeoutResult(execution, cancellation.method)
