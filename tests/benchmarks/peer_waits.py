"""Waits of other providers for Airflow, each as its own deferrable operator makes it, against the same platform."""

from __future__ import annotations

import importlib.util
import json
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

Wait = Callable[[str, str], Awaitable[Any]]


async def wait_with_dbt_cloud(url: str, execution_id: str) -> None:
    from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
    from airflow.providers.dbt.cloud.triggers.dbt import DbtCloudRunJobTrigger

    if _connect("dbt_cloud_default", url, conn_type="dbt_cloud", login="1"):
        ask = DbtCloudHook.get_request_url_params

        def ask_without_tls(*arguments: Any, **named: Any) -> tuple[str, dict[str, Any]]:
            address, query = ask(*arguments, **named)
            return address.replace("https://", "http://", 1), query

        # It knows no other scheme than https.
        DbtCloudHook.get_request_url_params = staticmethod(ask_without_tls)
    deadline = time.time() + 3600
    await _first_event(
        DbtCloudRunJobTrigger("dbt_cloud_default", int(execution_id), deadline, _interval(), account_id=1)
    )


async def wait_with_http_sensor(url: str, execution_id: str) -> None:
    from airflow.providers.http.triggers.http import HttpSensorTrigger

    _connect("http_default", url, conn_type="http")
    await _first_event(HttpSensorTrigger(f"until-over/{execution_id}", poke_interval=_interval()))


async def wait_with_databricks(url: str, execution_id: str) -> None:
    from airflow.providers.databricks.triggers.databricks import DatabricksExecutionTrigger

    _connect("databricks_default", url, conn_type="databricks", schema="http")
    await _first_event(
        DatabricksExecutionTrigger(
            int(execution_id), "databricks_default", polling_period_seconds=int(_interval())
        )
    )


def present() -> dict[str, Wait]:
    """The waits whose providers are installed."""
    rows = {
        "dbt Cloud": ("airflow.providers.dbt", wait_with_dbt_cloud),
        "HttpSensor": ("airflow.providers.http", wait_with_http_sensor),
        "Databricks": ("airflow.providers.databricks", wait_with_databricks),
    }
    if importlib.util.find_spec("airflow.providers") is None:
        return {}
    return {name: wait for name, (package, wait) in rows.items() if importlib.util.find_spec(package)}


def _interval() -> float:
    from tests.benchmarks.bench_polling import INTERVAL

    return INTERVAL


def _connect(conn_id: str, url: str, **fields: Any) -> bool:
    """Make a connection, and return whether there was none."""
    name = f"AIRFLOW_CONN_{conn_id.upper()}"
    if name in os.environ:
        return False
    address = urlsplit(url)
    host = {"host": address.hostname, "port": address.port}
    if fields["conn_type"] == "dbt_cloud":
        host = {"host": address.netloc}
    os.environ[name] = json.dumps({"password": "benchmark-token", **host, **fields})
    return True


async def _first_event(trigger: Any) -> None:
    async for event in trigger.run():
        assert "error" not in str(event.payload).lower().replace("'errors': []", ""), event
        return
