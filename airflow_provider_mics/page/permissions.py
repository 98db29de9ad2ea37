"""What a user may do: Airflow's own permissions for the DAG, or for the connection where an instance has no DAG."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import (
    ConnectionDetails,
    DagAccessEntity,
    DagDetails,
)
from airflow.models.connection import Connection
from airflow.models.dag import DagModel

from airflow_provider_mics.page.batches import Batch

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser


class Viewer:
    """A user who looks at the page."""

    def __init__(self, user: BaseUser) -> None:
        self.user = user
        self._connections: dict[tuple[str, str], bool] = {}

    @property
    def name(self) -> str:
        return self.user.get_name()

    @property
    def user_id(self) -> str:
        return str(self.user.get_id())

    @cached_property
    def readable_dags(self) -> set[str]:
        return get_auth_manager().get_authorized_dag_ids(user=self.user, method="GET")

    @cached_property
    def editable_dags(self) -> set[str]:
        return get_auth_manager().get_authorized_dag_ids(user=self.user, method="PUT")

    def may_see(self, batch: Batch) -> bool:
        """Whether the user may read the batch's DAG, or else its connection."""
        if batch.dag is not None:
            return batch.dag.dag_id in self.readable_dags
        return self._may_use("GET", batch.source.conn_id)

    def may_act_on(self, batch: Batch) -> bool:
        """Whether the user may edit the batch's DAG, or else its connection."""
        if batch.dag is not None:
            return batch.dag.dag_id in self.editable_dags
        return self._may_use("PUT", batch.source.conn_id)

    def may_run(self, batch: Batch) -> bool:
        """Whether the user may act on the batch, and create runs of its DAG."""
        return self.may_act_on(batch) and (batch.dag is None or self._may_on_runs("POST", batch.dag.dag_id))

    def may_cancel(self, batch: Batch) -> bool:
        """Whether the user may act on the batch, and change runs of its DAG."""
        return self.may_act_on(batch) and (batch.dag is None or self._may_on_runs("PUT", batch.dag.dag_id))

    def may_see_connection(self, conn_id: str) -> bool:
        """Whether the user may read a connection."""
        return self._may_use("GET", conn_id)

    def _may_on_runs(self, method: Literal["POST", "PUT"], dag_id: str) -> bool:
        return bool(
            get_auth_manager().is_authorized_dag(
                method=method,
                access_entity=DagAccessEntity.RUN,
                details=DagDetails(id=dag_id, **_team_of(dag_id)),
                user=self.user,
            )
        )

    def _may_use(self, method: Literal["GET", "PUT"], conn_id: str) -> bool:
        key = method, conn_id
        if key not in self._connections:
            details = ConnectionDetails(conn_id=conn_id, team_name=Connection.get_team_name(conn_id))
            self._connections[key] = bool(
                get_auth_manager().is_authorized_connection(method=method, details=details, user=self.user)
            )
        return self._connections[key]


def _team_of(dag_id: str) -> dict[str, Any]:
    """Return the team of a DAG as Airflow 3.2 and later take it."""
    get_team_name = getattr(DagModel, "get_team_name", None)
    return {} if get_team_name is None else {"team_name": get_team_name(dag_id)}
