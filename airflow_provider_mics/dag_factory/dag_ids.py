"""Which factory of this process made which DAG id: of two DAGs with one id, Airflow silently keeps one."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_provider_mics.core.planning.inventory import Inventory

if TYPE_CHECKING:
    from airflow_provider_mics.runtime.compat import DAG

# DAGs are parts of reference cycles, and so outlive their last use until the next pass for these.
_claims: dict[str, tuple[str, tuple[str, str], weakref.ref[DAG]]] = {}
"""By DAG id: the connection, the platform and organisation, and the DAG."""
_known: dict[str, tuple[str, weakref.ref[DAG]]] = {}
"""By DAG id, on a worker: the source of the instance that the DAG was built from, and the DAG."""


def claim_dag_ids(dags: Mapping[str, DAG], inventory: Inventory, mics_conn_id: str) -> None:
    """Remember who made these DAGs. Once a DAG does not exist any more, its id is free.

    :raises ValueError: a factory with another connection made some of these ids, of another platform or organisation
    """
    if inventory.host is None:
        return
    platform = (inventory.host, inventory.organisation_id or "")
    taken = _claimed_by_others(dags, platform, mics_conn_id)
    if taken:
        # One pass for all ids: it takes up to a third of a second, and a parse has thirty.
        gc.collect()
        taken = _claimed_by_others(taken, platform, mics_conn_id)
    if taken:
        dag_id, owner = next(iter(taken.items()))
        number = sum(each == owner for each in taken.values())
        raise ValueError(
            f"{number} DAG id(s) of connection {mics_conn_id!r} are also DAG ids of connection {owner!r}, of "
            f"another platform or organisation, such as {dag_id}: give one of the factories a dag_id_prefix="
        )
    for dag_id, dag in dags.items():
        _claims[dag_id] = (mics_conn_id, platform, weakref.ref(dag))


def _claimed_by_others(
    dag_ids: Mapping[str, object], platform: tuple[str, str], mics_conn_id: str
) -> dict[str, str]:
    """Return which of these ids other connections have DAGs of, of another platform, and the connections."""
    taken: dict[str, str] = {}
    for dag_id in dag_ids:
        owner, its_platform, its_dag = _claims.get(dag_id, (mics_conn_id, platform, None))
        if (
            owner != mics_conn_id
            and its_platform != platform
            and its_dag is not None
            and its_dag() is not None
        ):
            taken[dag_id] = owner
    return taken


def note_known(dags: Mapping[str, DAG], source: str) -> None:
    """Remember that a worker built these DAGs from instances that a source knows."""
    _known.update({dag_id: (source, weakref.ref(dag)) for dag_id, dag in dags.items()})


def is_known_elsewhere(dag_id: str, source: str) -> bool:
    """Whether a worker has built the DAG with this id from an instance that another source knows."""
    owner, dag = _known.get(dag_id, (source, None))
    if owner == source or dag is None or dag() is None:
        return False
    gc.collect()
    return dag() is not None
