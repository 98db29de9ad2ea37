"""Run an integration batch, exactly once for each piece of work."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.configuration import conf
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSkipException

from airflow_provider_mics.api.errors import MicsError, MicsTimeoutError
from airflow_provider_mics.api.executions import cancel_execution
from airflow_provider_mics.api.field_types import ExecutionType
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import readable
from airflow_provider_mics.api.progress import ending, utc, wait_for_execution
from airflow_provider_mics.api.validation import (
    checked_execution_type,
    checked_id,
    parse_datetime,
    seconds_of,
)
from airflow_provider_mics.core.exactly_once.handover import (
    DEFAULT_GRACE,
    CreateNow,
    Skip,
    TickContext,
    decide_tick,
    until_tick_appears,
)
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity, identity_of
from airflow_provider_mics.core.exactly_once.submission import Submission, recall_execution, submit_execution
from airflow_provider_mics.core.provisioning.executions import cancel_on_timeout
from airflow_provider_mics.links import push_link
from airflow_provider_mics.operators.mics_operator import MicsOperator
from airflow_provider_mics.runtime.failures import readable_failures, task_failure
from airflow_provider_mics.runtime.on_kill import TaskWait, was_killed_by_user
from airflow_provider_mics.runtime.task_context import (
    deadline_of,
    note_execution,
    noted_execution,
    task_try_of,
)
from airflow_provider_mics.runtime.templates import is_literal, rendered
from airflow_provider_mics.runtime.trigger_events import outcome_of
from airflow_provider_mics.runtime.xcom_keys import EXECUTION_ID_KEY
from airflow_provider_mics.triggers import MicsExecutionTrigger, MicsTickTrigger

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

LATE = timedelta(minutes=15)
"""After so long, who looks at the log of a scheduled run may wonder why its batch starts now."""
STOP_SECONDS = 2.0
"""A worker that is stopped has five seconds in all, for the question and for the answer."""


class MicsCreateExecutionOperator(MicsOperator):
    """Run an instance: look for the execution of this piece of work, create it only if it is not there, and wait.

    Every try of the task looks for the same execution, so a retry after a lost worker or a lost answer goes on with
    what is running rather than starting the batch twice. A batch that failed is run again by a retry; one that a
    person canceled on the platform fails the task without retries.

    :param instance_id: the instance to run (templated)
    :param execution_type: ``MANUAL`` or ``CRON``; by default MANUAL, but CRON for a scheduled run where ``cron`` is
        given. ``CRON`` means the instance's own cron
    :param expected_start_date: when the platform is to start it: an aware datetime, ISO 8601 text or epoch
        milliseconds (templated); by default at once
    :param wait_for_completion: whether to wait until it is over; else the task ends when it is planned
    :param deferrable: whether to wait without a worker slot; by default as Airflow's ``default_deferrable``
    :param poll_interval: seconds (or a timedelta) between two questions to the platform
    :param timeout: how long to wait at most, in seconds or as a timedelta; when it passes, the execution is canceled
    :param cancel_on_kill: whether the execution is canceled when a person stops the task, or its time is up
    :param submission_timeout: seconds (or a timedelta) for which an outage is borne while the execution is submitted
    :param cron: the instance's own cron, where this DAG's schedule is just that: its scheduled runs are then ticks
    :param timezone: the time zone (IANA name) of ``cron``; by default the connection's
    :param schedule_since: since when ``cron`` is in force (ISO 8601), where that is known
    :param platform_grace: how long the platform, which fires an ACTIVE cron itself, has to create a tick's execution
        before Airflow does; zero creates at once, None never creates
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
        submission_timeout: float | timedelta = 600.0,
        cron: str | None = None,
        timezone: str | None = None,
        schedule_since: str | None = None,
        platform_grace: float | timedelta | None = DEFAULT_GRACE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id
        self.execution_type = execution_type
        self.expected_start_date = expected_start_date
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = seconds_of(self.task_id, "poll_interval", poll_interval)
        self.timeout = _length_of(self.task_id, "timeout", timeout)
        self.cancel_on_kill = cancel_on_kill
        self.submission_timeout = seconds_of(
            self.task_id, "submission_timeout", submission_timeout, may_be_zero=True
        )
        self.cron = cron
        self.timezone = timezone
        self.schedule_since = schedule_since
        self.platform_grace = _length_of(self.task_id, "platform_grace", platform_grace, may_be_zero=True)
        self._waiting: TaskWait | None = None
        self._deadline: datetime | None = None
        self._refuse_contradictions()

    def _refuse_contradictions(self) -> None:
        self._refuse_what_cannot_be_sent()
        if self.timeout is not None and not self.wait_for_completion:
            raise ValueError(
                f"{self.task_id}: timeout is given, but wait_for_completion=False waits for nothing"
            )

    def _refuse_what_cannot_be_sent(self) -> None:
        """As far as it is known when the DAG is read: a template is checked when the task runs."""
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
        with readable_failures():
            identity = self._identity(context)
            page = push_link(context, self.hook, identity.instance_id)
            if page is not None:
                self.log.info("The instance on the platform: %s", page)
            noted = noted_execution(context)
            recalled = self.hook.run(recall_execution(identity.instance_id, noted)) if noted else None
            if recalled is not None:
                return self._follow(context, identity, Submission(recalled, "found"))
            if identity.is_scheduled:
                return self._run_tick(context, identity)
            return self._submit_and_follow(context, identity)

    def after_grace(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Go on once the platform fired the tick, or its time to do so is over."""
        with readable_failures():
            return self._run_tick(context, self._identity(context), grace_is_over=True)

    def _identity(self, context: Context) -> ExecutionIdentity:
        kind = rendered(self.execution_type)
        self.instance_id = checked_id("instance_id", rendered(self.instance_id))
        return identity_of(
            task_try_of(context),
            self.instance_id,
            execution_type=ExecutionType(checked_execution_type(kind)) if kind else None,
            expected_start_date=parse_datetime(self.expected_start_date),
            runs_on_cron=self.cron is not None,
        )

    def _run_tick(self, context: Context, identity: ExecutionIdentity, *, grace_is_over: bool = False) -> Any:
        """Give the platform its turn at a tick, then see to it that the tick's execution is there."""
        plan = TickContext(
            cron=self.cron,
            timezone=self.timezone or self.hook.timezone,
            schedule_since=parse_datetime(self.schedule_since, "schedule_since"),
            grace=self.platform_grace,
        )
        give_up = datetime.now(UTC) + timedelta(seconds=self.submission_timeout)
        turn = self.hook.run(decide_tick(identity, plan, give_up=give_up, grace_is_over=grace_is_over))
        if isinstance(turn, Skip):
            raise AirflowSkipException(turn.reason)
        if isinstance(turn, CreateNow):
            return self._submit_and_follow(context, turn.identity, turn.known)
        self.log.info(
            "The platform fires this cron itself; it has until %s to create the execution of %s.",
            utc(turn.until),
            utc(turn.identity.expected_start_date),
        )
        if self.deferrable:
            trigger = MicsTickTrigger.of(turn.identity, turn.until, **self._trigger_arguments())
            self.defer(trigger=trigger, method_name="after_grace")
        self.hook.run(until_tick_appears(turn.identity, turn.until, self.poll_interval))
        return self._run_tick(context, identity, grace_is_over=True)

    def _submit_and_follow(
        self, context: Context, identity: ExecutionIdentity, known: Sequence[Execution] | None = None
    ) -> Any:
        submission = self.hook.run(
            submit_execution(
                identity,
                is_retry=task_try_of(context).is_retry,
                known=known,
                patience=timedelta(seconds=self.submission_timeout),
                on_created=lambda created: self._wait_is_for(context, created),
            )
        )
        return self._follow(context, identity, submission)

    def _follow(self, context: Context, identity: ExecutionIdentity, submission: Submission) -> Any:
        execution = submission.execution
        self._wait_is_for(context, execution)
        self._tell(context, identity, submission)
        if not self.wait_for_completion:
            return execution.to_json()
        if execution.is_over:
            return self._finish(execution)
        return self._wait(context, execution)

    def _wait_is_for(self, context: Context, execution: Execution) -> None:
        """From here on the execution is found by who looks at the task, and canceled by who stops it."""
        if self._waiting is not None and self._waiting.execution_id == execution.id:
            return
        self._waiting = TaskWait.of(context["ti"], execution.id)
        self._deadline = deadline_of(context, None)
        context["ti"].xcom_push(key=EXECUTION_ID_KEY, value=execution.id)
        note_execution(context, execution.id)

    def _tell(self, context: Context, identity: ExecutionIdentity, submission: Submission) -> None:
        execution = submission.execution
        if task_try_of(context).generation:
            self.log.info("This task was cleared: its batch is run anew, beside what its earlier tries ran.")
        if submission.how == "found":
            status = ending(execution) if execution.is_over else execution.status
            self.log.info("Found execution %s, %s: %s.", execution.id, status, identity)
            return
        late = datetime.now(UTC) - identity.expected_start_date
        at_once = ", to start at once" if late > timedelta(0) else ""
        self.log.info("Created execution %s: %s%s.", execution.id, identity, at_once)
        if identity.is_scheduled and late > LATE:
            self.log.warning(
                "That tick was %s ago, and the platform had no execution for it.", readable(late)
            )

    def _wait(self, context: Context, execution: Execution) -> Any:
        deadline = deadline_of(context, self.timeout)
        if self.deferrable:
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
            return self._out_of_time(execution.id, str(error))
        return self._finish(ended)

    def _trigger_arguments(self) -> dict[str, Any]:
        return {
            "mics_conn_id": self.mics_conn_id,
            "organisation_id": self.organisation_id or None,
            "poll_interval": self.poll_interval,
        }

    def on_kill(self) -> None:
        """Cancel the execution, if a person stopped the task or its time is up; an evicted worker leaves it alone."""
        waiting = self._waiting
        if waiting is None or not self.cancel_on_kill:
            return
        self._waiting = None
        name = f"execution {waiting.execution_id} of instance {self.instance_id}"
        is_out_of_time = self._deadline is not None and datetime.now(UTC) >= self._deadline
        if not is_out_of_time and not was_killed_by_user(waiting, STOP_SECONDS):
            self.log.info("This worker is stopped, but nobody stopped the task: %s goes on.", name)
            return
        try:
            how = self.hook.run_within(
                STOP_SECONDS, cancel_execution(self.instance_id, waiting.execution_id)
            ).method
            self.log.info("The task was stopped: canceled %s (%s).", name, how)
        except MicsError as error:
            self.log.error("The task was stopped, but %s could not be canceled: %s", name, error)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Go on when the trigger has fired: the execution is over, its time is up, or it cannot be watched."""
        outcome = outcome_of(event)
        if outcome.timed_out and not outcome.is_settled:
            return self._out_of_time(outcome.execution_id, outcome.message)
        if outcome.execution is None:
            raise task_failure(outcome.message, final=outcome.is_final)
        return self._finish(outcome.execution)

    def _out_of_time(self, execution_id: str, message: str) -> Any:
        stop = cancel_on_timeout(self.instance_id, execution_id, cancels=self.cancel_on_kill)
        try:
            stopped = self.hook.run(stop)
        except MicsError as error:
            raise AirflowException(f"{message}; it could not be canceled: {error}") from None
        if stopped.ended_by_itself:
            return self._finish(stopped.execution)
        raise AirflowException(f"{message}{stopped.note}")

    def _finish(self, execution: Execution) -> dict[str, Any]:
        name = f"Execution {execution.id} of instance {self.instance_id}"
        if execution.succeeded:
            return execution.to_json()
        if execution.canceled:
            raise AirflowFailException(f"{name} was CANCELED on the platform: the task is not retried")
        raise AirflowException(f"{name} {ending(execution)}")


def _length_of(task_id: str, name: str, value: Any, *, may_be_zero: bool = False) -> timedelta | None:
    if value is None:
        return None
    return timedelta(seconds=seconds_of(task_id, name, value, may_be_zero=may_be_zero))
