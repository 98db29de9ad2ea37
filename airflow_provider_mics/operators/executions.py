"""The operator that runs an integration batch exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.configuration import conf
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSkipException

from airflow_provider_mics.api.errors import MicsError, MicsTimeoutError
from airflow_provider_mics.api.executions import cancel_execution
from airflow_provider_mics.api.field_types import ExecutionStatus, ExecutionType
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import is_outage, readable, retry_through_outages
from airflow_provider_mics.api.progress import ending, utc, wait_for_execution
from airflow_provider_mics.api.validation import (
    checked_execution_type,
    checked_id,
    parse_datetime,
    seconds_of,
)
from airflow_provider_mics.core.exactly_once.handover import (
    DEFAULT_PLATFORM_GRACE,
    CreateNow,
    Skip,
    TickContext,
    WaitForPlatform,
    decide_tick,
    wait_for_tick_execution,
)
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity, identity_of
from airflow_provider_mics.core.exactly_once.submission import (
    Interruption,
    Submission,
    get_recorded_execution,
    submit_execution,
)
from airflow_provider_mics.core.provisioning.executions import cancel_on_timeout
from airflow_provider_mics.operators.arguments import check_exclusive, check_wait_timeout, optional_timedelta
from airflow_provider_mics.operators.mics_operator import MicsOperator
from airflow_provider_mics.operators.pending_submission import PendingSubmission
from airflow_provider_mics.runtime.failures import errors_as_task_failures, task_failure
from airflow_provider_mics.runtime.on_kill import TaskWait, was_killed_by_user
from airflow_provider_mics.runtime.task_context import (
    deadline_of,
    store_execution_id,
    stored_execution_id,
    task_try_of,
)
from airflow_provider_mics.runtime.templates import is_literal, rendered
from airflow_provider_mics.runtime.trigger_events import outcome_of
from airflow_provider_mics.runtime.xcom_keys import EXECUTION_ID_KEY

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

LATE_TICK = timedelta(minutes=15)
"""A tick that is submitted this long after it was due gets a warning in the log."""
KILL_TIMEOUT = 2.0
"""Seconds, for the query to Airflow and for the cancel request: Airflow 3 kills the process five seconds later."""


class MicsCreateExecutionOperator(MicsOperator):
    """Run an instance exactly once: find the execution of this piece of work, or create it, and wait for its end.

    Each try of the task looks for the same execution, so a retry after a lost worker or a lost response continues with
    the running execution and does not start the batch twice. A retry after a failed execution runs the batch again. An
    execution that was canceled on the platform fails the task without retries.

    XCom: the execution as JSON, and its id under ``execution_id`` as soon as it is known.

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
    :param cron: the instance's own cron, for a DAG that is scheduled on it: scheduled runs are then ticks, which the
        platform may fire too
    :param platform_grace: how long the platform, which fires an ACTIVE cron itself, has to create the execution of a
        tick before Airflow does, in seconds or as a timedelta; 0 creates at once, None never creates
    :param tick_context: instead of ``cron`` and ``platform_grace``, with all that ``integration_batch_dags`` knows of
        the schedule
    :param mics_conn_id: the Airflow connection of type ``mediarithmics`` (templated)
    :param organisation_id: the organisation's id; by default the connection's (templated)
    :raises ValueError: invalid or contradictory arguments, when the DAG is parsed
    """

    template_fields: Sequence[str] = (
        *MicsOperator.template_fields,
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
        cron: str | None = None,
        platform_grace: float | timedelta | None = DEFAULT_PLATFORM_GRACE,
        tick_context: TickContext | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id
        self.execution_type = execution_type
        self.expected_start_date = expected_start_date
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = seconds_of(self.task_id, "poll_interval", poll_interval)
        self.timeout = optional_timedelta(self.task_id, "timeout", timeout)
        self.cancel_on_kill = cancel_on_kill
        check_wait_timeout(self.task_id, timeout, wait_for_completion=wait_for_completion)
        check_exclusive(self.task_id, cron=cron, tick_context=tick_context)
        grace = optional_timedelta(self.task_id, "platform_grace", platform_grace, may_be_zero=True)
        self.tick_context = tick_context or TickContext(
            cron, timezone="", schedule_since=None, platform_grace=grace
        )
        self._task_wait: TaskWait | None = None
        self._deadline: datetime | None = None
        self._check_literals()

    def _check_literals(self) -> None:
        """Check what is known when the DAG is parsed; templates are checked when the task runs."""
        try:
            if is_literal(self.instance_id):
                checked_id("instance_id", self.instance_id)
            if self.execution_type is not None and is_literal(self.execution_type):
                checked_execution_type(self.execution_type)
            if isinstance(self.expected_start_date, datetime) or is_literal(self.expected_start_date):
                parse_datetime(self.expected_start_date)
        except MicsError as error:
            raise ValueError(f"{self.task_id}: {error}") from None

    def execute(self, context: Context) -> Any:
        with errors_as_task_failures():
            self._show_instance_link(context, self._identity(context).instance_id)
            return self._start(context, PendingSubmission(give_up_at=self._retry_until.timestamp()))

    def after_grace(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Resume when the platform has created the tick's execution, or when its grace is over."""
        pending = PendingSubmission(give_up_at=self._retry_until.timestamp(), grace_is_over=True)
        with errors_as_task_failures():
            return self._start(context, pending)

    def after_outage(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Resume when the platform answers again, or when ``submission_timeout`` is over."""
        with errors_as_task_failures():
            return self._start(context, _pending_of(event))

    def _start(self, context: Context, pending: PendingSubmission) -> Any:
        """Find or create the execution; a deferrable task waits for the end of an outage without a worker."""
        self._pending = pending
        identity = self._identity(context)
        try:
            execution_id = None if pending.grace_is_over else stored_execution_id(context)
            if execution_id is not None:
                execution = self.hook.run(get_recorded_execution(identity.instance_id, execution_id))
                if execution is not None:
                    return self._handle_submission(context, identity, Submission(execution, "found"))
            if identity.is_scheduled:
                return self._run_tick(context, identity, grace_is_over=pending.grace_is_over)
            return self._submit(context, identity)
        except MicsError as error:
            created_id, is_over = pending.interruption.created_id, pending.is_over(datetime.now(UTC))
            if not self.deferrable or not is_outage(error) or (is_over and not created_id):
                raise
            if is_over and created_id:
                self.log.warning("Could not check for duplicates of execution %s: %s", created_id, error)
                created = Execution(id=created_id, status=ExecutionStatus.PENDING)
                return self._handle_submission(context, identity, Submission(created, "created"))
            self.log.warning("%s. Waiting for the end of the outage without a worker.", error)
        self._defer_outage(pending)

    def _defer_outage(self, pending: PendingSubmission) -> NoReturn:
        from airflow_provider_mics.outage_triggers import MicsOutageTrigger

        state = replace(pending, attempt=pending.attempt + 1)
        trigger = MicsOutageTrigger(
            instance_id=self.instance_id,
            execution_id=pending.interruption.created_id or "",
            deadline=pending.give_up_at,
            cancel_on_kill=self.cancel_on_kill,
            state=state.to_json(),
            attempt=pending.attempt,
            **self._trigger_arguments(),
        )
        self.defer(trigger=trigger, method_name="after_outage")

    @property
    def _interruption(self) -> Interruption | None:
        """What to go on from, and to update; None where nothing can follow: an outage then ends the submission."""
        can_continue = self.deferrable and not self._pending.is_over(datetime.now(UTC))
        has_begun = self._pending.interruption.known_ids is not None
        return self._pending.interruption if can_continue or has_begun else None

    @property
    def _patience(self) -> timedelta:
        """How long the worker asks on in an outage."""
        return self._pending.patience(datetime.now(UTC), holds_worker=not self.deferrable)

    def _identity(self, context: Context) -> ExecutionIdentity:
        execution_type = rendered(self.execution_type)
        self.instance_id = checked_id("instance_id", rendered(self.instance_id))
        return identity_of(
            task_try_of(context),
            self.instance_id,
            execution_type=ExecutionType(checked_execution_type(execution_type)) if execution_type else None,
            expected_start_date=parse_datetime(self.expected_start_date),
            runs_on_cron=self.tick_context.cron is not None,
        )

    def _run_tick(self, context: Context, identity: ExecutionIdentity, *, grace_is_over: bool = False) -> Any:
        """Decide whether Airflow or the platform creates the tick's execution, and act on the decision."""
        give_up_at = datetime.now(UTC) + self._patience
        settings = self.hook.run(retry_through_outages(self.hook.read_connection(), give_up_at))
        tick_context = replace(self.tick_context, timezone=self.tick_context.timezone or settings.timezone)
        decision = self.hook.run(
            decide_tick(identity, tick_context, give_up_at=give_up_at, grace_is_over=grace_is_over)
        )
        if isinstance(decision, Skip):
            raise AirflowSkipException(decision.reason)
        if isinstance(decision, CreateNow):
            return self._submit(context, decision.identity, decision.existing)
        self._wait_for_platform(decision)
        self._pending = PendingSubmission(give_up_at=self._retry_until.timestamp(), grace_is_over=True)
        return self._run_tick(context, identity, grace_is_over=True)

    def _wait_for_platform(self, decision: WaitForPlatform) -> None:
        """Wait until the platform has created the tick's execution, or its grace is over."""
        self.log.info(
            "The platform fires this cron itself. Waiting until %s for it to create the execution of %s.",
            utc(decision.until),
            utc(decision.identity.expected_start_date),
        )
        if self.deferrable:
            from airflow_provider_mics.triggers import MicsTickTrigger

            trigger = MicsTickTrigger.of(decision.identity, decision.until, **self._trigger_arguments())
            self.defer(trigger=trigger, method_name="after_grace")
        self.hook.run(wait_for_tick_execution(decision.identity, decision.until, self.poll_interval))

    def _submit(
        self, context: Context, identity: ExecutionIdentity, existing: Sequence[Execution] | None = None
    ) -> Any:
        submission = self.hook.run(
            submit_execution(
                identity,
                is_retry=task_try_of(context).is_retry,
                existing=existing,
                submission_timeout=self._patience,
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
            return execution.to_json()
        if execution.is_over:
            return self._finish(execution)
        return self._wait(context, execution)

    def _record_execution(self, context: Context, execution: Execution) -> None:
        """Record the execution of this task, for its users, for the next try, and for `on_kill`."""
        if self._task_wait is not None and self._task_wait.execution_id == execution.id:
            return
        self._task_wait = TaskWait.of(context["ti"], execution.id)
        self._deadline = deadline_of(context, None)
        context["ti"].xcom_push(key=EXECUTION_ID_KEY, value=execution.id)
        store_execution_id(context, execution.id)

    def _log_submission(self, context: Context, identity: ExecutionIdentity, submission: Submission) -> None:
        execution = submission.execution
        if task_try_of(context).generation:
            self.log.info(
                "Task was cleared: starting a new execution. Executions of earlier tries are not reused."
            )
        if submission.outcome == "found":
            status = ending(execution) if execution.is_over else execution.status
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
        deadline = deadline_of(context, self.timeout)
        if self.deferrable:
            from airflow_provider_mics.triggers import MicsExecutionTrigger

            trigger = MicsExecutionTrigger(
                instance_id=self.instance_id,
                execution_id=execution.id,
                deadline=None if deadline is None else deadline.timestamp(),
                cancel_on_kill=self.cancel_on_kill,
                **self._trigger_arguments(),
            )
            self.defer(trigger=trigger, method_name="execute_complete")
        self._deadline = deadline
        try:
            ended = self.hook.run(
                wait_for_execution(
                    self.instance_id, execution.id, poll_interval=self.poll_interval, deadline=deadline
                )
            )
        except MicsTimeoutError as error:
            return self._handle_timeout(execution.id, str(error))
        return self._finish(ended)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Resume when the execution has ended, its time is up, or an error ended the wait."""
        outcome = outcome_of(event)
        if outcome.timed_out and not outcome.is_handled:
            return self._handle_timeout(outcome.execution_id, outcome.message)
        if outcome.execution is None:
            raise task_failure(outcome.message, final=outcome.is_final)
        return self._finish(outcome.execution)

    def on_kill(self) -> None:
        """Cancel the execution if a user stopped the task or its time is up, but not if its worker is shut down."""
        wait = self._task_wait
        if wait is None or not self.cancel_on_kill:
            return
        self._task_wait = None
        name = f"execution {wait.execution_id} of instance {self.instance_id}"
        is_timed_out = self._deadline is not None and datetime.now(UTC) >= self._deadline
        if not is_timed_out and not was_killed_by_user(wait, KILL_TIMEOUT):
            self.log.info("The worker was stopped, but not by a user: not canceling %s.", name)
            return
        try:
            canceled = self.hook.run_with_timeout(
                cancel_execution(self.instance_id, wait.execution_id), KILL_TIMEOUT
            )
            self.log.info("The task was stopped: canceled %s (%s).", name, canceled.method)
        except MicsError as error:
            self.log.error("The task was stopped, but %s could not be canceled: %s", name, error)

    def _handle_timeout(self, execution_id: str, message: str) -> Any:
        """Cancel the execution and fail the task, unless the execution has ended by itself."""
        job = cancel_on_timeout(self.instance_id, execution_id, should_cancel=self.cancel_on_kill)
        try:
            result = self.hook.run(job)
        except MicsError as error:
            raise AirflowException(f"{message}; it could not be canceled: {error}") from None
        if result.ended_by_itself:
            return self._finish(result.execution)
        raise AirflowException(f"{message}{result.note}")

    def _finish(self, execution: Execution) -> dict[str, Any]:
        """Return the execution as JSON if it succeeded, else fail the task."""
        name = f"Execution {execution.id} of instance {self.instance_id}"
        if execution.succeeded:
            return execution.to_json()
        if execution.canceled:
            raise AirflowFailException(f"{name} was CANCELED on the platform: the task is not retried")
        raise AirflowException(f"{name} {ending(execution)}")


def _pending_of(event: dict[str, Any] | None) -> PendingSubmission:
    """Read the event of the trigger that waited for the end of an outage.

    :raises AirflowException: it is not one of ours
    """
    try:
        return PendingSubmission.from_json(event or {})
    except (KeyError, TypeError):
        raise AirflowException(
            f"The trigger ended with {event!r}, which says nothing of the submission"
        ) from None
