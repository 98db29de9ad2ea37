"""Operators that cancel and delete executions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_mics.api.validation import checked_id, seconds_of
from airflow_provider_mics.core.provisioning.executions import (
    ensure_execution_canceled,
    ensure_execution_deleted,
    wait_until_stopped,
)
from airflow_provider_mics.operators.mics_operator import MicsInstanceOperator
from airflow_provider_mics.runtime.failures import errors_as_task_failures
from airflow_provider_mics.runtime.templates import check_literal_ids, rendered
from airflow_provider_mics.runtime.xcom_values import xcom_value

if TYPE_CHECKING:
    from airflow_provider_mics.runtime.compat import Context

DEFAULT_TIMEOUT = timedelta(minutes=10)


class MicsCancelExecutionOperator(MicsInstanceOperator):
    """Cancel an execution by whichever method the platform accepts, and log which one it was.

    The task also succeeds if the execution is already over. XCom: the execution as JSON, as last seen.

    :param instance_id: the instance's id (templated)
    :param execution_id: the execution's id (templated)
    :param wait_for_completion: whether to wait until the platform has stopped the execution
    :param poll_interval: time between two requests while waiting, in seconds or as a timedelta
    :param timeout: longest wait, in seconds or as a timedelta; by default ten minutes
    :param submission_timeout: how long to retry during an outage within one try of the task, in seconds or as a
        timedelta; 0 does not retry
    :param mics_conn_id: the Airflow connection of type ``mediarithmics`` (templated)
    :param organisation_id: the organisation's id; by default the connection's (templated)
    :raises ValueError: invalid or contradictory arguments, when the DAG is parsed
    """

    template_fields: Sequence[str] = (*MicsInstanceOperator.template_fields, "execution_id")

    def __init__(
        self,
        *,
        execution_id: str,
        wait_for_completion: bool = False,
        poll_interval: float | timedelta = 5.0,
        timeout: float | timedelta | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.execution_id = execution_id
        check_literal_ids(self.task_id, execution_id=execution_id)
        self.wait_for_completion = wait_for_completion
        self.poll_interval = seconds_of(self.task_id, "poll_interval", poll_interval)
        timeout = self._settle_wait(timeout)
        longest = DEFAULT_TIMEOUT if timeout is None else timeout
        self.timeout = timedelta(seconds=seconds_of(self.task_id, "timeout", longest))

    def execute(self, context: Context) -> dict[str, Any]:
        with errors_as_task_failures():
            instance_id = self._pushed_instance_id(context)
            execution_id = checked_id("execution_id", rendered(self.execution_id))
            canceled = self.hook.run(ensure_execution_canceled(instance_id, execution_id, self._retry_until))
            execution = canceled.execution
            if self.wait_for_completion:
                deadline = datetime.now(UTC) + self.timeout
                execution = self.hook.run(
                    wait_until_stopped(
                        instance_id, canceled, poll_interval=self.poll_interval, deadline=deadline
                    )
                )
            return xcom_value(execution)


class MicsDeleteExecutionOperator(MicsInstanceOperator):
    """Delete an execution that is over or has not started.

    XCom: the deleted execution as JSON, or None where the platform did not return it.

    :param instance_id: the instance's id (templated)
    :param execution_id: the execution's id (templated)
    :param missing_ok: whether to succeed if the execution does not exist
    :param submission_timeout: how long to retry during an outage within one try of the task, in seconds or as a
        timedelta; 0 does not retry
    :param mics_conn_id: the Airflow connection of type ``mediarithmics`` (templated)
    :param organisation_id: the organisation's id; by default the connection's (templated)
    :raises ValueError: invalid arguments, when the DAG is parsed
    """

    template_fields: Sequence[str] = (*MicsInstanceOperator.template_fields, "execution_id")

    def __init__(self, *, execution_id: str, missing_ok: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.execution_id = execution_id
        check_literal_ids(self.task_id, execution_id=execution_id)
        self.missing_ok = missing_ok

    def execute(self, context: Context) -> dict[str, Any] | None:
        with errors_as_task_failures():
            instance_id = self._pushed_instance_id(context)
            execution_id = checked_id("execution_id", rendered(self.execution_id))
            deleted = self._run_with_retries(
                ensure_execution_deleted(instance_id, execution_id, missing_ok=self.missing_ok)
            )
            return None if deleted is None else xcom_value(deleted)
