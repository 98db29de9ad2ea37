"""A whole Airflow: its components as processes, each of which can be stopped, killed and started on its own.

On free ports of the loopback, with a home whose database is migrated. Airflow 3 is used as a person does, through its
REST API. On 2.11, which would need a web server and its login for that, another process calls the functions behind its
buttons.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from local_airflow.airflow2 import Airflow2
from local_airflow.home import environ_for
from local_airflow.processes import Processes, free_port
from local_airflow.rest_api import AirflowApi

IS_AIRFLOW_2 = metadata.version("apache-airflow").startswith("2.")
HAS_PAGES = not metadata.version("apache-airflow").startswith(("2.", "3.0."))
"""Whether Airflow's UI shows the pages of a plugin."""
COMPONENTS = (
    ("scheduler", "triggerer") if IS_AIRFLOW_2 else ("api-server", "scheduler", "dag-processor", "triggerer")
)
START_SECONDS = 150
SOON_TAKEN_FOR_DEAD = {
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
}
"""Settings with which the successor of a killed scheduler or triggerer soon takes over what it had."""


class LocalAirflow:
    """Started with ``with``, and ended, with all its processes, on leaving it.

    :param home: its AIRFLOW_HOME, whose database is migrated
    :param environ: variables besides those of this process, such as connections and settings of Airflow
    :param port: of the API server of Airflow 3
    :param login: user and password of its administrator; without them everyone is one
    """

    def __init__(
        self,
        home: Path,
        environ: Mapping[str, str],
        *,
        port: int | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        self.home = home
        self.url = f"http://127.0.0.1:{port or free_port()}"
        self._environ = environ_for(home) | _settings(self.url) | _login_settings(home, login) | dict(environ)
        self._processes = Processes(home / "process_logs")
        if IS_AIRFLOW_2:
            self.api: AirflowApi | Airflow2 = Airflow2(self._processes, self._environ)
        else:
            self.api = AirflowApi(self.url, login)

    def __enter__(self) -> Self:
        for name in COMPONENTS:
            self.start(name)
        return self

    def __exit__(self, *_: object) -> None:
        self.api.close()
        self._processes.end(5)

    def start(self, component: str, name: str | None = None) -> None:
        """Start a component.

        :param name: what it is called here, where a component is to run more than once
        """
        self._processes.start(name or component, ["-m", "airflow", component], self._environ)

    def stop(self, name: str) -> None:
        """Send SIGTERM, as a deployment does."""
        self._processes.stop(name, seconds=20)

    def kill(self, name: str) -> None:
        self._processes.kill(name)

    def ended(self) -> str | None:
        """The name of a component that ended by itself, with the end of its log. None while all go on."""
        return self._processes.ended()

    def log(self, name: str) -> str:
        """What a component has written."""
        return self._processes.log(name)

    def task_log(self, dag_id: str) -> str:
        """All that the tries of a DAG's tasks and their triggers have logged, in any order."""
        files = sorted((self.home / "logs" / f"dag_id={dag_id}").rglob("*.log*"))
        return "\n".join(file.read_text(errors="replace") for file in files if file.is_file())

    def until(self, holds: Callable[[], Any], seconds: float = 60) -> Any:
        """Wait until a condition holds, and return what it returned.

        :raises AssertionError: not in time, or a component ended
        """
        deadline = time.monotonic() + seconds
        while not (value := holds()):
            if ended := self.ended():
                raise AssertionError(ended)
            if time.monotonic() > deadline:
                tails = "\n".join(f"{name}: {self.log(name)[-1500:]}" for name in COMPONENTS)
                raise AssertionError(f"not within {seconds} s\n{tails}")
            time.sleep(0.2)
        return value

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run as the button does, as soon as Airflow knows the DAG; its run id."""
        # The run has a name, so that one whose answer was lost is not started again.
        run_id = f"manual__{uuid4().hex}"
        self.until(lambda: self.api.trigger(dag_id, run_id, dict(conf or {})), START_SECONDS)
        return run_id


def _settings(url: str) -> dict[str, str]:
    return {
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": url.rpartition(":")[2],
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        # The executor of 2.11 starts its tasks by the command ``airflow``.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }


def _login_settings(home: Path, login: tuple[str, str] | None) -> dict[str, str]:
    if login is None:
        return {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True"}
    user, password = login
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps({user: password}))
    return {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{user}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
    }
