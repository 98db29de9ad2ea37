"""Which factory of this process made which DAG id: of two DAGs with one id, Airflow silently keeps one."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_provider_mics.core.planning.inventory import Inventory

if TYPE_CHECKING:
    from airflow_provider_mics.runtime.compat import DAG

_claims: dict[str, tuple[str, tuple[str, str], weakref.ref[DAG]]] = {}
"""By DAG id: the connection, the platform and organisation, and the DAG."""


def claim_dag_ids(dags: Mapping[str, DAG], inventory: Inventory, mics_conn_id: str) -> None:
    """Remember who made these DAGs. Once a DAG does not exist any more, its id is free.

    :raises ValueError: a factory with another connection made some of these ids, of another platform or organisation
    """
    if inventory.host is None:
        return
    platform = (inventory.host, inventory.organisation_id or "")
    taken: dict[str, list[str]] = {}
    for dag_id in dags:
        if dag_id not in _claims:
            continue
        owner, its_platform, its_dag = _claims[dag_id]
        if owner != mics_conn_id and its_platform != platform and _is_in_use(its_dag):
            taken.setdefault(owner, []).append(dag_id)
    for owner, dag_ids in taken.items():
        raise ValueError(
            f"{len(dag_ids)} DAG id(s) of connection {mics_conn_id!r} are also DAG ids of connection {owner!r}, of "
            f"another platform or organisation, such as {dag_ids[0]}: give one of the factories a dag_id_prefix="
        )
    for dag_id, dag in dags.items():
        _claims[dag_id] = (mics_conn_id, platform, weakref.ref(dag))


def _is_in_use(dag: weakref.ref[DAG]) -> bool:
    """Whether a DAG still exists: a DAG is part of reference cycles, so that it outlives its last use for a while."""
    if dag() is not None:
        gc.collect()
    return dag() is not None
