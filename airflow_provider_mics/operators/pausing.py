"""Pause and resume integration batch instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_mics.failures import readable_failures
from airflow_provider_mics.operators.resources import MicsInstanceOperator
from airflow_provider_mics.provisioning.pausing import pause, resume

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class MicsPauseInstanceOperator(MicsInstanceOperator):
    """Pause an instance: its cron fires no more, and all its coming executions are canceled.

    Coming is what is pending and expected to start in the future, whoever planned it; that none is left is made sure,
    whether the platform cancels them itself or not. One that is paused already is fine. An instance without a cron
    cannot be paused. Its value in XCom is the instance as JSON.

    :param instance_id: the instance (templated)
    :param cancel_running: whether what runs, or is due now, is canceled too
    """

    def __init__(self, *, cancel_running: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cancel_running = cancel_running

    def execute(self, context: Context) -> dict[str, Any]:
        with readable_failures():
            instance_id = self._shown_instance_id(context)
            return self._run_patiently(pause(instance_id, cancel_running=self.cancel_running)).to_json()


class MicsResumeInstanceOperator(MicsInstanceOperator):
    """Let the cron of an instance fire again, from its next tick on: what was missed is not made up.

    An archived one stays archived, and does not fire until it is taken back (`MicsUpdateInstanceOperator`). Its value
    in XCom is the instance as JSON.

    :param instance_id: the instance (templated)
    """

    def execute(self, context: Context) -> dict[str, Any]:
        with readable_failures():
            return self._run_patiently(resume(self._shown_instance_id(context))).to_json()
