"""Instances and inventories for tests."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from airflow_provider_mics.api.field_types import milliseconds
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.core.planning.inventory import Inventory
from airflow_provider_mics.core.planning.inventory_updates import Listing, updated_inventory
from tests.core.planning.wall_clock_oracle import utc

CONSOLE = "https://console.test"
MODIFIED = utc(2026, 1, 10, 9, 15)
FETCHED = utc(2026, 3, 1, 12)


def instance(number: int | str = 42, modified: datetime | None = MODIFIED, **fields: Any) -> Instance:
    """An active instance, as the platform's JSON gives it."""
    known = {
        "id": str(number),
        "organisation_id": "1185",
        "name": f"batch {number}",
        "group_id": "com.acme",
        "artifact_id": "import",
        "version_id": "77",
        "version_value": "1.2.0",
        "cron": "30 5 * * *",
        "cron_status": "ACTIVE",
        "archived": False,
        "last_modified_ts": None if modified is None else milliseconds(modified),
        "something_new": {"kept": [1, 2]},
    }
    return Instance.model_validate(known | fields)


def inventory(
    *instances: Instance,
    previous: Inventory | None = None,
    fetched_at: datetime = FETCHED,
    timezone: str = "Europe/Paris",
    organisation_id: str = "1185",
    host: str = "https://platform.test",
    gone: Collection[str] = (),
    source: str | None = None,
) -> Inventory:
    return updated_inventory(
        previous,
        Listing(instances, gone=frozenset(gone)),
        host=host,
        organisation_id=organisation_id,
        timezone=timezone,
        console_url=CONSOLE,
        fetched_at=fetched_at,
        source=source,
    )
