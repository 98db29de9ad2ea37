"""The operator that runs an integration batch exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.configuration import conf

from airflow_provider_mics.api.calls import Job
from airflow_provider_mics.api.errors import MicsError, MicsTimeoutError
from airflow_provider_mics.api.field_types import ExecutionType
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import is_outage, readable
from airflow_provider_mics.api.progress import result, wait_for_execution
from airflow_provider_mics.api.validation import (
    checked_execution_type,
    checked_id,
    parse_datetime,
    seconds_of,
)
from airflow_provider_mics.core.exactly_once.earlier_tries import unfinished_executions
from airflow_provider_mics.core.exactly_once.handover import (
    DEFAULT_PLATFORM_GRACE,
    TickContext,
)
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity, TaskTry, identity_of
from airflow_provider_mics.core.exactly_once.moments import TaskName
from airflow_provider_mics.core.exactly_once.submission import (
    Submission,
    get_recorded_execution,
    submit_execution,
)
from airflow_provider_mics.core.exactly_once.twins import with_twin_checks
from airflow_provider_mics.core.planning.cron_ticks import Cron
from airflow_provider_mics.core.provisioning.executions import cancel_on_timeout
from airflow_provider_mics.operators.arguments import check_exclusive, optional_timedelta
from airflow_provider_mics.operators.pending_submission import PendingSubmission
from airflow_provider_mics.operators.stopping import StoppableOperator
from airflow_provider_mics.operators.ticks import TickOperator
from airflow_provider_mics.runtime.asset_events import describe_in_asset_events
from airflow_provider_mics.runtime.compat import AirflowException, AirflowFailException
from airflow_provider_mics.runtime.failures import errors_as_task_failures, execution_failure
from airflow_provider_mics.runtime.on_kill import supervisor_watched
from airflow_provider_mics.runtime.run_conf import check_run_conf
from airflow_provider_mics.runtime.task_context import (
    deadline_of,
    stored_execution_id,
    task_try_of,
    with_stored_moment,
)
from airflow_provider_mics.runtime.templates import (
    check_literal_ids,
    check_literal_moment,
    is_literal,
    rendered,
)
from airflow_provider_mics.runtime.trigger_events import outcome_of
from airflow_provider_mics.runtime.xcom_values import xcom_value

if TYPE_CHECKING:
    from airflow_provider_mics.runtime.compat import Context

LATE_TICK = timedelta(minutes=15)
"""A tick that is submitted this long after it was due gets a warning in the log."""


class MicsCreateExecutionOperator(TickOperator, StoppableOperator):
    """Run an instance exactly once: find the execution of this piece of work, or create it, and wait for its end.

    Each try of the task looks for the same execution, so a retry after a lost worker or a lost response continues with
    the running execution and does not start the batch twice. A retry after a failed execution runs the batch again. An
    execution that was canceled on the platform fails the task without retries.

    XCom: the execution as JSON, shortened to 48 KiB, and its id under ``execution_id`` as soon as it is known.

    :param instance_id: the id of the instance to run (templated)
    :param execution_type: ``MANUAL`` or ``CRON``, which stands for a tick of the instance's own cron (templated). By
        default ``CRON`` in a scheduled run if ``cron`` is given, else ``MANUAL``
    :param expected_start_date: when the platform starts the execution: an aware datetime, ISO 8601 text or epoch
        milliseconds (templated); by default at once
    :param wait_for_completion: whether to wait for the end of the execution
    :param deferrable: whether to wait in the triggerer, without a worker slot; by default Airflow's
        ``[operators] default_deferrable``
    :param poll_interval: time between two requests while waiting, in seconds or as a timedelta
    :param timeout: longest wait, in seconds or as a timedelta; then the execution is canceled and the task fails
    :param cancel_on_kill: whether to cancel the execution when a user stops the task, or when its time is up
    :param submission_timeout: how long to retry during an outage while the execution is submitted, in seconds or as a
        timedelta; 0 does not retry. A deferrable task leaves its worker meanwhile
    :param fail_on_erroneous_tasks: whether an execution that SUCCEEDED with erroneous tasks fails the task, without
        retries; by default it is a warning in the log
    :param cron: the instance's own cron, for a DAG that is scheduled on it: scheduled runs are then ticks, which the
        platform may fire too; an empty text is none
    :param platform_grace: how long the platform, which fires an ACTIVE cron itself, has to create the execution of a
        tick before Airflow does, in seconds or as a timedelta; 0 creates at once, None never creates
    :param tick_context: instead of ``cron`` and ``platform_grace``, with all that ``integration_batch_dags`` knows of
        the schedule
    :param checks_run_conf: whether to fail, before anything starts, if the run's configuration has a key that is none
        of the DAG's params
    :param mics_conn_id: the Airflow connection of type ``mediarithmics`` (templated)
    :param organisation_id: the organisation's id; by default the connection's (templated)
    :raises ValueError: invalid or contradictory arguments, when the DAG is parsed
    """

    template_fields: Sequence[str] = (
        *TickOperator.template_fields,
        "instance_id",
        "execution_type",
        "expected_start_date",
    )

    def __init__(
        self,
        *,
        instance_id: str,
        execution_type: str | None = None,
        expected_start_date: datetime | str | int | None = None,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | timedelta = 30.0,
        timeout: float | timedelta | None = None,
        cancel_on_kill: bool = True,
        fail_on_erroneous_tasks: bool = False,
        cron: str | None = None,
        platform_grace: float | timedelta | None = DEFAULT_PLATFORM_GRACE,
        tick_context: TickContext | None = None,
        checks_run_conf: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id
        self.execution_type = execution_type
        self.expected_start_date = expected_start_date
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = seconds_of(self.task_id, "poll_interval", poll_interval)
        self.timeout = optional_timedelta(self.task_id, "timeout", self._settle_wait(timeout))
        self.cancel_on_kill = cancel_on_kill
        self.fail_on_erroneous_tasks = fail_on_erroneous_tasks
        self.checks_run_conf = checks_run_conf
        if tick_context is not None and self._is_shared("cron"):
            cron = None
        cron = self._checked_cron(cron)
        check_exclusive(self.task_id, cron=cron, tick_context=tick_context)
        grace = optional_timedelta(self.task_id, "platform_grace", platform_grace, may_be_zero=True)
        self.tick_context = tick_context or TickContext(
            cron, timezone="", schedule_since=None, platform_grace=grace
        )
        self._check_literals()

    def _check_literals(self) -> None:
        """Check what is known when the DAG is parsed; templates are checked when the task runs."""
        check_literal_ids(self.task_id, instance_id=self.instance_id)
        check_literal_moment(self.task_id, self.expected_start_date)
        try:
            if self.execution_type is not None and is_literal(self.execution_type):
                checked_execution_type(self.execution_type)
        except MicsError as error:
            raise ValueError(f"{self.task_id}: {error}") from None

    def _checked_cron(self, cron: str | None) -> str | None:
        """Return the cron, and None for an empty text, as which a Variable or an instance may have none.

        :raises ValueError: it cannot be scheduled
        """
        if cron is None or cron == "":
            return None
        problem = Cron(cron).problem if isinstance(cron, str) else "is no text"
        if problem:
            raise ValueError(f"{self.task_id}: cron {cron!r} {problem}")
        return cron

    def execute(self, context: Context) -> Any:
        with errors_as_task_failures():
            if self.checks_run_conf:
                check_run_conf(context)
            self._show_instance_link(context, self._identity(context).instance_id)
            return self._start(context, self._new_pending())

    def _find_or_create(self, context: Context, pending: PendingSubmission) -> Any:
        identity = self._identity(context)
        if not pending.grace_is_over and not pending.has_requested:
            execution_id = stored_execution_id(context, identity)
            self._stop_earlier_executions(context)
            if execution_id is not None:
                execution = self.hook.run(get_recorded_execution(identity.instance_id, execution_id))
                if execution is not None:
                    return self._handle_submission(context, identity, Submission(execution, "found"))
        if identity.is_scheduled:
            return self._run_tick(context, identity, grace_is_over=pending.grace_is_over)
        return self._submit(context, with_stored_moment(context, identity))

    def _stop_earlier_executions(self, context: Context) -> None:
        """After a clear, stop what the tries before it have left running, before this try starts its own.

        The old worker or trigger is asked to stop too, but seconds later, or not at all.
        """
        task_try = task_try_of(context, _creating_tasks(context))
        if not task_try.generation or not self.cancel_on_kill:
            return
        earlier = (replace(task_try, generation=number) for number in range(task_try.generation))
        identities = [self._as_tick(self._identity_of(each)) for each in earlier]
        give_up_at = datetime.now(UTC) + self._patience
        for execution in self.hook.run(unfinished_executions(identities, give_up_at)):
            job = cancel_on_timeout(self.instance_id, execution.id, should_cancel=True)
            try:
                result = self.hook.run(job)
                self.log.info(
                    "The task was cleared: execution %s of an earlier try%s.", execution.id, result.note
                )
            except MicsError as error:
                if is_outage(error):
                    raise
                self.log.error(
                    "The task was cleared, but execution %s of an earlier try could not be canceled: %s",
                    execution.id,
                    error,
                )

    def _identity(self, context: Context) -> ExecutionIdentity:
        self.instance_id = checked_id("instance_id", rendered(self.instance_id))
        return self._identity_of(task_try_of(context, _creating_tasks(context)))

    def _identity_of(self, task_try: TaskTry) -> ExecutionIdentity:
        execution_type = rendered(self.execution_type)
        return identity_of(
            task_try,
            self.instance_id,
            execution_type=ExecutionType(checked_execution_type(execution_type)) if execution_type else None,
            expected_start_date=parse_datetime(self.expected_start_date),
            runs_on_cron=self.tick_context.cron is not None,
        )

    def _submit(
        self,
        context: Context,
        identity: ExecutionIdentity,
        existing: Sequence[Execution] | None = None,
        *,
        replaces_existing: bool = False,
    ) -> Any:
        submission = self.hook.run(
            submit_execution(
                identity,
                is_retry=task_try_of(context).is_retry or replaces_existing,
                existing=existing,
                submission_timeout=self._patience,
                on_identified=lambda found: self._before_request(context, found),
                on_created=lambda created: self._record_execution(context, created),
                interruption=self._interruption,
            )
        )
        return self._handle_submission(context, identity, submission)

    def _handle_submission(
        self, context: Context, identity: ExecutionIdentity, submission: Submission
    ) -> Any:
        execution = submission.execution
        self._record_execution(context, execution)
        self._log_submission(context, identity, submission)
        if not self.wait_for_completion:
            describe_in_asset_events(context, self.instance_id, execution)
            return xcom_value(execution)
        if execution.is_over:
            return self._finish(context, execution)
        return self._wait(context, execution)

    def _log_submission(self, context: Context, identity: ExecutionIdentity, submission: Submission) -> None:
        execution = submission.execution
        if task_try_of(context).generation:
            self.log.info(
                "Task was cleared: starting a new execution. Executions of earlier tries are not reused."
            )
        if submission.outcome == "found":
            status = result(execution) if execution.is_over else execution.status
            self.log.info("Found execution %s, %s: %s.", execution.id, status, identity)
            return
        late = datetime.now(UTC) - identity.expected_start_date
        at_once = ", to start at once" if late > timedelta(0) else ""
        self.log.info("Created execution %s: %s%s.", execution.id, identity, at_once)
        if identity.is_scheduled and late > LATE_TICK:
            self.log.warning(
                "This tick was due %s ago, and the platform had not created its execution.", readable(late)
            )

    def _wait(self, context: Context, execution: Execution) -> Any:
        identity = self._identity(context)
        deadline = deadline_of(context, self.timeout)
        if self.deferrable:
            from airflow_provider_mics.triggers import MicsExecutionTrigger

            trigger = MicsExecutionTrigger(
                instance_id=self.instance_id,
                execution_id=execution.id,
                deadline=None if deadline is None else deadline.timestamp(),
                cancel_on_kill=self.cancel_on_kill,
                tick=self._tick_argument(identity),
                **self._trigger_arguments(),
            )
            self.defer(trigger=trigger, method_name="execute_complete")
        self._deadline = deadline
        noticed = {execution.id}
        job: Job[Execution] = wait_for_execution(
            self.instance_id, execution.id, poll_interval=self.poll_interval, deadline=deadline
        )
        if identity.is_scheduled:
            job = with_twin_checks(job, self._check_twins(identity, execution.id, noticed))
        try:
            with supervisor_watched(self._task_wait):
                ended = self.hook.run(job)
        except MicsTimeoutError as error:
            return self._handle_timeout(context, execution.id, str(error))
        return self._finish_once_checked(context, ended, noticed)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Resume when the execution has ended, its time is up, or an error ended the wait."""
        with errors_as_task_failures():
            outcome = outcome_of(event)
            if outcome.timed_out and not outcome.is_handled:
                return self._handle_timeout(context, outcome.execution_id, outcome.message)
            if outcome.execution is None:
                raise outcome.failure()
            execution = self._in_full(self.instance_id, outcome.execution, is_cut=outcome.is_cut)
            return self._finish_once_checked(context, execution, {*outcome.twins})

    def _finish_once_checked(self, context: Context, execution: Execution, noticed: set[str]) -> Any:
        """Look a last time for a second execution of a tick, and finish."""
        if execution.execution_type == ExecutionType.CRON:
            identity = self._identity(context)
            try:
                self.hook.run(self._check_twins(identity, execution.id, noticed))
            except MicsError as error:
                self.log.warning("Could not check for a second execution of the tick: %s", error)
            is_canceled_tick = identity.is_scheduled and execution.canceled and execution.start_date is None
            if is_canceled_tick and self._is_due_again(identity):
                return self._start(context, self._new_pending())
        return self._finish(context, execution)

    def _handle_timeout(self, context: Context, execution_id: str, message: str) -> Any:
        """Cancel the execution and fail the task, unless the execution has ended by itself."""
        job = cancel_on_timeout(self.instance_id, execution_id, should_cancel=self.cancel_on_kill)
        try:
            result = self.hook.run(job)
        except MicsError as error:
            raise AirflowException(f"{message}; it could not be canceled: {error}") from None
        if result.ended_by_itself:
            return self._finish(context, result.execution)
        raise AirflowException(f"{message}{result.note}")

    def _finish(self, context: Context, execution: Execution) -> dict[str, Any]:
        """Return the execution as JSON if it succeeded, else fail the task."""
        name = f"Execution {execution.id} of instance {self.instance_id}"
        if execution.succeeded:
            self._check_tasks(name, execution)
            describe_in_asset_events(context, self.instance_id, execution)
            return xcom_value(execution)
        if execution.canceled:
            raise AirflowFailException(f"{name} was CANCELED on the platform: the task is not retried")
        raise execution_failure(name, execution)

    def _check_tasks(self, name: str, execution: Execution) -> None:
        """Warn, or fail without retries, if an execution succeeded with erroneous tasks: a retry would only find it."""
        if not execution.erroneous_tasks:
            return
        of_all = "" if execution.num_tasks is None else f" of {execution.num_tasks}"
        line = f"{name} SUCCEEDED, but {execution.erroneous_tasks}{of_all} tasks were erroneous"
        if self.fail_on_erroneous_tasks:
            raise AirflowFailException(f"{line}. Clear the task to run the batch again")
        self.log.warning("%s.", line)


def _creating_tasks(context: Context) -> tuple[TaskName, ...]:
    """Return the tasks of this DAG that create executions: on one instance, none may take another's moment."""
    dag: Any = context.get("dag")
    return tuple(
        TaskName(
            task.task_id,
            is_mapped=not isinstance(task, MicsCreateExecutionOperator)
            or task.get_closest_mapped_task_group() is not None,
        )
        for task in (() if dag is None else dag.tasks)
        if issubclass(task.operator_class, MicsCreateExecutionOperator)
    )
