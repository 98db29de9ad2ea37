"""What a worker has to know of the one instance whose DAG it runs."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from airflow_provider_mics.api.console import DEFAULT_CONSOLE_URL
from airflow_provider_mics.api.errors import MicsApiError
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.api.outages import is_outage
from airflow_provider_mics.core.planning.inventory import Inventory
from airflow_provider_mics.dag_factory.inventory_source import InventorySource
from airflow_provider_mics.dag_factory.parse_time_client import ParseTimeClient
from airflow_provider_mics.runtime.failures import one_line_of

NOT_OURS_STATUS_CODES = (403, 404)
"""HTTP status codes that say that our organisation has no such instance."""
logger = logging.getLogger(__name__)


def inventory_for_worker(source: InventorySource, instance_id: str) -> Inventory | None:
    """Return an inventory of one instance, or None if our organisation does not have it.

    The instance comes from the snapshot, or else from the platform. Where the platform cannot be asked, a whole
    snapshot of ours that lacks the instance says that it belongs to another factory of the DAG file. Without such a
    snapshot only its id is known, which is enough to build the DAG of a task that is to run. Nothing is written.
    """
    known = source.read(only=instance_id)
    if known is not None and known.get(instance_id) is not None and source.store.is_ours(known):
        return known
    client = ParseTimeClient(source.mics_conn_id, source.organisation_id)
    organisation_id, timezone = source.organisation_id, source.timezone or ""
    console_url, instance = DEFAULT_CONSOLE_URL, Instance(id=instance_id)
    try:
        organisation_id, console_url = client.organisation_id, client.console_url
        timezone = source.timezone or client.timezone
        instance = client.instance(instance_id)
    except Exception as error:  # noqa: BLE001
        if _says_not_ours(error):
            logger.debug("No DAG for instance %s: %s", instance_id, error)
            return None
        if _never_had(source, instance_id):
            logger.warning(
                "No DAG for instance %s: it is not in snapshot %s, and connection %r cannot be asked for it: %s.",
                instance_id,
                source.store,
                source.mics_conn_id,
                one_line_of(error),
            )
            return None
        logger.warning("Only the id of instance %s is known: %s.", instance_id, one_line_of(error))
    if instance.organisation_id not in (None, organisation_id) and organisation_id is not None:
        return None
    since = {} if instance.last_modified_ts is None else {instance_id: instance.last_modified_ts}
    return Inventory(organisation_id, timezone, console_url, datetime.now(UTC), (instance,), since)


def is_id_only(instance: Instance) -> bool:
    """Whether only the id of an instance is known."""
    return instance.model_fields_set == {"id"}


def _says_not_ours(error: Exception) -> bool:
    return (
        isinstance(error, MicsApiError)
        and error.status_code in NOT_OURS_STATUS_CODES
        and not is_outage(error)
    )


def _never_had(source: InventorySource, instance_id: str) -> bool:
    """Whether there is a whole snapshot of ours, and it never had an instance."""
    known = source.read()
    return (
        known is not None
        and source.store.is_ours(known)
        and known.whole_at is not None
        and known.get(instance_id) is None
        and instance_id not in known.gone
    )
