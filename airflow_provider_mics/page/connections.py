"""The connections of Airflow, as the API server reads them, and the snapshots of the inventory on its machine."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

from airflow.configuration import AIRFLOW_HOME
from airflow.models.connection import Connection

from airflow_provider_mics.api.calls import Job
from airflow_provider_mics.api.clients import MicsClient
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.core.planning.inventory import Inventory, UnreadableInventoryError
from airflow_provider_mics.dag_factory.snapshot_store import FOLDER
from airflow_provider_mics.page.batches import Source
from airflow_provider_mics.page.platform_reading import PlatformState, read_platform
from airflow_provider_mics.runtime.connection import ConnectionSettings, unreadable_connection
from airflow_provider_mics.runtime.failures import one_line_of

T = TypeVar("T")
CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 20.0
"""Seconds, for each request."""
logger = logging.getLogger(__name__)


def settings_of(source: Source) -> ConnectionSettings:
    """Return the settings of a connection, read now.

    :raises MicsError: it cannot be read, or a setting cannot be used
    """
    try:
        connection = Connection.get_connection_from_secrets(source.conn_id)
    except Exception as error:  # noqa: BLE001 - whatever a secrets backend raises
        raise unreadable_connection(source.conn_id, error) from None
    return ConnectionSettings.of(connection)


def run(source: Source, job: Job[T]) -> T:
    """Run a call or flow for an organisation. No request is sent again.

    :raises MicsError: any failure, as one line
    """
    return _run(settings_of(source), source, job)


def _run(settings: ConnectionSettings, source: Source, job: Job[T]) -> T:
    with settings.make_client(
        MicsClient,
        source.organisation_id,
        logger,
        timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
        max_retries=0,
    ) as client:
        return client.run(job)


def read_source(source: Source, previous: PlatformState | None) -> PlatformState:
    """Return the state of an organisation. An outage leaves what was known, at first the snapshot's instances."""
    state = previous or PlatformState()
    try:
        settings = settings_of(source)
        organisation_id = source.organisation_id or settings.organisation_id
        file = newest_snapshot(settings.host, organisation_id)
        state = state.of_connection(
            host=settings.host,
            organisation_id=organisation_id,
            timezone=settings.timezone,
            console_url=settings.console_url,
            inventory_at=None if file is None else file.inventory.fetched_at,
        )
        if file is not None and not state.instances and state.instances_read_at is None:
            state = state.with_instances(Inventory.from_bytes(file.path.read_bytes()).instances)
        return _run(settings, source, read_platform(state))
    except (MicsError, OSError) as error:
        return state.failed(one_line_of(error), datetime.now(UTC))


class SnapshotFile(NamedTuple):
    """A snapshot of the factory's inventory, or its copy. ``inventory`` has no instances."""

    path: Path
    inventory: Inventory


def newest_snapshot(host: str, organisation_id: str | None) -> SnapshotFile | None:
    """Return the newest snapshot of an organisation on this machine; None where DAGs are parsed elsewhere."""
    files = (_snapshot_in(path) for path in Path(AIRFLOW_HOME, FOLDER).glob("inventory-*"))
    found = [
        each
        for each in files
        if each is not None
        and each.inventory.host is not None
        and each.inventory.is_of(host, organisation_id)
    ]
    return max(found, key=lambda each: each.inventory.fetched_at, default=None)


def _snapshot_in(path: Path) -> SnapshotFile | None:
    if path.suffix not in (".jsonl", ".copy"):
        return None
    try:
        with path.open("rb") as file:
            return SnapshotFile(path, Inventory.of_header(file.readline()))
    except (OSError, UnreadableInventoryError):
        return None
