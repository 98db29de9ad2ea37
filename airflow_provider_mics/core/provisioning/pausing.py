"""Pause and resume an instance; pausing cancels its upcoming executions.

Vendor's page on integration batches: "all the coming executions are canceled".
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from airflow_provider_mics.api.calls import Log, Now, Sleep, Steps, flow
from airflow_provider_mics.api.errors import MicsError, MicsNotFoundError, MicsTimeoutError
from airflow_provider_mics.api.eventual_consistency import READ_INTERVAL
from airflow_provider_mics.api.executions import cancel_execution, list_executions
from airflow_provider_mics.api.field_types import CronStatus, ExecutionType
from airflow_provider_mics.api.instances import get_instance, pause_instance, resume_instance
from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.api.outages import is_outage
from airflow_provider_mics.api.paging import LARGE_PAGE_SIZE
from airflow_provider_mics.api.progress import utc
from airflow_provider_mics.core.provisioning.instances import instance_label

CANCEL_TIMEOUT = timedelta(minutes=2)
"""How long the platform may take to show as over what it was asked to cancel."""


@flow
def pause(instance_id: str, *, cancel_running: bool = False) -> Steps[Instance]:
    """Set an instance PAUSED and cancel its upcoming executions, until none is left.

    Upcoming are those that are pending and expected to start in the future, created by anyone. Running ones, and
    those due now, are canceled only with ``cancel_running``. The upcoming executions of an instance that is already
    PAUSED are canceled too.

    :raises MicsError: the instance has no cron, or the platform rejected every cancel method for an execution
    :raises MicsTimeoutError: canceled executions are not over after `CANCEL_TIMEOUT`
    """
    instance = yield from get_instance(instance_id)
    if instance.cron and instance.cron_status == CronStatus.PAUSED:
        yield Log(f"The {instance_label(instance)} is already PAUSED.")
    else:
        instance = yield from pause_instance(instance_id)
        yield Log(
            f"Paused {instance_label(instance)}: the platform no longer fires its cron {instance.cron!r}."
        )
    yield from _cancel_upcoming(instance, cancel_running=cancel_running)
    return instance


@flow
def resume(instance_id: str) -> Steps[Instance]:
    """Set an instance ACTIVE: its cron fires from the next tick on, and missed ticks are not made up.

    An archived one is set ACTIVE too, and stays archived: a warning says that it does not fire.

    :raises MicsError: the instance has no cron
    """
    instance = yield from get_instance(instance_id)
    if instance.is_active:
        yield Log(f"The {instance_label(instance)} is already ACTIVE.")
        return instance
    instance = yield from resume_instance(instance_id)
    if instance.archived:
        yield Log(
            f"The {instance_label(instance)} is {instance.cron_status} but archived: {instance.cron!r} does not fire "
            "until it is restored (MicsUpdateInstanceOperator with archived=False).",
            logging.WARNING,
        )
        return instance
    yield Log(
        f"Resumed {instance_label(instance)}: {instance.cron!r} fires from its next tick on; "
        "missed ticks are not made up."
    )
    return instance


def _cancel_upcoming(instance: Instance, *, cancel_running: bool) -> Steps[None]:
    requested: set[str] = set()
    deadline = (yield Now()) + CANCEL_TIMEOUT
    while True:
        now = yield Now()
        executions = yield from list_executions(instance.id, page_size=LARGE_PAGE_SIZE)
        unfinished = [each for each in executions if not each.is_over]
        unwanted = [each for each in unfinished if cancel_running or is_upcoming(each, now)]
        if not requested:
            yield from _log_not_canceled([each for each in unfinished if each not in unwanted])
        if not unwanted:
            return
        new = [each for each in unwanted if each.id not in requested]
        yield from _cancel_each(instance, new)
        requested |= {each.id for each in new}
        if not new and now >= deadline:
            ids = ", ".join(f"{each.id} ({each.status})" for each in unwanted)
            raise MicsTimeoutError(
                f"{instance_label(instance)} is paused, but timed out waiting for canceled executions to end: {ids}"
            )
        if not new:
            yield Sleep(READ_INTERVAL)


def is_upcoming(execution: Execution, now: datetime) -> bool:
    """Whether an execution has not started and is expected to start after ``now``."""
    if not execution.is_pending:
        return False
    expected = execution.expected_start_date
    return execution.execution_type == ExecutionType.CRON if expected is None else expected > now


def _cancel_each(instance: Instance, executions: Sequence[Execution]) -> Steps[None]:
    """Cancel all that can be canceled, then fail if some could not."""
    refusals: list[str] = []
    for each in executions:
        when = f", expected at {utc(each.expected_start_date)}" if each.expected_start_date else ""
        try:
            cancellation = yield from cancel_execution(instance.id, each.id)
        except MicsNotFoundError:
            yield Log(f"Execution {each.id}, {each.status}{when}, no longer exists: nothing to cancel.")
        except MicsError as error:
            if is_outage(error):
                raise
            refusals.append(str(error))
        else:
            yield Log(f"Canceled execution {each.id}, {each.status}{when} ({cancellation.method}).")
    if refusals:
        raise MicsError(
            f"{instance_label(instance)} is paused, but {len(refusals)} of {len(executions)} executions "
            f"could not be canceled: {'; '.join(refusals)}"
        )


def _log_not_canceled(executions: Sequence[Execution]) -> Steps[None]:
    for each in executions:
        yield Log(
            f"Execution {each.id} is {each.status} and is not canceled (set cancel_running=True to cancel it)."
        )
