"""Base classes of the operators: retries during an outage, and the instance that an operator works on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_mics.api.outages import retry_through_outages
from airflow_provider_mics.api.validation import checked_id, seconds_of
from airflow_provider_mics.base_operator import MicsBaseOperator
from airflow_provider_mics.links import push_instance_link
from airflow_provider_mics.runtime.templates import check_literal_ids, rendered
from airflow_provider_mics.runtime.xcom_keys import INSTANCE_ID_KEY

if TYPE_CHECKING:
    from airflow_provider_mics.api.calls import Job
    from airflow_provider_mics.hooks import MicsHook
    from airflow_provider_mics.runtime.compat import Context

T = TypeVar("T")


class MicsOperator(MicsBaseOperator):
    """Base of the operators, which retry during an outage of the platform.

    :param submission_timeout: how long to retry during an outage within one try of the task, in seconds or as a
        timedelta; 0 does not retry
    """

    wait_for_completion: bool

    def __init__(self, *, submission_timeout: float | timedelta = 600.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.submission_timeout = seconds_of(
            self.task_id, "submission_timeout", submission_timeout, may_be_zero=True
        )

    def _settle_wait(self, timeout: float | timedelta | None) -> float | timedelta | None:
        """Return the ``timeout`` of the wait, and set ``wait_for_completion``; one from ``default_args`` gives way.

        :raises ValueError: the operator itself gives a timeout to a wait that it turns off
        """
        if timeout is None or self.wait_for_completion:
            return timeout
        if self._is_shared("timeout"):
            return None
        if not self._is_shared("wait_for_completion"):
            raise ValueError(
                f"{self.task_id}: timeout is given, but wait_for_completion=False waits for nothing"
            )
        self.wait_for_completion = True
        return timeout

    @property
    def _retry_for(self) -> timedelta:
        return timedelta(seconds=self.submission_timeout)

    @property
    def _retry_until(self) -> datetime:
        """When to stop retrying during an outage (UTC), counted from now."""
        return datetime.now(UTC) + self._retry_for

    def _run_with_retries(self, job: Job[T]) -> T:
        """Run a call or flow that is safe to repeat, through an outage of up to ``submission_timeout``."""
        return self.hook.run(retry_through_outages(job, self._retry_until))


class MicsInstanceOperator(MicsOperator):
    """Base of the operators on one existing instance.

    :param instance_id: the instance's id (templated)
    """

    template_fields: Sequence[str] = (*MicsOperator.template_fields, "instance_id")

    def __init__(self, *, instance_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id
        check_literal_ids(self.task_id, instance_id=instance_id)

    def _pushed_instance_id(self, context: Context) -> str:
        """Return the rendered id, after it and the link were pushed to XCom, where they help if the task fails."""
        instance_id = checked_id("instance_id", rendered(self.instance_id))
        push_instance(context, self.hook, instance_id)
        return instance_id


def push_instance(context: Context, hook: MicsHook, instance_id: str) -> None:
    """Push the instance's link and id to XCom."""
    push_instance_link(context, hook, instance_id)
    context["ti"].xcom_push(key=INSTANCE_ID_KEY, value=instance_id)
