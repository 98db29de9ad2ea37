"""Airflow connections to a sandbox, as ``AIRFLOW_CONN_...`` holds them."""

from __future__ import annotations

import json
from typing import Any

from tests.sandbox_server import SandboxServer


def connection_to(sandbox: SandboxServer, extra: dict[str, Any] | None = None, **fields: Any) -> str:
    """A good connection in JSON, but for what is given otherwise."""
    connection = {
        "conn_type": "mediarithmics",
        "host": sandbox.url,
        "password": sandbox.token,
        "extra": {"organisation_id": sandbox.organisation_id} | (extra or {}),
    }
    return json.dumps(connection | fields)
