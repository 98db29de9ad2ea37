"""What every operator and sensor of this package has: a connection, an organisation and a link."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_mics.api.errors import MicsConnectionError
from airflow_provider_mics.links import MicsInstanceLink, push_instance_link

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_mics.hooks import MicsHook


class MicsBaseOperator(BaseOperator):
    """Base of operators and, together with ``BaseSensorOperator``, of sensors.

    It is an operator rather than a plain mixin because Airflow applies ``default_args`` only to the arguments of
    operator classes.

    :param mics_conn_id: the Airflow connection of type ``mediarithmics`` (templated)
    :param organisation_id: the organisation's id; by default the connection's (templated)
    """

    template_fields: Sequence[str] = ("mics_conn_id", "organisation_id")
    operator_extra_links = (MicsInstanceLink(),)
    ui_color = "#e6f2fb"
    poll_interval: float

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
        """The hook of this task's connection and organisation."""
        from airflow_provider_mics.hooks import MicsHook

        return MicsHook(self.mics_conn_id, self.organisation_id or None)

    def _show_instance_link(self, context: Context, instance_id: str) -> None:
        """Push the link to the instance's page to XCom, and log it; a connection that cannot be read has none."""
        try:
            page = push_instance_link(context, self.hook, instance_id)
        except MicsConnectionError as error:
            self.log.warning("No link to instance %s: %s", instance_id, error)
            return
        if page is not None:
            self.log.info("Instance on the mediarithmics console: %s", page)

    def _trigger_arguments(self) -> dict[str, Any]:
        """Return the arguments that the triggers of this package have in common."""
        return {
            "mics_conn_id": self.mics_conn_id,
            "organisation_id": self.organisation_id or None,
            "poll_interval": self.poll_interval,
        }
