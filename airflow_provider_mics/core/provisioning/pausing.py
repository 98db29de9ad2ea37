"""Pausing as the vendor's page means it: "all the coming executions are canceled"."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from airflow_provider_mics.api.calls import Log, Now, Sleep, Steps, flow
from airflow_provider_mics.api.errors import MicsError, MicsNotFoundError, MicsTimeoutError
from airflow_provider_mics.api.executions import cancel_execution, list_executions
from airflow_provider_mics.api.field_types import CronStatus, ExecutionType
from airflow_provider_mics.api.instances import get_instance, pause_instance, resume_instance
from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.api.outages import is_outage
from airflow_provider_mics.api.progress import utc
from airflow_provider_mics.core.provisioning.find_or_create import LOOK_INTERVAL
from airflow_provider_mics.core.provisioning.instances import label_of

CANCELED_WITHIN = timedelta(minutes=2)

"""How long the platform may take to show as canceled what it was asked to cancel."""

LIST_PAGE_SIZE = 500


@flow
def pause(instance_id: str, *, cancel_running: bool = False) -> Steps[Instance]:
    """Set an instance PAUSED and see to it that none of its executions is coming any more.

    Coming is what is pending and expected to start in the future, whoever planned it. What runs or is due now is left
    alone, unless ``cancel_running``. One that is paused already is only cleared of what is coming.

    :raises MicsError: it has no cron; or an execution is coming that the platform does not let us cancel
    :raises MicsTimeoutError: canceled executions are still not over after two minutes
    """
    instance = yield from get_instance(instance_id)
    if instance.cron and instance.cron_status == CronStatus.PAUSED:
        yield Log(f"The {label_of(instance)} is PAUSED already.")
    else:
        instance = yield from pause_instance(instance_id)
        yield Log(f"Paused {label_of(instance)}: the platform fires its cron {instance.cron!r} no more.")
    yield from _cancel_coming(instance, cancel_running=cancel_running)
    return instance


@flow
def resume(instance_id: str) -> Steps[Instance]:
    """Set an instance ACTIVE: its cron fires from the next tick on, and what was missed is not made up.

    An archived one is set ACTIVE too, and stays archived: a warning says that it does not fire.

    :raises MicsError: it has no cron
    """
    instance = yield from get_instance(instance_id)
    if instance.is_active:
        yield Log(f"The {label_of(instance)} is ACTIVE already.")
        return instance
    instance = yield from resume_instance(instance_id)
    if instance.archived:
        yield Log(
            f"The {label_of(instance)} is {instance.cron_status} but archived: {instance.cron!r} does not fire "
            "until it is taken back (MicsUpdateInstanceOperator with archived=False).",
            logging.WARNING,
        )
        return instance
    yield Log(
        f"Resumed {label_of(instance)}: {instance.cron!r} fires from its next tick on; missed ones stay missed."
    )
    return instance


def _cancel_coming(instance: Instance, *, cancel_running: bool) -> Steps[None]:
    asked: set[str] = set()
    give_up = (yield Now()) + CANCELED_WITHIN
    while True:
        now = yield Now()
        executions = yield from list_executions(instance.id, page_size=LIST_PAGE_SIZE)
        going_on = [each for each in executions if not each.is_over]
        unwanted = [each for each in going_on if cancel_running or is_coming(each, now)]
        if not asked:
            yield from _tell_spared([each for each in going_on if each not in unwanted])
        if not unwanted:
            return
        new = [each for each in unwanted if each.id not in asked]
        yield from _cancel_each(instance, new)
        asked |= {each.id for each in new}
        if not new and now >= give_up:
            ids = ", ".join(f"{each.id} ({each.status})" for each in unwanted)
            raise MicsTimeoutError(
                f"{label_of(instance)} is paused, but these are canceled and not over yet: {ids}"
            )
        if not new:
            yield Sleep(LOOK_INTERVAL)


def is_coming(execution: Execution, now: datetime) -> bool:
    """Whether an execution is still to come: not started, and expected to start later than ``now``."""
    if not execution.is_pending:
        return False
    expected = execution.expected_start_date
    return execution.execution_type == ExecutionType.CRON if expected is None else expected > now


def _cancel_each(instance: Instance, executions: Sequence[Execution]) -> Steps[None]:
    """Cancel all that can be canceled, then fail with what cannot."""
    refusals: list[str] = []
    for each in executions:
        when = f", expected at {utc(each.expected_start_date)}" if each.expected_start_date else ""
        try:
            canceled = yield from cancel_execution(instance.id, each.id)
        except MicsNotFoundError:
            yield Log(f"Execution {each.id}, {each.status}{when}, is gone: nothing to cancel.")
        except MicsError as error:
            if is_outage(error):
                raise
            refusals.append(str(error))
        else:
            yield Log(f"Canceled execution {each.id}, {each.status}{when} ({canceled.method}).")
    if refusals:
        raise MicsError(
            f"{label_of(instance)} is paused, but {len(refusals)} of {len(executions)} executions "
            f"could not be canceled: {'; '.join(refusals)}"
        )


def _tell_spared(executions: Sequence[Execution]) -> Steps[None]:
    for each in executions:
        yield Log(
            f"Execution {each.id} is {each.status} and is left alone (cancel_running=True would cancel it)."
        )
