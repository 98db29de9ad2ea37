"""One DAG for each integration batch instance of an organisation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, get_parsing_context

from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.api.validation import seconds_of
from airflow_provider_mics.core.planning.cron_ticks import zone_of
from airflow_provider_mics.core.planning.dag_plans import (
    DAG_ID_PREFIX,
    DagPlan,
    Planner,
    instance_id_of,
    plan_all,
    plan_instance,
)
from airflow_provider_mics.core.planning.inventory import Inventory
from airflow_provider_mics.dag_factory.builder import DagBuilder, instance_asset
from airflow_provider_mics.dag_factory.inventory_source import InventorySource, is_id_only

OWNER = "integration_batch_dags"
logger = logging.getLogger(__name__)

__all__ = ["DagPlan", "Inventory", "instance_asset", "integration_batch_dags", "plan_instance"]


def integration_batch_dags(
    mics_conn_id: str = "mics_default",
    organisation_id: str | None = None,
    *,
    group_id: str | None = None,
    artifact_id: str | None = None,
    select: Callable[[Instance], bool] | None = None,
    customize: Callable[[DAG, Instance], object] | None = None,
    default_args: Mapping[str, Any] | None = None,
    start_date: datetime | None = None,
    platform_grace: float | timedelta | None = timedelta(minutes=2),
    timezone: str | None = None,
    plan: Planner = plan_instance,
    snapshot: str | Path | None = None,
    snapshot_ttl: float | timedelta = timedelta(minutes=5),
    deferrable: bool = True,
    poll_interval: float | timedelta = 30.0,
) -> dict[str, DAG]:
    """The DAGs of an organisation's instances, by DAG id: ``globals().update(integration_batch_dags())``.

    Archived instances have none. A parse goes by a snapshot of the instances and asks the platform only when that is
    older than ``snapshot_ttl``; while the platform cannot be asked, the last snapshot holds, however old. On a
    worker only the DAG that is to run is built.

    :param mics_conn_id: the Airflow connection of type ``mediarithmics``
    :param organisation_id: instead of the organisation in the connection's extra
    :param group_id: only instances of plugins of this group
    :param artifact_id: only instances of plugins of this name
    :param select: only instances for which this is true
    :param customize: called with each DAG and its instance, to change the DAG in place. Text that differs at each
        parse makes a new version of the DAG each time
    :param default_args: as of any DAG: ``retries``, ``on_failure_callback``, ``owner``
    :param start_date: no tick before this is run; ticks from before the present schedule never are
    :param platform_grace: how long the platform, which fires an ACTIVE cron itself, has to create a tick's execution
        before Airflow does; zero creates at once, None never creates
    :param timezone: the time zone (IANA name) of the crons, instead of the connection's
    :param plan: what makes a `DagPlan` of an inventory and an instance, instead of `plan_instance`
    :param snapshot: the snapshot's path, or its URL in an object store, which several machines can share; by default
        a file under AIRFLOW_HOME. Each connection and organisation needs its own
    :param snapshot_ttl: how old a snapshot may be before the platform is asked again
    :param deferrable: whether runs wait without a worker slot
    :param poll_interval: seconds between two questions to the platform while waiting
    :raises MicsError: the instances cannot be listed, and there is no snapshot of them from before
    :raises ValueError: an argument that no DAG could be built with
    """
    if timezone is not None and zone_of(timezone) is None:
        raise ValueError(f"timezone {timezone!r} is not known: give an IANA name such as Europe/Paris")
    if start_date is not None and start_date.tzinfo is None:
        raise ValueError(f"start_date {start_date.isoformat()} has no time zone: give an aware datetime")
    if platform_grace is not None:
        seconds_of(OWNER, "platform_grace", platform_grace, may_be_zero=True)
    ttl = timedelta(seconds=seconds_of(OWNER, "snapshot_ttl", snapshot_ttl, may_be_zero=True))
    organisation_id = None if organisation_id is None else str(organisation_id)
    source = InventorySource(mics_conn_id, organisation_id, timezone, snapshot, ttl)
    builder = DagBuilder(
        mics_conn_id=mics_conn_id,
        organisation_id=organisation_id,
        customize=customize,
        default_args=default_args or {},
        start_date=start_date,
        platform_grace=platform_grace,
        deferrable=deferrable,
        poll_interval=seconds_of(OWNER, "poll_interval", poll_interval),
    )

    def is_selected(instance: Instance) -> bool:
        return (
            group_id in (None, instance.group_id)
            and artifact_id in (None, instance.artifact_id)
            and (select is None or select(instance))
        )

    wanted = get_parsing_context().dag_id
    if wanted is not None:
        return _dags_of_worker(wanted, source, builder, plan, is_selected)
    inventory = source.current()
    planned = plan_all(inventory, plan=plan, select=is_selected)
    if inventory.instances and not planned:
        logger.warning(
            "None of the %d integration batches of connection %r is selected: see group_id, artifact_id and select.",
            len(inventory.instances),
            mics_conn_id,
        )
    return builder.build_all(inventory, planned)


def _dags_of_worker(
    dag_id: str,
    source: InventorySource,
    builder: DagBuilder,
    plan: Planner,
    is_selected: Callable[[Instance], bool],
) -> dict[str, DAG]:
    """The one DAG that a worker is to run, if it is ours. Nothing is asked about one that cannot be."""

    def build(inventory: Inventory | None, select: Callable[[Instance], bool] | None) -> dict[str, DAG]:
        if inventory is None:
            return {}
        planned = plan_all(inventory, plan=plan, select=select)
        return builder.build_all(inventory, [each for each in planned if each[1].dag_id == dag_id])

    dags: dict[str, DAG] = {}
    instance_id = instance_id_of(dag_id)
    if instance_id is not None:
        inventory = source.for_worker(instance_id)
        is_known = inventory is not None and not is_id_only(inventory.instances[0])
        dags = build(inventory, is_selected if is_known else None)
    if not dags and plan is not plan_instance:
        dags = build(source.read() or source.listed_for_worker(), is_selected)
    elif not dags and instance_id is None and dag_id.startswith(DAG_ID_PREFIX):
        dags = build(source.read(), is_selected)
    return dags
