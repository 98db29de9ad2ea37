"""The DAG factory: one DAG for each integration batch instance of an organisation.

The steps: ``inventory_source`` lists the instances, ``core/planning/dag_plans`` plans a DAG for each, ``builder``
builds it, and ``cron_schedule`` turns its cron into its schedule.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.api.validation import seconds_of
from airflow_provider_mics.core.exactly_once.handover import DEFAULT_PLATFORM_GRACE
from airflow_provider_mics.core.planning.dag_plans import (
    DAG_ID_STEM,
    DagPlan,
    Planner,
    instance_id_of,
    is_prefix,
    plan_all,
    plan_instance,
)
from airflow_provider_mics.core.planning.inventory import Inventory
from airflow_provider_mics.core.planning.shards import shard_of
from airflow_provider_mics.dag_factory.builder import PREFIX_RULE, DagBuilder, instance_asset
from airflow_provider_mics.dag_factory.cron_schedule import date_of, shared_date, zone_name
from airflow_provider_mics.dag_factory.dag_ids import claim_dag_ids, is_known_elsewhere, note_known
from airflow_provider_mics.dag_factory.file_size import warn_once, warning_of
from airflow_provider_mics.dag_factory.inventory_source import InventorySource
from airflow_provider_mics.dag_factory.refresh import inventory_refresh_dag
from airflow_provider_mics.dag_factory.worker_inventory import inventory_for_worker, is_id_only
from airflow_provider_mics.operators.arguments import optional_timedelta
from airflow_provider_mics.runtime.compat import DAG, get_parsing_context

DEFAULT_POLL_INTERVAL = 30.0
"""Seconds."""
OWNER = "integration_batch_dags"
"""Names the function in the errors about its arguments."""
logger = logging.getLogger(__name__)
__all__ = [
    "DagPlan",
    "Inventory",
    "instance_asset",
    "integration_batch_dags",
    "inventory_refresh_dag",
    "plan_instance",
]


def integration_batch_dags(
    mics_conn_id: str = "mics_default",
    organisation_id: str | None = None,
    *,
    group_id: str | None = None,
    artifact_id: str | None = None,
    select: Callable[[Instance], bool] | None = None,
    customize: Callable[[DAG, Instance], object] | None = None,
    default_args: Mapping[str, Any] | None = None,
    start_date: datetime | str | None = None,
    platform_grace: float | timedelta | None = DEFAULT_PLATFORM_GRACE,
    timezone: str | tzinfo | None = None,
    plan: Planner = plan_instance,
    snapshot: str | Path | None = None,
    snapshot_ttl: float | timedelta | None = timedelta(minutes=5),
    deferrable: bool | None = None,
    poll_interval: float | timedelta | None = None,
    dag_id_prefix: str = "",
    is_paused_upon_creation: bool = False,
    shard: tuple[int, int] | str | Path | None = None,
) -> dict[str, DAG]:
    """Return a DAG for each instance of an organisation, by DAG id, except for archived ones.

    A DAG file needs one line: ``globals().update(integration_batch_dags())``.

    The instances come from a snapshot. Only if it is older than ``snapshot_ttl`` a parse sends a request; during an
    outage the last snapshot is used, however old. On a worker only the DAG that is to run is built.

    :param mics_conn_id: the Airflow connection of type ``mediarithmics``
    :param organisation_id: the organisation's id; by default the connection's
    :param group_id: build DAGs only for instances of plugins of this group
    :param artifact_id: build DAGs only for instances of plugins of this name
    :param select: build DAGs only for instances for which this function returns true
    :param customize: function that is called with each DAG and its instance, and changes the DAG in place. Text that
        differs between parses creates a new DAG version at each parse
    :param default_args: as of any DAG, such as ``retries``, ``on_failure_callback`` and ``owner``. ``start_date`` and
        ``end_date`` in them are those of the DAG, and ``outlets`` are updated beside the instance's asset
    :param start_date: an aware datetime, or its text; ticks before it do not run. Ticks from before the last change of
        an instance's schedule never run
    :param platform_grace: how long the platform, which fires an ACTIVE cron itself, has to create the execution of a
        tick before Airflow does, in seconds or as a timedelta; 0 creates at once, None never creates
    :param timezone: time zone of the crons (IANA name, or an object of that zone); by default the connection's
    :param plan: function that returns the `DagPlan` of an inventory and an instance; by default `plan_instance`
    :param snapshot: path of the snapshot, or its URL in an object store, which several machines can share; by default
        a file below AIRFLOW_HOME. Each connection and organisation needs its own
    :param snapshot_ttl: age at which a snapshot is refreshed, in seconds or as a timedelta; None if no parse in a DAG
        processor is to ask the platform, since the DAG of `inventory_refresh_dag` does
    :param deferrable: whether tasks wait in the triggerer, without a worker slot; by default what ``default_args``
        say, else true
    :param poll_interval: time between two requests while waiting, in seconds or as a timedelta; by default what
        ``default_args`` say, else 30 s
    :param dag_id_prefix: what the DAG ids, asset URIs and a tag begin with, such as ``staging_``: two platforms in one
        Airflow need it, since their instances can have equal ids
    :param is_paused_upon_creation: whether a DAG that Airflow has not seen before is paused, so that none of its ticks
        runs until somebody unpauses it. Pausing a DAG does not pause the instance on the platform
    :param shard: build DAGs only for a share of the instances, so that several DAG files have them all: its number,
        from 1, and how many shards there are, such as ``(2, 8)``; or ``__file__``, if the file's name ends in the same,
        such as ``batches_2_of_8.py``. An instance's shard depends on its id alone. On a worker each file has every DAG
    :return: the DAGs by their ids
    :raises MicsError: the instances cannot be listed, and there is no earlier snapshot
    :raises ValueError: an invalid argument, or DAG ids that a factory of another platform has made in this process
    """
    timezone = zone_name(timezone)
    if isinstance(start_date, datetime) and start_date.tzinfo is None:
        raise ValueError(f"start_date {start_date.isoformat()} has no time zone: give an aware datetime")
    if not is_prefix(dag_id_prefix):
        raise ValueError(f"dag_id_prefix {dag_id_prefix!r} {PREFIX_RULE}")
    shared = dict(default_args or {})
    given_start = date_of("start_date", start_date)
    shared_start, end_date = shared_date(shared, "start_date"), shared_date(shared, "end_date")
    if deferrable is None:
        deferrable = bool(shared.get("deferrable", True))
    if poll_interval is None:
        poll_interval = shared.get("poll_interval", DEFAULT_POLL_INTERVAL)
    own_shard = shard_of(OWNER, shard)
    ttl = optional_timedelta(OWNER, "snapshot_ttl", snapshot_ttl, may_be_zero=True)
    organisation_id = None if organisation_id is None else str(organisation_id)
    source = InventorySource(mics_conn_id, organisation_id, timezone, snapshot, ttl)
    builder = DagBuilder(
        mics_conn_id=mics_conn_id,
        organisation_id=organisation_id,
        customize=customize,
        default_args=shared,
        start_date=max((each for each in (given_start, shared_start) if each is not None), default=None),
        end_date=end_date,
        platform_grace=optional_timedelta(OWNER, "platform_grace", platform_grace, may_be_zero=True),
        deferrable=deferrable,
        poll_interval=seconds_of(OWNER, "poll_interval", poll_interval),
        dag_id_prefix=dag_id_prefix,
        is_paused_upon_creation=is_paused_upon_creation,
    )

    def is_selected(instance: Instance) -> bool:
        return (
            group_id in (None, instance.group_id)
            and artifact_id in (None, instance.artifact_id)
            and (select is None or select(instance))
        )

    dag_id = get_parsing_context().dag_id
    if dag_id is not None:
        return _dags_on_worker(dag_id, source, builder, plan, is_selected)
    # Only a planner of the user's can give two instances one DAG id, which shows where all are planned.
    has = own_shard.has if own_shard is not None and plan is plan_instance else None
    inventory = source.current(has)
    planned = plan_all(inventory, plan=plan, select=is_selected, dag_id_prefix=dag_id_prefix)
    if inventory.instances and not planned and own_shard is None:
        logger.warning(
            "None of the %d integration batches of connection %r is selected: see group_id, artifact_id and select.",
            len(inventory.instances),
            mics_conn_id,
        )
    if own_shard is not None:
        planned = [each for each in planned if own_shard.has(each[0].id)]
    dags = builder.build_all(inventory, planned)
    claim_dag_ids(dags, inventory, mics_conn_id)
    file = Path(shard) if isinstance(shard, (str, Path)) else None
    warn_once(source.store.memory("warnings"), warning_of(len(dags), mics_conn_id, own_shard, file))
    return dags


def _dags_on_worker(
    dag_id: str,
    source: InventorySource,
    builder: DagBuilder,
    plan: Planner,
    is_selected: Callable[[Instance], bool],
) -> dict[str, DAG]:
    """Return the one DAG that a worker is to run, or nothing if it is not a DAG of this factory.

    No request is sent for a DAG id that this factory cannot have built.
    """
    prefix = builder.dag_id_prefix

    def build(inventory: Inventory | None, *, is_known: bool = True) -> dict[str, DAG]:
        if inventory is None:
            return {}
        select = is_selected if is_known else None
        planned = plan_all(inventory, plan=plan, select=select, dag_id_prefix=prefix)
        dags = builder.build_all(inventory, [each for each in planned if each[1].dag_id == dag_id])
        claim_dag_ids(dags, inventory, source.mics_conn_id)
        if is_known:
            note_known(dags, source.store.source)
        return dags

    dags: dict[str, DAG] = {}
    instance_id = instance_id_of(dag_id, prefix)
    if instance_id is not None:
        inventory = inventory_for_worker(source, instance_id)
        is_known = inventory is not None and not is_id_only(inventory.instances[0])
        # In globals().update(...), a DAG of which only the id is known would replace one that is whole.
        if is_known or not is_known_elsewhere(dag_id, source.store.source):
            dags = build(inventory, is_known=is_known)
    if not dags and plan is not plan_instance and dag_id.startswith(prefix):
        dags = build(source.read() or source.fetched_for_worker())
    elif not dags and instance_id is None and dag_id.startswith(prefix + DAG_ID_STEM):
        dags = build(source.read())
    return dags
