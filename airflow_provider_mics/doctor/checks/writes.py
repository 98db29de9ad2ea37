"""Creates, finds and cancels one execution, to see what the platform keeps of it.

It is due in a day, so that it does not start before it is canceled, and there is time to cancel it by hand.
"""

from __future__ import annotations

from datetime import datetime

from airflow_provider_mics.api.calls import Steps, flow
from airflow_provider_mics.api.errors import MicsError, MicsTimeoutError
from airflow_provider_mics.api.eventual_consistency import SETTLING_TIME
from airflow_provider_mics.api.field_types import ExecutionType
from airflow_provider_mics.api.instances import get_instance
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import readable
from airflow_provider_mics.api.progress import utc
from airflow_provider_mics.doctor.checks.rows import Result, Row, names
from airflow_provider_mics.doctor.checks.trial import Trial

CHECKS = ("echo", "find", "cancel")


@flow
def write_checks(
    instance_id: str, organisation_id: str | None, trial: Trial | None = None
) -> Steps[list[Row]]:
    """Create one MANUAL execution of an instance, look for it, and cancel it and whatever else was created.

    An execution that may exist after a lost answer is looked for and canceled too. Never raises a `MicsError`.

    :param trial: where what happens is kept, for a caller that may have to `Trial.clean_up`
    """
    trial = trial or Trial(instance_id)
    try:
        instance = yield from get_instance(instance_id)
        if organisation_id is not None and instance.organisation_id not in (None, organisation_id):
            return _not_asked(
                f"instance {instance_id} is of organisation {instance.organisation_id}, not {organisation_id}"
            )
        yield from trial.prepare()
    except MicsError as error:
        return _not_asked(f"instance {instance_id}: {error}")
    yield from trial.create()
    if isinstance(trial.problem, MicsTimeoutError):
        return _not_asked(f"nothing was created: {trial.problem}")
    yield from trial.find()
    yield from trial.cancel()
    return [_echo_row(trial), _find_row(trial), cancel_row(trial)]


def _not_asked(reason: str) -> list[Row]:
    return [Row(check, Result.NOT_ASKED, reason) for check in CHECKS]


def _echo_row(trial: Trial) -> Row:
    if trial.created is not None:
        return _compared(trial.created, trial.moment)
    found = f"the execution could not be created: {trial.problem}"
    if trial.may_have_created:
        found = f"the answer does not tell whether an execution was created: {trial.problem}"
    return Row("echo", Result.NOT_ASKED, found)


def _compared(execution: Execution, moment: datetime) -> Row:
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


def _find_row(trial: Trial) -> Row:
    may_exist, advice = _what_may_exist(trial)
    if trial.list_problem is not None:
        found = f"the list could not be read: {trial.list_problem}"
        return Row("find", Result.NOT_ASKED, found, may_exist, advice)
    if trial.unclear:
        found = (
            f"{names(list(trial.unclear))} {'is' if len(trial.unclear) == 1 else 'are'} new, without a moment"
        )
        return Row("find", Result.TO_DO, found, may_exist, advice)
    if len(trial.own) > 1:
        found = f"the request created {len(trial.own)} executions: {names(list(trial.own))}"
        means = "Something delivers requests twice. Tasks look for a duplicate of what they create, and cancel it."
        return Row("find", Result.NOTE, found, means)
    if trial.took is not None:
        means = f"A try waits {readable(SETTLING_TIME)} before it creates again."
        return Row("find", Result.OK, f"listed within {readable(trial.took)}", means)
    return _missing_row(trial)


def _missing_row(trial: Trial) -> Row:
    found = f"none is listed for {utc(trial.moment)}"
    if not trial.may_have_created:
        return Row("find", Result.NOTE, found, "Nothing was created.")
    if trial.created is None:
        return Row("find", Result.TO_DO, found, *_what_may_exist(trial))
    means = (
        "After a lost answer, a try would create a second execution. If this request was delivered twice, there is "
        f"another, which would start at {utc(trial.moment)}."
    )
    advice = "Ask the vendor after which time the list shows what was created."
    return Row("find", Result.TO_DO, f"not listed within {readable(SETTLING_TIME)}", means, advice)


def cancel_row(trial: Trial) -> Row:
    """Return what came of canceling all that the request created, and what may start."""
    left = [key for key in trial.own if key not in trial.outcomes or not trial.outcomes[key].is_over]
    found = "; ".join(
        f"execution {outcome.found}" if outcome.is_over else outcome.found
        for outcome in trial.outcomes.values()
    )
    if left:
        advice = " ".join(
            f"Execution {key} of instance {trial.instance_id} may start at {utc(trial.moment)}: cancel it on the "
            "platform's console."
            for key in left
        )
        return Row("cancel", Result.TO_DO, found, "Stopping a task does not stop its batch.", advice)
    if trial.own:
        return Row("cancel", Result.OK, found, "Stopping a task stops its batch.")
    may_exist, advice = _what_may_exist(trial)
    return Row("cancel", Result.NOT_ASKED, "there is no execution to cancel", may_exist, advice)


def _what_may_exist(trial: Trial) -> tuple[str, str]:
    """Return what may start although it was not found, and what to do; empty if nothing was created."""
    if not trial.may_have_created:
        return "", ""
    where = f"instance {trial.instance_id}"
    if trial.unclear:
        where += f" ({names(list(trial.unclear))})"
    return (
        f"An execution that was not recognised may exist, and would start at {utc(trial.moment)}.",
        f"Look on the platform's console for executions of {where}, and cancel the one of that moment.",
    )
