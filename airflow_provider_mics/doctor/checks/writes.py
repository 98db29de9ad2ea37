"""Creates, finds and cancels one execution, to see what the platform keeps of it.

It is due in a day, so that it does not start before it is canceled, and there is time to cancel it by hand.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from airflow_provider_mics.api.calls import Log, Now, PlatformNow, Sleep, Steps, flow
from airflow_provider_mics.api.errors import MicsError, MicsNotFoundError
from airflow_provider_mics.api.eventual_consistency import READ_INTERVAL, SETTLING_TIME
from airflow_provider_mics.api.executions import (
    cancel_execution,
    create_execution,
    executions_path,
    get_execution,
)
from airflow_provider_mics.api.field_types import ExecutionType, from_milliseconds, milliseconds
from airflow_provider_mics.api.instances import get_instance
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import readable
from airflow_provider_mics.api.progress import utc
from airflow_provider_mics.doctor.checks.rows import Result, Row
from airflow_provider_mics.doctor.checks.sampling import sample_newest

DUE_IN = timedelta(days=1)
ODD_MILLISECONDS = 457
"""Added, so that a platform that rounds is noticed."""
CANCEL_TIMEOUT = timedelta(seconds=30)
CHECKS = ("echo", "find", "cancel")


@flow
def write_checks(instance_id: str, organisation_id: str | None) -> Steps[list[Row]]:
    """Create one MANUAL execution of an instance, look for it, and cancel it.

    An execution that may exist after a lost answer is looked for and canceled too. Never raises a `MicsError`.
    """
    try:
        instance = yield from get_instance(instance_id)
    except MicsError as error:
        return _not_asked(f"instance {instance_id}: {error}")
    if organisation_id is not None and instance.organisation_id not in (None, organisation_id):
        return _not_asked(
            f"instance {instance_id} is of organisation {instance.organisation_id}, not {organisation_id}"
        )
    now: datetime = yield PlatformNow()
    moment = from_milliseconds(milliseconds(now + DUE_IN) // 1000 * 1000 + ODD_MILLISECONDS)
    rows: list[Row] = []
    execution: Execution | None = None
    try:
        # Said at once: whoever interrupts this has to cancel it by hand.
        yield Log(
            f"Creating an execution of instance {instance_id} for {utc(moment)}, to be canceled.",
            logging.WARNING,
        )
        execution = yield from create_execution(instance_id, ExecutionType.MANUAL, expected_start_date=moment)
        rows.append(_echo_row(execution, moment))
    except MicsError as error:
        rows.append(Row("echo", Result.NOT_ASKED, f"the execution could not be created: {error}"))
    found_row, found = yield from _find(instance_id, moment, execution)
    rows.append(found_row)
    execution = execution or found
    if execution is None:
        rows.append(Row("cancel", Result.NOT_ASKED, "there is no execution to cancel"))
        return rows
    rows.append((yield from _cancel(instance_id, execution, moment)))
    return rows


def _not_asked(reason: str) -> list[Row]:
    return [Row(check, Result.NOT_ASKED, reason) for check in CHECKS]


def _echo_row(execution: Execution, moment: datetime) -> Row:
    """Compare what the answer to a creation shows with what was sent."""
    shown, kind = execution.expected_start_date, execution.execution_type
    if (kind, shown) == (ExecutionType.MANUAL, moment):
        means = "A retry recognises its own execution."
        return Row("echo", Result.OK, "type and moment as sent, to the millisecond", means)
    differing = [] if kind == ExecutionType.MANUAL else [f"type {kind or 'not shown'} for MANUAL"]
    if shown != moment:
        differing.append(f"moment {shown.isoformat() if shown else 'not shown'} for {moment.isoformat()}")
    means = (
        "Exactly-once cannot be kept: a retry may not recognise its own execution, or take another for it. Tasks go on "
        "and warn."
    )
    advice = "Ask the vendor why the answer differs from what was sent; until then, set retries to 0."
    return Row("echo", Result.TO_DO, ", ".join(differing), means, advice)


def _find(
    instance_id: str, moment: datetime, created: Execution | None
) -> Steps[tuple[Row, Execution | None]]:
    """Look for the execution in the list of its instance, for as long as the platform may take to list it."""

    def is_it(each: Execution) -> bool:
        return each.id == created.id if created is not None else each.expected_start_date == moment

    began: datetime = yield Now()
    while True:
        read_at: datetime = yield Now()
        try:
            sample = yield from sample_newest(executions_path(instance_id), {})
            problem, found = None, next(filter(is_it, sample.values), None)
        except MicsError as error:
            problem, found = error, None
        if found is not None:
            took = (yield Now()) - began
            means = f"A try waits {readable(SETTLING_TIME)} before it creates again."
            return Row("find", Result.OK, f"listed within {readable(took)}", means), found
        if read_at - began >= SETTLING_TIME:
            break
        yield Sleep(READ_INTERVAL)
    if problem is not None:
        return Row("find", Result.NOT_ASKED, f"the list could not be read: {problem}"), None
    if created is None:
        found_none = f"none is listed for {utc(moment)}"
        means = "Nothing was created, unless the list does not show moments (see what lists show)."
        return Row("find", Result.NOTE, found_none, means), None
    means = "After a lost answer, a try would create a second execution."
    advice = "Ask the vendor after which time the list shows what was created."
    return Row("find", Result.TO_DO, f"not listed within {readable(SETTLING_TIME)}", means, advice), None


def _cancel(instance_id: str, execution: Execution, moment: datetime) -> Steps[Row]:
    left = (
        f"Execution {execution.id} of instance {instance_id} may start at {utc(moment)}: cancel it on the platform's "
        "console."
    )
    try:
        cancellation = yield from cancel_execution(instance_id, execution.id)
        began: datetime = yield Now()
        while not (yield from _is_over(instance_id, execution.id)):
            if (yield Now()) - began > CANCEL_TIMEOUT:
                found = (
                    f"accepted ({cancellation.method}), but not canceled within {readable(CANCEL_TIMEOUT)}"
                )
                return Row("cancel", Result.TO_DO, found, "Stopping a task does not stop its batch.", left)
            yield Sleep(READ_INTERVAL)
    except MicsError as error:
        return Row("cancel", Result.TO_DO, str(error), "Stopping a task does not stop its batch.", left)
    took = (yield Now()) - began
    found = f"execution {execution.id}, by {cancellation.method}, within {readable(took)}"
    return Row("cancel", Result.OK, found, "Stopping a task stops its batch.")


def _is_over(instance_id: str, execution_id: str) -> Steps[bool]:
    """Whether an execution has ended, or is gone: a platform may only be able to delete it."""
    try:
        execution = yield from get_execution(instance_id, execution_id)
    except MicsNotFoundError:
        return True
    return execution.is_over
