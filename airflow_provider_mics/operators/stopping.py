"""What `MicsCreateExecutionOperator` does when its task is stopped, on whichever side of the request that is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.executions import cancel_execution
from airflow_provider_mics.api.field_types import milliseconds
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.operators.mics_operator import MicsOperator
from airflow_provider_mics.runtime.compat import AirflowException
from airflow_provider_mics.runtime.on_kill import TaskWait, was_killed_by_user
from airflow_provider_mics.runtime.task_context import deadline_of, store_moment
from airflow_provider_mics.runtime.xcom_keys import EXECUTION_ID_KEY

if TYPE_CHECKING:
    from airflow_provider_mics.runtime.compat import Context

KILL_TIMEOUT = 2.0
"""Seconds, for the query to Airflow and for the cancel request: Airflow 3 kills the process five seconds later."""


class StoppableOperator(MicsOperator):
    """Cancels the execution of a task that a user stops, and starts none after that."""

    instance_id: str
    cancel_on_kill: bool
    _task_wait: TaskWait | None = None
    _deadline: datetime | None = None
    _requested: ExecutionIdentity | None = None
    _is_stopped = False

    def _before_request(self, context: Context, identity: ExecutionIdentity) -> None:
        """Leave the moment to the next try, unless a user has stopped this one: then nothing is sent any more.

        :raises AirflowException: a user has stopped it
        """
        if self._is_stopped:
            wait = TaskWait.of(context["ti"], "", is_on_worker=True)
            if was_killed_by_user(wait, KILL_TIMEOUT):
                raise AirflowException(
                    f"The task was stopped before an execution was created: instance {self.instance_id} was not started"
                )
        store_moment(context, self.instance_id, identity.expected_start_date)
        self._requested = identity

    def _record_execution(self, context: Context, execution: Execution) -> None:
        """Record the execution of this task, for its users, for the next try, and for `on_kill`."""
        if self._task_wait is not None and self._task_wait.execution_id == execution.id:
            return
        self._task_wait = TaskWait.of(context["ti"], execution.id, is_on_worker=True)
        self._deadline = deadline_of(context, None)
        self._requested = None
        context["ti"].xcom_push(key=EXECUTION_ID_KEY, value=execution.id)
        store_moment(context, self.instance_id, execution.expected_start_date, execution.id)
        if self._is_stopped:
            self._is_stopped = False
            self.on_kill()

    def on_kill(self) -> None:
        """Cancel the execution if a user stopped the task or its time is up, but not if its worker is shut down."""
        wait = self._task_wait
        if wait is None:
            self._stop_submission()
            return
        if not self.cancel_on_kill:
            return
        self._task_wait = None
        name = f"execution {wait.execution_id} of instance {self.instance_id}"
        is_timed_out = self._deadline is not None and datetime.now(UTC) >= self._deadline
        if not is_timed_out and not was_killed_by_user(wait, KILL_TIMEOUT):
            self.log.warning(
                "The worker was stopped, but not by a user, as far as Airflow tells: %s goes on.", name
            )
            return
        try:
            canceled = self.hook.run_with_timeout(
                cancel_execution(self.instance_id, wait.execution_id), KILL_TIMEOUT
            )
            self.log.info("The task was stopped: canceled %s (%s).", name, canceled.method)
        except MicsError as error:
            self.log.error("The task was stopped, but %s could not be canceled: %s", name, error)

    def _stop_submission(self) -> None:
        """Note that the task was stopped: Airflow 3 lets execute() go on until it kills the process."""
        self._is_stopped = True
        if self._requested is not None and self.cancel_on_kill:
            self.log.warning(
                "The task was stopped before the platform answered the request to run instance %s. Unless a line "
                "below says what became of it, an execution with expected_start_date %s may go on.",
                self.instance_id,
                milliseconds(self._requested.expected_start_date),
            )
