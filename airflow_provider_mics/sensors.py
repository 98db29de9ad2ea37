"""The sensor that waits for an execution that this task did not start: by its id, or as the one of a tick."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.configuration import conf

from airflow_provider_mics.api.errors import MicsAuthError, MicsError, MicsNotFoundError, MicsUncertainError
from airflow_provider_mics.api.executions import get_execution, newest_execution
from airflow_provider_mics.api.field_types import ExecutionType
from airflow_provider_mics.api.instances import get_instance
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import is_outage, readable
from airflow_provider_mics.api.progress import APPEARS_WITHIN, ExecutionLog, result, utc
from airflow_provider_mics.api.validation import checked_id, parse_datetime, seconds_of
from airflow_provider_mics.base_operator import MicsBaseOperator
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.core.exactly_once.submission import find_executions
from airflow_provider_mics.core.planning.cron_ticks import Cron
from airflow_provider_mics.runtime.compat import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
)
from airflow_provider_mics.runtime.connection import UnreadableConnectionError
from airflow_provider_mics.runtime.failures import errors_as_task_failures, execution_failure
from airflow_provider_mics.runtime.task_context import deadline_of, task_try_of, wait_started_at
from airflow_provider_mics.runtime.templates import check_literal_ids, check_literal_moment, rendered
from airflow_provider_mics.runtime.trigger_events import outcome_of
from airflow_provider_mics.runtime.xcom_keys import EXECUTION_ID_KEY
from airflow_provider_mics.runtime.xcom_values import xcom_value

if TYPE_CHECKING:
    from airflow_provider_mics.runtime.compat import Context


class MicsExecutionSensor(MicsBaseOperator, BaseSensorOperator):
    """Wait for the end of an execution, and succeed if the execution did. Nothing is started or canceled.

    Without ``execution_id``, the sensor waits for the execution that the platform's own cron creates for a tick. The
    sensor also finds an execution that has already ended. It fails without retries if the execution failed, and if the
    platform does not create the tick's execution within ``appear_timeout``; with ``soft_fail`` or ``never_fail`` it is
    skipped instead.

    XCom: the execution as JSON, shortened to 48 KiB, and for a tick its id under ``execution_id`` as soon as it is
    known.

    :param instance_id: the instance's id (templated)
    :param execution_id: the execution's id (templated)
    :param expected_start_date: the tick: an aware datetime, ISO 8601 text or epoch milliseconds (templated); by
        default the time of this DAG run
    :param appear_timeout: how long the platform has to create the tick's execution, after the tick or after the
        sensor's start, whichever is later; in seconds or as a timedelta
    :param poll_interval: time between two requests, deferred or not, in seconds or as a timedelta; by default
        Airflow's ``poke_interval``. Where both are given, this one holds while deferred
    :param deferrable: whether to wait in the triggerer, without a worker slot; by default Airflow's
        ``[operators] default_deferrable``
    :param mics_conn_id: the Airflow connection of type ``mediarithmics`` (templated)
    :param organisation_id: the organisation's id; by default the connection's (templated)
    :raises ValueError: invalid or contradictory arguments, when the DAG is parsed
    """

    template_fields: Sequence[str] = (
        *MicsBaseOperator.template_fields,
        "instance_id",
        "execution_id",
        "expected_start_date",
    )
    _is_prepared = False
    _started_at: datetime
    _tick_time: datetime
    _identity: ExecutionIdentity
    _execution_deadline: datetime | None

    def __init__(
        self,
        *,
        instance_id: str,
        execution_id: str | None = None,
        expected_start_date: datetime | str | int | None = None,
        appear_timeout: float | timedelta = 600.0,
        poll_interval: float | timedelta | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id
        self.execution_id = execution_id
        self.expected_start_date = expected_start_date
        self.appear_timeout = seconds_of(self.task_id, "appear_timeout", appear_timeout, may_be_zero=True)
        interval = self.poke_interval if poll_interval is None else poll_interval
        self.poll_interval = seconds_of(self.task_id, "poll_interval", interval)
        if "poke_interval" not in kwargs:
            self.poke_interval = self.poll_interval
        self.deferrable = deferrable
        self._drop_overruled("execution_id", "expected_start_date")
        if self.execution_id is not None and self.expected_start_date is not None:
            raise ValueError(f"{self.task_id}: give execution_id or expected_start_date, not both")
        check_literal_ids(self.task_id, instance_id=instance_id)
        if self.execution_id is not None:
            check_literal_ids(self.task_id, execution_id=self.execution_id)
        check_literal_moment(self.task_id, self.expected_start_date)
        # Remembered: an execution_id that renders to nothing must not become a wait for a tick.
        self._waits_for_id = self.execution_id is not None

    @cached_property
    def _execution_log(self) -> ExecutionLog:
        return ExecutionLog(self.instance_id, self.execution_id or "")

    def poke(self, context: Context) -> PokeReturnValue | bool:
        """Ask for the execution once, then defer if the sensor is deferrable. An outage is not a failure."""
        with errors_as_task_failures():
            self._prepare(context)
            try:
                execution = self._find(context)
            except MicsError as error:
                self._continue_or_raise(error)
                return False
            if execution is not None and execution.is_over:
                return PokeReturnValue(is_done=True, xcom_value=self._finish(execution))
            if execution is None:
                self._check_appear_timeout()
            if self.deferrable:
                self._defer()
            if execution is None:
                return False
            for line in self._execution_log.lines(execution, datetime.now(UTC)):
                self.log.log(line.level, "%s", line.message)
            return False

    def _continue_or_raise(self, error: MicsError) -> None:
        """Keep waiting during an outage, or while the platform may not show a new execution yet; else raise."""
        if is_outage(error) or isinstance(error, UnreadableConnectionError) or self._may_be_temporary(error):
            self.log.warning("Platform unreachable: %s. Still waiting.", error)
            if self.deferrable:
                self._defer_outage()
            return
        may_be_new = datetime.now(UTC) - self._started_at < APPEARS_WITHIN
        if not isinstance(error, MicsNotFoundError) or not self._waits_for_id or not may_be_new:
            raise error
        self.log.warning("%s. Retrying for %s.", error, readable(APPEARS_WITHIN))
        if self.deferrable:
            self._defer()

    def _may_be_temporary(self, error: MicsError) -> bool:
        """Whether a token is refused that an earlier poke used; a rescheduled poke is in a process of its own."""
        waited = datetime.now(UTC) - self._started_at
        has_worked = self.reschedule and waited.total_seconds() >= self.poke_interval
        return (
            has_worked and isinstance(error, MicsAuthError) and error.status_code == HTTPStatus.UNAUTHORIZED
        )

    def _defer_outage(self) -> None:
        """Wait for the end of an outage without a worker."""
        if self.execution_id:
            self._defer_until_over(self.execution_id)
        from airflow_provider_mics.outage_triggers import MicsOutageTrigger

        if datetime.now(UTC) >= self._deadline:
            message = f"{self.task_id}: the platform was unreachable until {utc(self._deadline)}"
            self._time_out(message, self._sensor_deadline)
        trigger = MicsOutageTrigger(
            instance_id=self.instance_id,
            execution_id="",
            deadline=self._deadline.timestamp(),
            cancel_on_kill=False,
            state={},
            **self._trigger_arguments(),
        )
        self.defer(trigger=trigger, method_name="after_outage")

    def after_outage(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Resume when the platform answers again, or when the sensor's time is up."""
        poked = self.poke(context)
        return poked.xcom_value if isinstance(poked, PokeReturnValue) else None

    def _prepare(self, context: Context) -> None:
        if self._is_prepared:
            return
        self.instance_id = checked_id("instance_id", rendered(self.instance_id))
        if self._waits_for_id:
            self.execution_id = checked_id("execution_id", rendered(self.execution_id))
        self._started_at = wait_started_at(context)
        self._execution_deadline = deadline_of(context, None)
        self._tick_time = parse_datetime(self.expected_start_date) or task_try_of(context).run_moment
        self._show_instance_link(context, self.instance_id)
        self._is_prepared = True

    def _find(self, context: Context) -> Execution | None:
        """Return the execution, or None while the platform has not created it."""
        if self.execution_id:
            return self.hook.run(get_execution(self.instance_id, self.execution_id))
        try:
            self._identity = self._tick_identity()
            found = self.hook.run(find_executions(self._identity))
        except MicsUncertainError as error:
            self.log.warning("%s", error)
            found = []
        if not found:
            return None
        execution = newest_execution(found)
        self._record_execution(context, execution)
        return execution

    def _record_execution(self, context: Context, execution: Execution) -> None:
        self.execution_id = execution.id
        context["ti"].xcom_push(key=EXECUTION_ID_KEY, value=execution.id)
        tick = execution.expected_start_date
        if tick is not None:
            self.log.info("Found execution %s for the tick of %s.", execution.id, utc(tick))

    def _tick_identity(self) -> ExecutionIdentity:
        instance = self.hook.run(get_instance(self.instance_id))
        cron = Cron(instance.cron, self.hook.timezone) if instance.cron else None
        return ExecutionIdentity(self.instance_id, ExecutionType.CRON, self._tick_time).as_tick_of(cron)

    @property
    def _appear_deadline(self) -> datetime:
        return max(self._tick_time, self._started_at) + timedelta(seconds=self.appear_timeout)

    @property
    def _deadline(self) -> datetime:
        """When to stop waiting. Airflow 3 does not count the time of a deferral towards ``execution_timeout``."""
        deadline = self._sensor_deadline
        return deadline if self._execution_deadline is None else min(deadline, self._execution_deadline)

    @property
    def _sensor_deadline(self) -> datetime:
        return self._started_at + timedelta(seconds=float(self.timeout))

    def _check_appear_timeout(self) -> None:
        if datetime.now(UTC) >= self._appear_deadline:
            self._fail(self._not_created_message())

    def _not_created_message(self) -> str:
        return (
            f"Instance {self.instance_id}: the platform created no execution for the tick of "
            f"{utc(self._tick_time)} within {self.appear_timeout:g} s"
        )

    def _defer(self) -> NoReturn:
        if self.execution_id:
            self._defer_until_over(self.execution_id)
        from airflow_provider_mics.tick_triggers import MicsTickTrigger

        identity, deadline = self._identity, min(self._appear_deadline, self._deadline)
        trigger = MicsTickTrigger.of(identity, deadline, **self._trigger_arguments())
        self.log.info("Waiting until %s for the platform to create the %s.", utc(deadline), identity)
        self.defer(trigger=trigger, method_name="after_creation")

    def after_creation(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Resume when the platform has created the tick's execution, or when the time for it is over."""
        with errors_as_task_failures():
            self._prepare(context)
            outcome = outcome_of(event)
            execution = outcome.execution
            if execution is not None:
                self._record_execution(context, execution)
            elif outcome.timed_out:
                execution = self._find_at_last(context)
            else:
                raise outcome.failure()
            if execution.is_over:
                return self._finish(execution)
            self._defer_until_over(execution.id)

    def _find_at_last(self, context: Context) -> Execution:
        """Look for the tick's execution after the time for it: the trigger cannot tell its absence from an outage."""
        try:
            execution = self._find(context)
        except MicsError as error:
            self._continue_or_raise(error)
            raise
        if execution is None:
            deadline = min(self._appear_deadline, self._sensor_deadline)
            self._time_out(self._not_created_message(), deadline)
        return execution

    def _defer_until_over(self, execution_id: str) -> NoReturn:
        from airflow_provider_mics.triggers import MicsExecutionTrigger

        trigger = MicsExecutionTrigger(
            instance_id=self.instance_id,
            execution_id=execution_id,
            deadline=self._deadline.timestamp(),
            cancel_on_kill=False,
            **self._trigger_arguments(),
        )
        self.defer(trigger=trigger, method_name="execute_complete")

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Resume when the execution has ended, or when the sensor's time is up."""
        with errors_as_task_failures():
            outcome = outcome_of(event)
            if outcome.execution is None:
                if not outcome.timed_out:
                    raise outcome.failure()
                self._started_at = wait_started_at(context)
                self._time_out(outcome.message, self._sensor_deadline)
            instance_id = checked_id("instance_id", rendered(self.instance_id))
            execution = self._in_full(instance_id, outcome.execution, is_cut=outcome.is_cut)
            return self._finish(execution, is_logged=True)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Skip where ``never_fail`` asks for it: after a deferral, Airflow 2 looks only at ``soft_fail``."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowException as error:
            if self.never_fail and not isinstance(error, AirflowSkipException):
                raise AirflowSkipException(str(error)) from error
            raise

    def _finish(self, execution: Execution, *, is_logged: bool = False) -> dict[str, Any]:
        """Return the execution as JSON if it succeeded, else fail; ``is_logged``: the trigger logged the end."""
        name = f"Execution {execution.id} of instance {self.instance_id}"
        if not execution.succeeded:
            self._fail(str(execution_failure(name, execution)))
        if execution.erroneous_tasks:
            self.log.warning("%s %s.", name, result(execution))
        elif not is_logged:
            self.log.info("%s %s.", name, result(execution))
        return xcom_value(execution)

    def _time_out(self, timeout_message: str, deadline: datetime) -> NoReturn:
        """Fail as Airflow does without a deferral: before the sensor's ``deadline``, ``execution_timeout`` passed."""
        if self.execution_timeout is not None and datetime.now(UTC) < deadline:
            raise AirflowException(f"execution_timeout has passed: {timeout_message}")
        if self.soft_fail:
            raise AirflowSkipException(timeout_message)
        raise AirflowSensorTimeout(timeout_message)

    def _fail(self, message: str) -> NoReturn:
        """Fail without retries, which would not change the outcome, or skip if ``soft_fail`` is set."""
        raise (AirflowSkipException if self.soft_fail else AirflowFailException)(message)
