"""What a run of a DAG needs of Airflow, imported and built before any of them begins. See `tests.forked`."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any

from sqlalchemy.orm import configure_mappers

MODULES = (
    "tests.airflow_names",
    "airflow.providers.standard.operators.python",
    "airflow.providers.standard.sensors.external_task",
    "airflow.dag_processing.bundles.local",
    "airflow.dag_processing.collection",
    "airflow.dag_processing.dagbag",
    "airflow.models.dag_favorite",
    "airflow.models.dagbag",
    "airflow.models.dagrun",
    "airflow.models.taskinstance",
    "airflow.models.xcom",
    "airflow.jobs.triggerer_job_runner",
    "airflow.sdk.execution_time.task_runner",
    "airflow_provider_mics.operators",
    "airflow_provider_mics.sensors",
    "airflow_provider_mics.plugin",
    "airflow_provider_mics.dag_factory",
    "a2wsgi",
    "tests.provider.run_dag_file",
)


async def _ask(app: Any) -> None:
    """Let the API build its versions, which it does when it is first asked, without opening a socket."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "headers": [],
    }
    scope |= {
        "path": "/health",
        "raw_path": b"/health",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
    }
    scope |= {"server": ("localhost", 80), "client": ("localhost", 1)}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        pass

    await app(scope, receive, send)


for name in MODULES:
    with suppress(ModuleNotFoundError):  # each line of Airflow has some of them
        import_module(name)

configure_mappers()

with suppress(ImportError, AttributeError):
    from airflow.sdk.execution_time import supervisor

    # One API for all tasks of a run, as Airflow 3.3 has it. Before, each task takes the seconds to build its own.
    supervisor.in_process_api_server = cache(supervisor.in_process_api_server)
    asyncio.run(_ask(supervisor.in_process_api_server().app))
