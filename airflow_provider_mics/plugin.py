"""The Airflow plugin of this package: lets XCom carry what `MicsHook` returns.

Airflow loads plugins in every process that runs a task, also where the DAG file does not import this package.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import AirflowPlugin

from airflow_provider_mics.runtime.xcom_models import allow_in_xcom


class MicsPlugin(AirflowPlugin):
    """Registered by the entry point ``airflow.plugins``."""

    name = "mediarithmics"

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        allow_in_xcom()
