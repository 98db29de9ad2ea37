"""The Airflow plugin of this package: models in XCom, the timetable of generated DAGs, and the page of all batches.

Airflow loads plugins in every process, also where no DAG file imports this package.
"""

from __future__ import annotations

from typing import Any

from airflow import __version__ as airflow_version
from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from airflow_provider_mics.page.registration import log_why_not, plugin_attributes
from airflow_provider_mics.runtime.xcom_models import allow_in_xcom
from airflow_provider_mics.timetables import MicsCronTimetable


class MicsPlugin(AirflowPlugin):
    """Registered by the entry point ``airflow.plugins``."""

    name = "mediarithmics"
    timetables = [MicsCronTimetable]  # noqa: RUF012 - as Airflow's own class has it

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        allow_in_xcom()
        log_why_not(airflow_version)


_BASE_URL = conf.get("api", "base_url", fallback=None)
for _name, _value in plugin_attributes(airflow_version, _BASE_URL).items():
    setattr(MicsPlugin, _name, _value)
