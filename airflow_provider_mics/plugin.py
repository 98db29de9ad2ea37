"""The Airflow plugin of this package: XCom may carry what `MicsHook` returns, and DAGs may have our timetable.

Airflow loads plugins in every process, also where no DAG file imports this package.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_mics.runtime.xcom_models import allow_in_xcom
from airflow_provider_mics.timetables import MicsCronTimetable


class MicsPlugin(AirflowPlugin):
    """Registered by the entry point ``airflow.plugins``."""

    name = "mediarithmics"
    timetables = [MicsCronTimetable]  # noqa: RUF012 - as Airflow's own class has it

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        allow_in_xcom()
