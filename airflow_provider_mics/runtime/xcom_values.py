"""What tasks of this package return, as Airflow stores it."""

from __future__ import annotations

from typing import Any

from airflow_provider_mics.api.json_size import shortened
from airflow_provider_mics.api.models import Resource

XCOM_LIMIT = 48 * 1024
"""Bytes, as JSON. A column of some databases behind Airflow takes 64 KiB, and XCom is not meant for more."""


def xcom_value(resource: Resource) -> dict[str, Any]:
    """Return a resource as JSON of a bounded size; where a text or list was cut, it says so."""
    value: dict[str, Any] = shortened(resource.to_json(), XCOM_LIMIT)
    return value
