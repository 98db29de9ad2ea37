"""Cancel and delete executions."""

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
from airflow_provider_mics.runtime.failures import readable_failures
from airflow_provider_mics.runtime.templates import rendered

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

DEFAULT_TIMEOUT = timedelta(minutes=10)


class MicsCancelExecutionOperator(MicsInstanceOperator):
    """Cancel an execution by whatever the platform offers, and say in the log what that was.

    One that is over already is fine. Its value in XCom is the execution as it was seen last, as JSON.

    :param instance_id: the instance (templated)
    :param execution_id: its execution (templated)
    :param wait_for_completion: whether to wait until the platform has really stopped it
    :param poll_interval: between two questions to the platform while waiting, in seconds or as a timedelta
    :param timeout: how long to wait at most, in seconds or as a timedelta; by default ten minutes
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
        self.wait_for_completion = wait_for_completion
        self.poll_interval = seconds_of(self.task_id, "poll_interval", poll_interval)
        longest = DEFAULT_TIMEOUT if timeout is None else timeout
        self.timeout = timedelta(seconds=seconds_of(self.task_id, "timeout", longest))
        if timeout is not None and not wait_for_completion:
            raise ValueError(
                f"{self.task_id}: timeout is given, but wait_for_completion=False waits for nothing"
            )

    def execute(self, context: Context) -> dict[str, Any]:
        with readable_failures():
            instance_id = self._shown_instance_id(context)
            execution_id = checked_id("execution_id", rendered(self.execution_id))
            canceled = self.hook.run(ensure_execution_canceled(instance_id, execution_id, self._give_up))
            execution = canceled.execution
            if self.wait_for_completion:
                deadline = datetime.now(UTC) + self.timeout
                execution = self.hook.run(
                    wait_until_stopped(
                        instance_id, canceled, poll_interval=self.poll_interval, deadline=deadline
                    )
                )
            return execution.to_json()


class MicsDeleteExecutionOperator(MicsInstanceOperator):
    """Delete an execution that is over or has not started; one that is gone already is fine.

    Its value in XCom is the execution as it was, as JSON, or None where the platform did not show it.

    :param instance_id: the instance (templated)
    :param execution_id: its execution (templated)
    :param missing_ok: whether it may be gone already
    """

    template_fields: Sequence[str] = (*MicsInstanceOperator.template_fields, "execution_id")

    def __init__(self, *, execution_id: str, missing_ok: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.execution_id = execution_id
        self.missing_ok = missing_ok

    def execute(self, context: Context) -> dict[str, Any] | None:
        with readable_failures():
            instance_id = self._shown_instance_id(context)
            execution_id = checked_id("execution_id", rendered(self.execution_id))
            deleted = self._run_patiently(
                ensure_execution_deleted(instance_id, execution_id, missing_ok=self.missing_ok)
            )
            return None if deleted is None else deleted.to_json()
