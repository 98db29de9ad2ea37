"""Builds Airflow's DAGs from plans."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zlib import crc32

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, Asset, BaseOperator, Param

from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.core.planning.dag_plans import DagPlan, invalid_cron, is_id, unplanned
from airflow_provider_mics.core.planning.inventory import Inventory
from airflow_provider_mics.dag_factory.cron_schedule import start_date_of, tick_context_of, timetable_of
from airflow_provider_mics.operators import MicsCreateExecutionOperator
from airflow_provider_mics.runtime.failures import one_line_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

TASK_ID = "execute"
OWNER = "mediarithmics"
START_DATE_HELP = (
    "When the platform is to start the batch. "
    "Left empty, it starts at once; a moment in the past starts at once too."
)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DagBuilder:
    """Builds DAGs; the fields are arguments of `integration_batch_dags`."""

    mics_conn_id: str
    organisation_id: str | None
    customize: Callable[[DAG, Instance], object] | None
    default_args: Mapping[str, Any]
    start_date: datetime | None
    platform_grace: timedelta | None
    deferrable: bool
    poll_interval: float

    def build_all(self, inventory: Inventory, planned: Iterable[tuple[Instance, DagPlan]]) -> dict[str, DAG]:
        """Build a DAG for each plan. If that fails, the DAG has no schedule and its description says why."""
        dags: dict[str, DAG] = {}
        for instance, plan in planned:
            dag = self._build_or_explain(inventory, instance, plan, dags)
            dags[dag.dag_id] = dag
        return dags

    def _build_or_explain(
        self, inventory: Inventory, instance: Instance, plan: DagPlan, taken: Mapping[str, DAG]
    ) -> DAG:
        plan = _with_readable_cron(plan)
        failure = "the DAG cannot be built"
        try:
            dag = self.build(instance, plan)
            failure = "customize(...) failed"
            if self.customize is not None:
                self.customize(dag, instance)
            if dag.dag_id in taken:
                raise ValueError(f"the DAG id {dag.dag_id} is taken by another instance")
        except Exception as error:  # noqa: BLE001
            reason = f"{failure}: {one_line_of(error)}"
            logger.warning("Instance %s: %s.", instance.id, reason)
            explained = unplanned(inventory, instance, reason)
            if explained.dag_id != plan.dag_id and explained.dag_id in taken:
                suffix = f"{crc32(str(plan.dag_id).encode()):08x}"
                explained = replace(explained, dag_id=f"{explained.dag_id}.{suffix}")
            return self.build(instance, explained)
        return dag

    def build(self, instance: Instance, plan: DagPlan) -> DAG:
        """Build the DAG of a plan, with its one task."""
        default_args = {"owner": OWNER, **self.default_args}
        dag = DAG(
            dag_id=plan.dag_id,
            dag_display_name=plan.display_name,
            description=plan.description,
            doc_md=plan.doc_md,
            tags=list(plan.tags),
            schedule=timetable_of(plan),
            start_date=start_date_of(plan, self.start_date),
            catchup=False,
            max_active_runs=1,
            is_paused_upon_creation=False,
            default_args=default_args,
            owner_links=_owner_links(default_args["owner"], plan.console_page),
        )
        if is_id(plan.instance_id):
            self._add_task(dag, instance, plan)
        else:
            CannotRunOperator(task_id=TASK_ID, dag=dag, reason=plan.problem or plan.description)
        # Set afterwards: as an argument of the DAG it is validated at each parse, two thirds of the time of a parse.
        dag.params["expected_start_date"] = Param(
            None,
            START_DATE_HELP,
            type=["null", "string"],
            format="date-time",
            title="Expected start date",
        )
        return dag

    def _add_task(self, dag: DAG, instance: Instance, plan: DagPlan) -> None:
        MicsCreateExecutionOperator(
            task_id=TASK_ID,
            dag=dag,
            instance_id=plan.instance_id,
            mics_conn_id=self.mics_conn_id,
            organisation_id=self.organisation_id,
            expected_start_date="{{ params.expected_start_date or '' }}",
            deferrable=self.deferrable,
            poll_interval=self.poll_interval,
            cron=None,  # default_args that other operators share may have one
            tick_context=tick_context_of(instance, plan, self.platform_grace),
            outlets=[instance_asset(plan.instance_id)],
        )


class CannotRunOperator(BaseOperator):
    """Task of an instance whose id is invalid: it fails with the reason.

    :param reason: why the instance cannot run
    """

    def __init__(self, *, reason: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reason = reason

    def execute(self, context: Context) -> None:
        raise AirflowFailException(self.reason)


def instance_asset(instance_id: str) -> Asset:
    """Return the asset that a generated DAG updates when a run of the instance succeeds.

    The URI, which is also the name, has a scheme that begins with ``x-``: Airflow reserves these for users, and needs
    no handler for them.

    :param instance_id: the instance's id
    """
    return Asset(uri=f"x-mics://integration_batch_instances/{instance_id}")


def _with_readable_cron(plan: DagPlan) -> DagPlan:
    """Return the plan, without its schedule if Airflow cannot read the cron."""
    try:
        timetable_of(plan)
    except Exception as error:  # noqa: BLE001
        return invalid_cron(plan, one_line_of(error))
    return plan


def _owner_links(owner: str, page: str | None) -> dict[str, str]:
    """Return the link from a DAG's owner to the console; Airflow refuses a DAG whose link is not a URL."""
    try:
        is_url = page is not None and bool(urlsplit(page).netloc)
    except ValueError:
        is_url = False
    return {owner: page} if page is not None and is_url else {}
