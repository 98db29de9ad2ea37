"""Builds Airflow's DAGs from plans."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zlib import crc32

from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.core.planning.dag_plans import (
    LONGEST_PREFIX,
    TAG,
    DagPlan,
    dag_id_of,
    invalid_cron,
    is_id,
    is_prefix,
    prefixed,
    unplanned,
)
from airflow_provider_mics.core.planning.inventory import Inventory
from airflow_provider_mics.dag_factory.cron_schedule import (
    UNSCHEDULED_START_DATE,
    first_tick_of,
    start_date_of,
    tick_context_of,
    tick_cron_on,
    timetable_of,
)
from airflow_provider_mics.dag_factory.worker_inventory import is_id_only
from airflow_provider_mics.operators import MicsCreateExecutionOperator
from airflow_provider_mics.runtime.compat import DAG, AirflowFailException, Asset, BaseOperator, Param
from airflow_provider_mics.runtime.failures import one_line_of
from airflow_provider_mics.runtime.on_kill import IS_AIRFLOW_2

if TYPE_CHECKING:
    from airflow_provider_mics.runtime.compat import Context

TASK_ID = "execute"
PREFIX_RULE = f"must have at most {LONGEST_PREFIX} ASCII letters, digits, dots, dashes and underscores"
OWNER = "mediarithmics"
START_DATE_HELP = (
    "When the platform is to start the batch. "
    "Left empty, it starts at once; a moment in the past starts at once too."
)
MOMENT_PATTERN = (
    r"^\s*$|^\s*\d+\s*$|^\s*\d{4}-?\d{2}-?\d{2}[T ]\d{2}(:?\d{2}(:?\d{2}([.,]\d+)?)?)?"
    r"\s*(Z|[+-]\d{2}(:?\d{2})?)\s*$"
)
"""Of a moment that can be read. The REST API of Airflow checks it, and checks ``format`` only in some installations."""
LONGEST_LINK = 500
LOOKED_UP = ("max_active_tasks", "max_consecutive_failed_dag_runs", "disable_bundle_versioning")
"""What a DAG looks up in Airflow's configuration, which takes a tenth of its time: the first one does it for all."""
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
    dag_id_prefix: str = ""
    is_paused_upon_creation: bool = False
    end_date: datetime | None = None
    _looked_up: dict[str, Any] = field(default_factory=dict, init=False, compare=False)

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
                self._customized(self.customize, dag, instance, plan)
            if dag.dag_id in taken:
                raise ValueError(f"the DAG id {dag.dag_id} is taken by another instance")
        except Exception as error:  # noqa: BLE001
            reason = f"{failure}: {one_line_of(error)}"
            logger.warning("Instance %s: %s.", instance.id, reason)
            explained = prefixed(unplanned(inventory, instance, reason), self.dag_id_prefix)
            if explained.dag_id != plan.dag_id and explained.dag_id in taken:
                suffix = f"{crc32(str(plan.dag_id).encode()):08x}"
                explained = replace(explained, dag_id=f"{explained.dag_id}.{suffix}")
            return self.build(instance, explained)
        return dag

    def _customized(
        self, customize: Callable[[DAG, Instance], object], dag: DAG, instance: Instance, plan: DagPlan
    ) -> None:
        """Let the user change a DAG, and make its task fit a schedule that this gave it.

        :raises Exception: whatever the user's function raises, and ValueError if the DAG has another id
        """
        timetable, task = dag.timetable, dag.task_dict.get(TASK_ID)
        customize(dag, instance)
        if dag.dag_id != plan.dag_id:
            raise ValueError(
                f"it changed the DAG id to {dag.dag_id}, by which no worker finds the DAG: set dag_id in plan(...)"
            )
        if dag.timetable is timetable:
            return
        if plan.cron is None and dag.timetable.can_be_scheduled and dag.start_date == UNSCHEDULED_START_DATE:
            self._bound(dag, plan)
        if isinstance(task, MicsCreateExecutionOperator) and not is_id_only(instance):
            cron = tick_cron_on(dag.timetable, instance, plan.timezone)
            task.tick_context = replace(task.tick_context, cron=cron)

    def _bound(self, dag: DAG, plan: DagPlan) -> None:
        """Give a DAG that was built without a schedule the dates of a scheduled one."""
        dag.start_date, dag.end_date = first_tick_of(plan, self.start_date), dag.end_date or self.end_date
        for task in dag.tasks:
            # Airflow takes the earliest of the dates of the DAG and its tasks.
            if task.start_date == UNSCHEDULED_START_DATE:
                task.start_date = dag.start_date
            task.end_date = task.end_date or dag.end_date

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
            end_date=None if plan.cron is None else self.end_date,
            catchup=False,
            max_active_runs=1,
            is_paused_upon_creation=self.is_paused_upon_creation,
            default_args=default_args,
            owner_links=_owner_links(default_args["owner"], plan.console_page),
            **self._looked_up,
        )
        if not self._looked_up:
            self._looked_up.update({name: getattr(dag, name) for name in LOOKED_UP if hasattr(dag, name)})
        if is_id(plan.instance_id):
            self._add_task(dag, instance, plan)
        else:
            CannotRunOperator(
                task_id=TASK_ID,
                task_display_name=plan.display_name,
                dag=dag,
                reason=plan.problem or plan.description,
            )
        # Set afterwards: as an argument of the DAG it is validated at each parse, two thirds of the time of a parse.
        dag.params["expected_start_date"] = Param(
            None,
            START_DATE_HELP,
            type=["null", "string"],
            format="date-time",
            pattern=MOMENT_PATTERN,
            title="Expected start date",
        )
        return dag

    @property
    def _shared_outlets(self) -> list[Any]:
        outlets = self.default_args.get("outlets") or []
        if isinstance(outlets, (set, frozenset)):
            return sorted(outlets, key=repr)  # in the same order in every process
        return list(outlets) if isinstance(outlets, (list, tuple)) else [outlets]

    def _add_task(self, dag: DAG, instance: Instance, plan: DagPlan) -> None:
        asset = instance_asset(plan.instance_id, prefix=self.dag_id_prefix, name=plan.display_name)
        MicsCreateExecutionOperator(
            task_id=TASK_ID,
            task_display_name=plan.display_name,
            dag=dag,
            instance_id=plan.instance_id,
            mics_conn_id=self.mics_conn_id,
            organisation_id=self.organisation_id,
            expected_start_date="{{ params.expected_start_date or '' }}",
            deferrable=self.deferrable,
            poll_interval=self.poll_interval,
            # What other operators share in default_args must not replace what the DAG is about.
            cron=None,
            execution_type=None,
            tick_context=tick_context_of(instance, plan, self.platform_grace),
            outlets=[*self._shared_outlets, asset],
            checks_run_conf=True,
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


def instance_asset(instance_id: str, prefix: str = "", name: str | None = None) -> Asset:
    """Return the asset that a generated DAG updates when a run of the instance succeeds.

    Its name is the id of the generated DAG, its group ``mediarithmics``, and its ``extra`` has the ``instance_id`` and
    the instance's ``name``. The scheme of its URI begins with ``x-``: Airflow reserves these for users, and needs no
    handler for them. Each event's ``extra`` has ``instance_id``, ``execution_id``, ``status``, ``start_date`` and
    ``duration`` (seconds). Airflow 2 has no names and groups.

    :param instance_id: the instance's id
    :param prefix: the ``dag_id_prefix`` of the factory
    :param name: the instance's name, for ``extra``: it does not tell assets apart
    :raises ValueError: an invalid prefix
    """
    if not is_prefix(prefix):
        raise ValueError(f"instance_asset: prefix {prefix!r} {PREFIX_RULE}")
    uri = f"x-mics://{prefix}integration_batch_instances/{instance_id}"
    extra: dict[str, Any] = {"instance_id": instance_id}
    if name is not None:
        extra["name"] = name
    if IS_AIRFLOW_2:
        return Asset(uri=uri, extra=extra)
    return Asset(name=prefix + dag_id_of(instance_id), uri=uri, group=TAG, extra=extra)


def _with_readable_cron(plan: DagPlan) -> DagPlan:
    """Return the plan, without its schedule if Airflow cannot read the cron."""
    try:
        timetable_of(plan)
    except Exception as error:  # noqa: BLE001
        return invalid_cron(plan, one_line_of(error))
    return plan


def _owner_links(owner: str, page: str | None) -> dict[str, str]:
    """Return the link from a DAG's owner to the console; Airflow refuses a DAG whose link is not a URL, or too long."""
    try:
        is_url = page is not None and len(page) <= LONGEST_LINK and bool(urlsplit(page).netloc)
    except ValueError:
        is_url = False
    return {owner: page} if page is not None and is_url else {}
