"""What every operator and sensor of this package shares: a connection and a link."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_mics.links import MicsInstanceLink

if TYPE_CHECKING:
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
