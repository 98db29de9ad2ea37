"""What every operator and sensor of this package has: a connection, an organisation and a link."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_mics.api.errors import MicsConnectionError
from airflow_provider_mics.api.executions import get_execution
from airflow_provider_mics.links import MicsInstanceLink, push_instance_link
from airflow_provider_mics.runtime.compat import BaseOperator
from airflow_provider_mics.runtime.failures import one_line_of

if TYPE_CHECKING:
    from airflow_provider_mics.api.models import Execution
    from airflow_provider_mics.hooks import MicsHook
    from airflow_provider_mics.runtime.compat import Context


_OWN_ARGUMENTS = "_own_arguments"


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

    def __new__(cls, *_: Any, **kwargs: Any) -> Self:
        """Remember which arguments are the operator's own: Airflow merges ``default_args`` into those of __init__."""
        operator = super().__new__(cls)
        vars(operator)[_OWN_ARGUMENTS] = frozenset(kwargs)
        return operator

    def __init__(
        self,
        *,
        mics_conn_id: str = "mics_default",
        organisation_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        # Taken out again: Airflow 2 copies an operator's attributes in their order, and needs its own first.
        own_arguments: frozenset[str] = vars(self).pop(_OWN_ARGUMENTS, frozenset())
        self._shared_arguments = frozenset(kwargs.get("default_args") or {}) - own_arguments
        super().__init__(**kwargs)
        self.mics_conn_id = mics_conn_id
        self.organisation_id = organisation_id

    def _is_shared(self, name: str) -> bool:
        """Whether an argument is not the operator's own, but comes from ``default_args``."""
        return name in self._shared_arguments

    def _drop_overruled(self, *names: str, unset: object = None) -> None:
        """Of arguments that exclude each other, unset those from ``default_args`` if the operator gives one itself."""
        given = [name for name in names if getattr(self, name) is not None]
        if all(map(self._is_shared, given)):
            return
        for name in filter(self._is_shared, given):
            setattr(self, name, unset)

    @cached_property
    def hook(self) -> MicsHook:
        """The hook of this task's connection and organisation."""
        from airflow_provider_mics.hooks import MicsHook

        return MicsHook(self.mics_conn_id, self.organisation_id or None)

    def _show_instance_link(self, context: Context, instance_id: str) -> None:
        """Push the link to the instance's page to XCom; a connection that cannot be read has none."""
        try:
            push_instance_link(context, self.hook, instance_id)
        except MicsConnectionError as error:
            self.log.warning("No link to instance %s: %s", instance_id, error)

    def _in_full(self, instance_id: str, execution: Execution, *, is_cut: bool) -> Execution:
        """Return an execution that came in a trigger's event with what did not fit into the event.

        If that cannot be read, the execution is returned as it came: how it ended is known, and fails no task.
        """
        if not is_cut:
            return execution
        try:
            whole = self.hook.run(get_execution(instance_id, execution.id))
        except Exception as error:  # noqa: BLE001
            self.log.warning(
                "XCom has a shortened execution %s: it could not be read in full: %s",
                execution.id,
                one_line_of(error),
            )
            return execution
        return whole if whole.status == execution.status else execution

    def _trigger_arguments(self) -> dict[str, Any]:
        """Return the arguments that the triggers of this package have in common."""
        return {
            "mics_conn_id": self.mics_conn_id,
            "organisation_id": self.organisation_id or None,
            "poll_interval": self.poll_interval,
        }
