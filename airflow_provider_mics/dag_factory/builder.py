"""From plans to Airflow's DAGs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zlib import crc32

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, Asset, BaseOperator, Param
from airflow.timetables.trigger import CronTriggerTimetable

from airflow_provider_mics.api.cron_syntax import normalised
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.core.planning.dag_plans import DagPlan, invalid_cron, is_id, unplanned
from airflow_provider_mics.core.planning.inventory import Inventory
from airflow_provider_mics.operators import MicsCreateExecutionOperator
from airflow_provider_mics.runtime.failures import one_line_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


TASK_ID = "execute"

OWNER = "mediarithmics"

LONG_AGO = datetime(2015, 1, 1, tzinfo=UTC)

"""The start of what has no schedule: any run a person asks for is after it."""

START_DATE_HELP = (
    "When the platform is to start the batch. "
    "Left empty, it starts at once; a moment in the past starts at once too."
)


logger = logging.getLogger(__name__)


@dataclass
class DagBuilder:
    """Makes DAGs of plans; the arguments are those of `integration_batch_dags`."""

    mics_conn_id: str
    organisation_id: str | None
    customize: Callable[[DAG, Instance], object] | None
    default_args: Mapping[str, Any]
    start_date: datetime | None
    platform_grace: float | timedelta | None
    deferrable: bool
    poll_interval: float
    _timetables: dict[tuple[str, str], CronTriggerTimetable] = field(default_factory=dict)

    def build_all(self, inventory: Inventory, planned: Iterable[tuple[Instance, DagPlan]]) -> dict[str, DAG]:
        """A DAG for each plan. One that cannot be built as planned is one without schedule, which says why."""
        dags: dict[str, DAG] = {}
        for instance, plan in planned:
            dag = self._build_or_explain(inventory, instance, plan, dags)
            dags[dag.dag_id] = dag
        return dags

    def build(self, instance: Instance, plan: DagPlan) -> DAG:
        """The DAG of a plan, with its one task."""
        default_args = {"owner": OWNER, **self.default_args}
        dag = DAG(
            dag_id=plan.dag_id,
            dag_display_name=plan.display_name,
            description=plan.description,
            doc_md=plan.doc_md,
            tags=list(plan.tags),
            schedule=self._timetable(plan),
            start_date=self._start_date(plan),
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
        # Given to the DAG, it would be checked against its own schema at each parse: two thirds of the time.
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
            cron=_own_cron(instance, plan),
            timezone=plan.timezone or None,
            schedule_since=plan.schedule_since.isoformat() if plan.schedule_since else None,
            platform_grace=self.platform_grace,
            outlets=[instance_asset(plan.instance_id)],
        )

    def _build_or_explain(
        self, inventory: Inventory, instance: Instance, plan: DagPlan, taken: Mapping[str, DAG]
    ) -> DAG:
        try:
            self._timetable(plan)
        except Exception as error:  # noqa: BLE001
            plan = invalid_cron(plan, one_line_of(error))
        doing = "the DAG cannot be built"
        try:
            dag = self.build(instance, plan)
            doing = "customize(...) failed"
            if self.customize is not None:
                self.customize(dag, instance)
            if dag.dag_id in taken:
                raise ValueError(f"the DAG id {dag.dag_id} is taken by another instance")
        except Exception as error:  # noqa: BLE001
            reason = f"{doing}: {one_line_of(error)}"
            explained = unplanned(inventory, instance, reason)
            if explained.dag_id != plan.dag_id and explained.dag_id in taken:
                explained = replace(
                    explained, dag_id=f"{explained.dag_id}.{crc32(str(plan.dag_id).encode()):08x}"
                )
            dag = self.build(instance, explained)
            logger.warning("Instance %s: %s.", instance.id, reason)
        return dag

    def _timetable(self, plan: DagPlan) -> CronTriggerTimetable | None:
        if plan.cron is None:
            return None
        key = (plan.cron, plan.timezone)
        if key not in self._timetables:
            timetable = CronTriggerTimetable(plan.cron, timezone=plan.timezone)
            timetable.validate()
            self._timetables[key] = timetable
        return self._timetables[key]

    def _start_date(self, plan: DagPlan) -> datetime:
        moments = [each for each in (plan.schedule_since, self.start_date) if each is not None]
        return max(moments, default=LONG_AGO)


class CannotRunOperator(BaseOperator):
    """The task of what the platform could not be asked about: it fails with the reason.

    :param reason: why it cannot run
    """

    def __init__(self, *, reason: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reason = reason

    def execute(self, context: Context) -> None:
        raise AirflowFailException(self.reason)


def instance_asset(instance_id: str) -> Asset:
    """The asset that a run of an instance updates; its URI is also its name.

    The scheme begins with ``x-``, which Airflow leaves to users: no handler is needed, on any of its lines.
    """
    return Asset(uri=f"x-mics://integration_batch_instances/{instance_id}")


def _owner_links(owner: str, page: str | None) -> dict[str, str]:
    """The link from a DAG's owner to a page; Airflow refuses a DAG with one that is no address."""
    try:
        is_address = page is not None and bool(urlsplit(page).netloc)
    except ValueError:
        is_address = False
    return {owner: page} if page is not None and is_address else {}


def _own_cron(instance: Instance, plan: DagPlan) -> str | None:
    """The instance's cron, of which every scheduled run of its DAG is a tick; empty where it has or shows none now.

    A run can be older than what is known of the instance now: of one that was paused since, it is still a tick, and
    must never become an execution that nobody asked for. Only a plan with a schedule of its own has no ticks.
    """
    own = instance.cron or ""
    if plan.cron is None or normalised(own) == plan.cron:
        return own
    return None
