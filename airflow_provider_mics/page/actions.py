"""What the page does: on the platform, or through the DAG where there is one. Each action is in Airflow's audit log."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from airflow.api.common.trigger_dag import trigger_dag
from airflow.exceptions import DagRunAlreadyExists
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.log import Log
from airflow.utils.session import create_session
from airflow.utils.types import DagRunTriggeredByType
from sqlalchemy.exc import IntegrityError

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.field_types import ExecutionType
from airflow_provider_mics.api.progress import utc
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.core.exactly_once.submission import submit_execution
from airflow_provider_mics.core.planning.listing import within
from airflow_provider_mics.core.provisioning.executions import ensure_execution_canceled
from airflow_provider_mics.core.provisioning.pausing import pause, resume
from airflow_provider_mics.page.batches import ACTIVE, PAUSED, Batch
from airflow_provider_mics.page.connections import run
from airflow_provider_mics.page.forms_sent_twice import AnswersByForm
from airflow_provider_mics.page.marks import RunLink
from airflow_provider_mics.page.permissions import Viewer
from airflow_provider_mics.runtime.failures import one_line_of

LONGEST_ACTION = timedelta(seconds=20)
"""How long the platform may take: a browser waits for the answer."""


@dataclass(frozen=True)
class Order:
    """What a user confirmed.

    ``request_id`` is another one for each form, so that a form that is sent twice acts once. ``asked_at`` is when the
    form was made. ``start`` is when a batch is to start, or None for at once; both are in UTC.
    """

    batch: Batch
    viewer: Viewer
    request_id: str
    asked_at: datetime
    start: datetime | None = None
    execution_id: str | None = None


@dataclass(frozen=True)
class Answer:
    """What came of an action."""

    is_done: bool
    text: str
    run: RunLink | None = None


@dataclass(frozen=True)
class Action:
    """Something that a user may do with a batch.

    ``why_not`` says why it makes no sense for a batch now, or None; ``is_allowed`` whether the user may do it. ``act``
    does it.
    """

    label: str
    why_not: Callable[[Batch], str | None]
    is_allowed: Callable[[Viewer, Batch], bool]
    act: Callable[[Order], Answer]

    def fits(self, batch: Batch) -> bool:
        """Whether the action makes sense for a batch now."""
        return self.why_not(batch) is None


def run_batch(order: Order) -> Answer:
    """Start a batch, through its DAG where there is one."""
    if order.batch.dag is None:
        return _run_without_dag(order)
    dag_id = order.batch.dag.dag_id
    run_id = f"manual__{order.asked_at:%Y-%m-%dT%H:%M:%S}+00:00_{order.request_id}"
    link = RunLink(dag_id, run_id)
    conf = {} if order.start is None else {"expected_start_date": order.start.isoformat(timespec="seconds")}
    try:
        trigger_dag(
            dag_id,
            triggered_by=DagRunTriggeredByType.UI,
            triggering_user_name=order.viewer.name,
            run_id=run_id,
            conf=conf,
        )
    except (DagRunAlreadyExists, IntegrityError):
        # The second of two API servers that get a form at the same moment finds the run when it writes its own.
        if DagRun.find_duplicate(dag_id=dag_id, run_id=run_id) is None:
            raise
        return Answer(True, f"Its DAG was started already by this form, with the run {run_id}.", link)
    when = "" if order.start is None else f" It starts the batch at {utc(order.start)}."
    waits = " The DAG is off: the run waits until it is switched on." if order.batch.dag.is_paused else ""
    return Answer(True, f"Started through its DAG, with the run {run_id}.{when}{waits}", link)


def _run_without_dag(order: Order) -> Answer:
    start = order.asked_at
    if order.start is not None:
        # The milliseconds tell apart what several forms ask for one moment.
        number = int(sha256(order.request_id.encode()).hexdigest(), 16) % 1000
        start = order.start.replace(microsecond=1000 * number)
    identity = ExecutionIdentity(order.batch.instance_id, ExecutionType.MANUAL, start)
    job = submit_execution(identity, submission_timeout=timedelta(0))
    submission = run(order.batch.source, within(job, LONGEST_ACTION))
    execution = submission.execution
    return Answer(
        True,
        f"Execution {execution.id} was {submission.outcome} on the platform, {execution.status}. There is no DAG, so "
        "Airflow does not know of it.",
    )


def pause_batch(order: Order) -> Answer:
    """Pause an instance on the platform."""
    instance = run(order.batch.source, within(pause(order.batch.instance_id), LONGEST_ACTION))
    return Answer(
        True,
        f"The platform says {instance.cron_status}: it fires no tick any more. The DAG loses its schedule when the "
        "inventory is refreshed.",
    )


def resume_batch(order: Order) -> Answer:
    """Have the platform fire an instance's cron again."""
    instance = run(order.batch.source, within(resume(order.batch.instance_id), LONGEST_ACTION))
    return Answer(True, f"The platform says {instance.cron_status}. Missed ticks are not made up.")


def cancel_execution(order: Order) -> Answer:
    """Cancel an execution on the platform."""
    execution_id = order.execution_id or ""
    give_up_at = datetime.now(UTC) + LONGEST_ACTION / 2
    job = ensure_execution_canceled(order.batch.instance_id, execution_id, give_up_at)
    canceled = run(order.batch.source, within(job, LONGEST_ACTION))
    return Answer(
        canceled.execution.is_over or canceled.method != "already over",
        f"Execution {execution_id}: {canceled.method}; the platform says {canceled.execution.status}.",
    )


def switch_dag_on(order: Order) -> Answer:
    """Unpause a DAG."""
    return _switch_dag(order, is_paused=False)


def switch_dag_off(order: Order) -> Answer:
    """Pause a DAG. The platform goes on firing the cron."""
    return _switch_dag(order, is_paused=True)


def _switch_dag(order: Order, *, is_paused: bool) -> Answer:
    if order.batch.dag is None:
        raise MicsError("this batch has no DAG")
    with create_session() as session:
        dag = session.get(DagModel, order.batch.dag.dag_id)
        if dag is None:
            raise MicsError(f"Airflow has no DAG {order.batch.dag.dag_id} any more")
        dag.is_paused = is_paused
    if is_paused:
        return Answer(
            True, "The DAG is off. The platform goes on firing the cron: to stop it, pause the instance."
        )
    return Answer(True, "The DAG is on.")


def _unless(fits: Callable[[Batch], bool]) -> Callable[[Batch], str | None]:
    return lambda batch: None if fits(batch) else f"It is {batch.status}."


def _unless_dag(*, is_paused: bool) -> Callable[[Batch], str | None]:
    def why_not(batch: Batch) -> str | None:
        if batch.dag is None:
            return "It has no DAG."
        return (
            None
            if batch.dag.is_paused == is_paused
            else f"The DAG is {'on' if is_paused else 'off'} already."
        )

    return why_not


ACTIONS: Mapping[str, Action] = {
    "run": Action("Run now", lambda batch: batch.why_no_run, Viewer.may_run, run_batch),
    "run_at": Action("Run at", lambda batch: batch.why_no_run_at, Viewer.may_run, run_batch),
    "pause": Action("Pause", _unless(lambda batch: batch.status == ACTIVE), Viewer.may_act_on, pause_batch),
    "resume": Action(
        "Resume", _unless(lambda batch: batch.status == PAUSED), Viewer.may_act_on, resume_batch
    ),
    "cancel": Action(
        "Cancel", _unless(lambda batch: batch.instance is not None), Viewer.may_cancel, cancel_execution
    ),
    "dag_on": Action("Switch the DAG on", _unless_dag(is_paused=True), Viewer.may_act_on, switch_dag_on),
    "dag_off": Action("Switch the DAG off", _unless_dag(is_paused=False), Viewer.may_act_on, switch_dag_off),
}


_answers = AnswersByForm[Answer](lambda answer: answer.is_done)


def perform(name: str, order: Order) -> Answer:
    """Do what a user confirmed. A form that was sent before is not acted on again, but has the same answer."""
    form = name, order.batch.path, order.viewer.name, order.request_id
    return _answers.get(form, lambda: _perform(name, order))


def _perform(name: str, order: Order) -> Answer:
    """Do what a user confirmed, and write it to Airflow's audit log before and after."""
    entry = _begin_audit(name, order)
    try:
        answer = ACTIONS[name].act(order)
    except Exception as error:  # noqa: BLE001 - whatever Airflow raises is an answer too
        answer = Answer(False, f"Not done: {one_line_of(error)}")
    _end_audit(entry, answer)
    return answer


def _begin_audit(name: str, order: Order) -> int:
    batch = order.batch
    extra = {
        "mics_conn_id": batch.source.conn_id,
        "organisation_id": batch.source.organisation_id,
        "instance_id": batch.instance_id,
        "execution_id": order.execution_id,
        "expected_start_date": None if order.start is None else order.start.isoformat(),
        "request_id": order.request_id,
    }
    with create_session() as session:
        entry = Log(
            event=f"mics_batch_{name}",
            owner=order.viewer.name,
            owner_display_name=order.viewer.name,
            extra=json.dumps({key: value for key, value in extra.items() if value is not None}),
            dag_id=None if batch.dag is None else batch.dag.dag_id,
        )
        session.add(entry)
        session.flush()
        return int(entry.id)


def _end_audit(entry_id: int, answer: Answer) -> None:
    with create_session() as session:
        entry = session.get(Log, entry_id)
        if entry is not None:
            said: dict[str, Any] = json.loads(entry.extra or "{}")
            entry.extra = json.dumps(said | {"is_done": answer.is_done, "answer": answer.text})
            entry.run_id = None if answer.run is None else answer.run.run_id
