"""A whole Airflow of a test's own: its components as processes, on SQLite and free ports of loopback.

Airflow 3 is used as a person does, through its REST API. On 2.11, which would need a web server and its login for
that, another process calls the functions behind its buttons (``airflow2_console.py``).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import psutil
import requests
from airflow import __version__ as airflow_version

from tests.provider.airflow_home import environ_for

IS_AIRFLOW_2 = airflow_version.startswith("2.")
COMPONENTS = (
    ("scheduler", "triggerer") if IS_AIRFLOW_2 else ("api-server", "scheduler", "dag-processor", "triggerer")
)
START_SECONDS = 150
END_SECONDS = 20


class RunningAirflow:
    """Started with ``with``; ended, with all its processes, on leaving it."""

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        self.home = home
        self.port = _free_port()
        self._environ = environ_for(home) | self._settings() | dict(environ)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._person = _PersonOn2(self) if IS_AIRFLOW_2 else _PersonOn3(self)

    def __enter__(self) -> Self:
        for name in COMPONENTS:
            self.start(name)
        return self

    def __exit__(self, *_: object) -> None:
        self._person.leave()
        for name in list(self._processes):
            self.stop(name, patience=END_SECONDS if name == "triggerer" else 5)

    def start(self, name: str) -> None:
        self._processes[name] = self.spawn(["-m", "airflow", name], name)

    def spawn(self, command: list[str], name: str, **streams: Any) -> subprocess.Popen[bytes]:
        with (self.home / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *command],
                env=self._environ,
                **{"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT} | streams,
                start_new_session=True,
            )

    def stop(self, name: str, patience: float = END_SECONDS) -> None:
        """SIGTERM, as a deploy does, and SIGKILL for what does not listen."""
        process = self._processes.pop(name)
        try:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            family = []
        process.send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs(family, timeout=patience)
        for each in left:
            each.kill()
        process.wait(END_SECONDS)

    def trigger(self, dag_id: str) -> str:
        """Start a run as the button does, as soon as Airflow knows the DAG; its run id."""
        return self.until(lambda: self._person.trigger(dag_id), START_SECONDS)

    def mark(self, dag_id: str, run_id: str, state: str, map_index: int = -1) -> None:
        """Set the state of the task ``run``, as a person does."""
        self._person.mark(dag_id, run_id, state, map_index)

    def clear(self, dag_id: str, run_id: str) -> None:
        """Clear the task ``run``, as a person does."""
        self._person.clear(dag_id, run_id)

    def state(self, dag_id: str, run_id: str, map_index: int = -1) -> str | None:
        """The state of the task ``run``."""
        return self._person.state(dag_id, run_id, map_index)

    def link(self, dag_id: str, run_id: str, map_index: int = -1) -> str:
        """Where the link of the task ``run`` leads; empty where it leads nowhere yet."""
        return self._person.link(dag_id, run_id, map_index)

    def until(self, holds: Callable[[], Any], seconds: float = 60) -> Any:
        """Wait until a condition holds, and give what it gave."""
        deadline = time.monotonic() + seconds
        while not (value := holds()):
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise AssertionError(f"{name} ended: {self.log(name)[-3000:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s; triggerer: {self.log('triggerer')[-3000:]}")
            time.sleep(0.2)
        return value

    def log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text(errors="replace")

    def task_log(self, dag_id: str) -> str:
        """All that the tries of a DAG's tasks and their triggers have logged, in any order."""
        files = sorted((self.home / "logs" / f"dag_id={dag_id}").rglob("*.log*"))
        return "\n".join(file.read_text(errors="replace") for file in files if file.is_file())

    def _settings(self) -> dict[str, str]:
        return {
            "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-of-this-test-and-long-enough-for-its-algorithm" * 2,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self.port}/execution/",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(_free_port()),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(_free_port()),
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__SCHEDULER__LOCAL_TASK_JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            # The executor of 2.11 starts its tasks by the command ``airflow``.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        }


class _PersonOn3:
    def __init__(self, airflow: RunningAirflow) -> None:
        self._url = f"http://127.0.0.1:{airflow.port}"
        self._session = requests.Session()
        self._session.trust_env = False

    def trigger(self, dag_id: str) -> str | None:
        try:
            return str(self._ask("POST", f"dags/{dag_id}/dagRuns", {"logical_date": None})["dag_run_id"])
        except requests.RequestException:
            return None

    def mark(self, dag_id: str, run_id: str, state: str, map_index: int) -> None:
        self._ask("PATCH", _task_path(dag_id, run_id, map_index), {"new_state": state})

    def clear(self, dag_id: str, run_id: str) -> None:
        what = {"dry_run": False, "dag_run_id": run_id, "task_ids": ["run"], "only_failed": False}
        self._ask("POST", f"dags/{dag_id}/clearTaskInstances", what)

    def state(self, dag_id: str, run_id: str, map_index: int) -> str | None:
        state = self._ask("GET", _task_path(dag_id, run_id, map_index))["state"]
        return None if state is None else str(state)

    def link(self, dag_id: str, run_id: str, map_index: int) -> str:
        path = f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/run/links?map_index={map_index}"
        links: dict[str, str | None] = self._ask("GET", path)["extra_links"]
        return links["mediarithmics instance"] or ""

    def leave(self) -> None:
        self._session.close()

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        if "Authorization" not in self._session.headers:
            token = self._session.get(f"{self._url}/auth/token", timeout=30)
            token.raise_for_status()
            self._session.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
        answer = self._session.request(method, f"{self._url}/api/v2/{path}", json=body, timeout=30)
        if not answer.ok:
            raise requests.HTTPError(f"{method} {path}: {answer.status_code} {answer.text}", response=answer)
        return answer.json()


class _PersonOn2:
    def __init__(self, airflow: RunningAirflow) -> None:
        self._airflow = airflow
        self._console: subprocess.Popen[bytes] | None = None

    def trigger(self, dag_id: str) -> str | None:
        return self._ask("trigger", dag_id)

    def mark(self, dag_id: str, run_id: str, state: str, map_index: int) -> None:
        self._ask("mark", dag_id, run_id, state, map_index)

    def clear(self, dag_id: str, run_id: str) -> None:
        self._ask("clear", dag_id, run_id)

    def state(self, dag_id: str, run_id: str, map_index: int) -> str | None:
        return self._ask("state", dag_id, run_id, map_index)

    def link(self, dag_id: str, run_id: str, map_index: int) -> str:
        return str(self._ask("link", dag_id, run_id, map_index))

    def leave(self) -> None:
        if self._console is not None and self._console.stdin is not None:
            self._console.stdin.close()
            self._console.wait(END_SECONDS)

    def _ask(self, *request: Any) -> Any:
        if self._console is None:
            script = str(Path(__file__).with_name("airflow2_console.py"))
            streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            self._console = self._airflow.spawn([script], "console", stderr=subprocess.DEVNULL, **streams)
        assert self._console.stdin is not None
        assert self._console.stdout is not None
        self._console.stdin.write(json.dumps(request).encode() + b"\n")
        self._console.stdin.flush()
        for line in self._console.stdout:
            if line.startswith(b"answer: "):
                return json.loads(line.removeprefix(b"answer: "))
        raise AssertionError(f"the console ended at {request}")


def _task_path(dag_id: str, run_id: str, map_index: int) -> str:
    path = f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/run"
    return path if map_index < 0 else f"{path}/{map_index}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
