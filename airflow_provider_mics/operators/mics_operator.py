"""What every operator and sensor of this package shares: a connection and a link."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_mics.api.outages import retry_through_outages
from airflow_provider_mics.api.validation import checked_id, seconds_of
from airflow_provider_mics.links import MicsInstanceLink, push_link
from airflow_provider_mics.runtime.templates import rendered

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_mics.api.calls import Job
    from airflow_provider_mics.hooks import MicsHook


class MicsOperator(BaseOperator):
    """An operator that talks to mediarithmics.

    :param mics_conn_id: the Airflow connection of type ``mediarithmics``
    :param organisation_id: instead of the organisation in the connection's extra
    """

    template_fields: Sequence[str] = ("mics_conn_id", "organisation_id")
    operator_extra_links = (MicsInstanceLink(),)
    ui_color = "#e6f2fb"

    def __init__(
        self,
        *,
        mics_conn_id: str = "mics_default",
        organisation_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mics_conn_id = mics_conn_id
        self.organisation_id = organisation_id

    @cached_property
    def hook(self) -> MicsHook:
        from airflow_provider_mics.hooks import MicsHook

        return MicsHook(self.mics_conn_id, self.organisation_id or None)


T = TypeVar("T")


PLUGIN_ID_KEY = "plugin_id"

VERSION_ID_KEY = "version_id"

INSTANCE_ID_KEY = "instance_id"

"""XComs besides the result, so that ``create.output["instance_id"]`` is what the next operator wants."""


class MicsResourceOperator(MicsOperator):
    """An operator whose work can be done again without harm, so an outage of the platform is borne for a while.

    :param outage_timeout: for how long an outage is borne inside one try of the task, in seconds or as a timedelta
    """

    def __init__(self, *, outage_timeout: float | timedelta = 600.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.outage_timeout = seconds_of(self.task_id, "outage_timeout", outage_timeout, may_be_zero=True)

    @property
    def _patience(self) -> timedelta:
        return timedelta(seconds=self.outage_timeout)

    @property
    def _give_up(self) -> datetime:
        return datetime.now(UTC) + self._patience

    def _run_patiently(self, job: Job[T]) -> T:
        return self.hook.run(retry_through_outages(job, self._give_up))


class MicsInstanceOperator(MicsResourceOperator):
    """An operator on one instance that exists.

    :param instance_id: the instance (templated)
    """

    template_fields: Sequence[str] = (*MicsResourceOperator.template_fields, "instance_id")

    def __init__(self, *, instance_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id

    def _shown_instance_id(self, context: Context) -> str:
        """The instance's id, checked; its link is in XCom before anything can go wrong with it."""
        instance_id = checked_id("instance_id", rendered(self.instance_id))
        show_instance(context, self.hook, instance_id)
        return instance_id


def show_instance(context: Context, hook: MicsHook, instance_id: str) -> None:
    """Write the instance's link and id into XCom."""
    push_link(context, hook, instance_id)
    context["ti"].xcom_push(key=INSTANCE_ID_KEY, value=instance_id)
