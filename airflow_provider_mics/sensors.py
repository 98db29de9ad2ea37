"""Wait for an execution that somebody else started: one by its id, or the one of a tick."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.configuration import conf
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
)

from airflow_provider_mics.api.errors import MicsError, MicsNotFoundError
from airflow_provider_mics.api.executions import get_execution, newest_execution
from airflow_provider_mics.api.field_types import ExecutionType
from airflow_provider_mics.api.instances import get_instance
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import is_outage, readable
from airflow_provider_mics.api.progress import APPEARS_WITHIN, ExecutionLog, ending, utc
from airflow_provider_mics.api.validation import checked_id, parse_datetime, seconds_of
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.core.exactly_once.submission import find_executions
from airflow_provider_mics.core.planning.cron_ticks import Cron
from airflow_provider_mics.links import MicsInstanceLink, push_link
from airflow_provider_mics.runtime.failures import readable_failures, task_failure
from airflow_provider_mics.runtime.task_context import task_try_of, wait_began
from airflow_provider_mics.runtime.templates import rendered
from airflow_provider_mics.runtime.trigger_events import Outcome, outcome_of
from airflow_provider_mics.runtime.xcom_keys import EXECUTION_ID_KEY
from airflow_provider_mics.triggers import MicsExecutionTrigger, MicsTickTrigger

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_mics.hooks import MicsHook


class MicsExecutionSensor(BaseSensorOperator):
    """Waits until an execution is over, and succeeds if it did. It never starts and never cancels anything.

    Without ``execution_id`` it waits for the execution that the platform's own cron creates for a tick, which may
    appear late; one that does not appear within ``appear_timeout`` is a failure. An execution that ended before the
    sensor looked is found too. Its value in XCom is the execution as JSON.

    :param instance_id: the instance (templated)
    :param execution_id: the execution (templated)
    :param expected_start_date: the tick: an aware datetime, ISO 8601 text or epoch milliseconds (templated); by
        default the time of this DAG run
    :param appear_timeout: seconds (or a timedelta) after the tick, or after the sensor's start if that is later, for
        the platform to create the tick's execution
    :param poll_interval: seconds (or a timedelta) between two questions when deferred; ``poke_interval`` when not
    :param deferrable: whether to wait without a worker slot; by default as Airflow's ``default_deferrable``
    :param mics_conn_id: the Airflow connection of type ``mediarithmics``
    :param organisation_id: instead of the organisation in the connection's extra
    """

    template_fields: Sequence[str] = (
        "mics_conn_id",
        "organisation_id",
        "instance_id",
        "execution_id",
        "expected_start_date",
    )
    operator_extra_links = (MicsInstanceLink(),)
    ui_color = "#e6f2fb"
    _is_prepared = False
    _began: datetime
    _moment: datetime

    def __init__(
        self,
        *,
        instance_id: str,
        execution_id: str | None = None,
        expected_start_date: datetime | str | int | None = None,
        appear_timeout: float | timedelta = 600.0,
        poll_interval: float | timedelta = 30.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        mics_conn_id: str = "mics_default",
        organisation_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id
        self.execution_id = execution_id
        self.expected_start_date = expected_start_date
        self.appear_timeout = seconds_of(self.task_id, "appear_timeout", appear_timeout, may_be_zero=True)
        self.poll_interval = seconds_of(self.task_id, "poll_interval", poll_interval)
        self.deferrable = deferrable
        self.mics_conn_id = mics_conn_id
        self.organisation_id = organisation_id
        if execution_id is not None and expected_start_date is not None:
            raise ValueError(f"{self.task_id}: give execution_id or expected_start_date, not both")
        # A template that renders to nothing must not turn this into a wait for a tick.
        self._is_for_one_id = execution_id is not None

    @cached_property
    def hook(self) -> MicsHook:
        from airflow_provider_mics.hooks import MicsHook

        return MicsHook(self.mics_conn_id, self.organisation_id or None)

    @cached_property
    def _execution_log(self) -> ExecutionLog:
        return ExecutionLog(self.instance_id, self.execution_id or "")

    def poke(self, context: Context) -> PokeReturnValue | bool:
        """Look once, and defer where asked to; an outage of the platform is no answer, so the sensor goes on."""
        with readable_failures():
            self._prepare(context)
            try:
                execution = self._look(context)
            except MicsError as error:
                return self._bear(error)
            if execution is not None and execution.is_over:
                return PokeReturnValue(is_done=True, xcom_value=self._finish(execution))
            if self.deferrable:
                self._defer()
            if execution is None:
                self._fail_if_it_never_appears()
                return False
            for line in self._execution_log.lines(execution, datetime.now(UTC)):
                self.log.log(line.level, "%s", line.message)
            return False

    def _bear(self, error: MicsError) -> bool:
        """Go on after what is no answer: an outage, or an execution so new that the platform does not show it yet."""
        if is_outage(error):
            self.log.warning("The platform cannot be asked: %s", error)
            return False
        is_new = datetime.now(UTC) - self._began < APPEARS_WITHIN
        if not isinstance(error, MicsNotFoundError) or not self._is_for_one_id or not is_new:
            raise error
        self.log.warning("%s. Looking for it for %s.", error, readable(APPEARS_WITHIN))
        if self.deferrable:
            self._defer()
        return False

    def _prepare(self, context: Context) -> None:
        if self._is_prepared:
            return
        self.instance_id = checked_id("instance_id", rendered(self.instance_id))
        if self._is_for_one_id:
            self.execution_id = checked_id("execution_id", rendered(self.execution_id))
        self._began = wait_began(context)
        self._moment = parse_datetime(self.expected_start_date) or task_try_of(context).run_moment
        page = push_link(context, self.hook, self.instance_id)
        if page is not None:
            self.log.info("The instance on the platform: %s", page)
        self._is_prepared = True

    def _look(self, context: Context) -> Execution | None:
        """The execution waited for, or None where the platform has not created it yet."""
        if self.execution_id:
            return self.hook.run(get_execution(self.instance_id, self.execution_id))
        found = self.hook.run(find_executions(self._tick()))
        if not found:
            return None
        execution = newest_execution(found)
        self._has_appeared(context, execution)
        return execution

    def _has_appeared(self, context: Context, execution: Execution) -> None:
        self.execution_id = execution.id
        context["ti"].xcom_push(key=EXECUTION_ID_KEY, value=execution.id)
        tick = execution.expected_start_date
        if tick is not None:
            self.log.info("Execution %s is that of the tick of %s.", execution.id, utc(tick))

    def _tick(self) -> ExecutionIdentity:
        instance = self.hook.run(get_instance(self.instance_id))
        cron = Cron(instance.cron, self.hook.timezone) if instance.cron else None
        return ExecutionIdentity(self.instance_id, ExecutionType.CRON, self._moment).as_tick_of(cron)

    @property
    def _appears_until(self) -> datetime:
        return max(self._moment, self._began) + timedelta(seconds=self.appear_timeout)

    @property
    def _deadline(self) -> datetime:
        return self._began + timedelta(seconds=float(self.timeout))

    def _fail_if_it_never_appears(self) -> None:
        if datetime.now(UTC) >= self._appears_until:
            self._give_up(self._never_appeared())

    def _never_appeared(self) -> str:
        return (
            f"Instance {self.instance_id}: the platform created no execution for the tick of {utc(self._moment)} "
            f"within {self.appear_timeout:g} s"
        )

    def _defer(self) -> NoReturn:
        if self.execution_id:
            self._follow(self.execution_id)
        tick, until = self._tick(), min(self._appears_until, self._deadline)
        trigger = MicsTickTrigger.of(tick, until, **self._trigger_arguments())
        self.log.info("Waiting for the platform to create the %s, until %s.", tick, utc(until))
        self.defer(trigger=trigger, method_name="appeared")

    def appeared(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Go on when the tick's execution is there, or its time to appear is over."""
        with readable_failures():
            self._prepare(context)
            outcome = outcome_of(event)
            if outcome.execution is None:
                self._fail_with(outcome, self._never_appeared())
            self._has_appeared(context, outcome.execution)
            if outcome.execution.is_over:
                return self._finish(outcome.execution)
            self._follow(outcome.execution.id)

    def _follow(self, execution_id: str) -> NoReturn:
        trigger = MicsExecutionTrigger(
            instance_id=self.instance_id,
            execution_id=execution_id,
            deadline=self._deadline.timestamp(),
            cancel_on_kill=False,
            **self._trigger_arguments(),
        )
        self.defer(trigger=trigger, method_name="execute_complete")

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Go on when the execution is over, or the sensor's time is."""
        outcome = outcome_of(event)
        if outcome.execution is None:
            self._fail_with(outcome, outcome.message)
        return self._finish(outcome.execution, is_told=True)

    def _trigger_arguments(self) -> dict[str, Any]:
        return {
            "mics_conn_id": self.mics_conn_id,
            "organisation_id": self.organisation_id or None,
            "poll_interval": self.poll_interval,
        }

    def _finish(self, execution: Execution, *, is_told: bool = False) -> dict[str, Any]:
        line = f"Execution {execution.id} of instance {self.instance_id} {ending(execution)}"
        if not execution.succeeded:
            self._give_up(line)
        if not is_told:
            self.log.info("%s.", line)
        return execution.to_json()

    def _fail_with(self, outcome: Outcome, timeout_message: str) -> NoReturn:
        if not outcome.timed_out:
            raise task_failure(outcome.message, final=outcome.is_final)
        if self.soft_fail:
            raise AirflowSkipException(timeout_message)
        raise AirflowSensorTimeout(timeout_message)

    def _give_up(self, message: str) -> NoReturn:
        """What is over does not change by trying again: no retries, and a skip where ``soft_fail`` asks for one."""
        raise (AirflowSkipException if self.soft_fail else AirflowFailException)(message)
