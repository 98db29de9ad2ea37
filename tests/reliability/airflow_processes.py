"""A real Airflow 3 on SQLite, each of its parts a process that can be stopped, killed and started on its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import psutil

from tests.provider.airflow_home import environ_for

PARTS = ("api-server", "scheduler", "dag-processor", "triggerer")
STOP_S = 20
START_S = 240


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class AirflowProcesses:
    """The parts of one Airflow, in ``home``, whose database is migrated."""

    def __init__(self, home: Path, environ: dict[str, str]) -> None:
        self.home = home
        self._environ = environ_for(home) | _settings(home) | environ
        self._parts: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self.start("api-server")
        self.until("the API server", self._answers, START_S)
        for part in PARTS[1:]:
            self.start(part)
        return self

    def _answers(self) -> bool:
        host, port = "127.0.0.1", int(self._environ["AIRFLOW__API__PORT"])
        try:
            socket.create_connection((host, port), timeout=2).close()
        except OSError:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        for part in list(self._parts):
            self._end(part, signal.SIGTERM)

    def start(self, part: str) -> None:
        with self.log(part).open("ab") as log:
            self._parts[part] = subprocess.Popen(
                [sys.executable, "-m", "airflow", part],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self, part: str) -> None:
        """As a deployment does, with SIGTERM."""
        self._end(part, signal.SIGTERM)

    def kill(self, part: str) -> None:
        """SIGKILL, with all that it started."""
        self._end(part, signal.SIGKILL)

    def log(self, part: str) -> Path:
        return self.home / f"{part}.log"

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(
            sqlite3.connect(f"file:{self.home / 'airflow.db'}?mode=ro", uri=True, timeout=30)
        ) as database:
            return database.execute(query, values).fetchall()

    def until(self, what: str, holds: Callable[[], Any], seconds: float) -> Any:
        """Wait until a condition holds, and give what it gave."""
        deadline = time.monotonic() + seconds
        while not (value := holds()):
            ended = [part for part, process in self._parts.items() if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                tails = {part: self.log(part).read_text(errors="replace")[-1500:] for part in ended or PARTS}
                raise AssertionError(f"{what}: not within {seconds:.0f} s, ended: {ended}\n{tails}")
            time.sleep(0.5)
        return value

    def _end(self, part: str, how: signal.Signals) -> None:
        process = self._parts.pop(part)
        family = _family(process.pid)
        for each in family if how == signal.SIGKILL else family[:1]:
            _signal(each, how)
        _, alive = psutil.wait_procs(family, timeout=STOP_S)
        for each in alive:
            _signal(each, signal.SIGKILL)
        process.wait(STOP_S)


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _signal(process: psutil.Process, how: signal.Signals) -> None:
    try:
        process.send_signal(how)
    except psutil.NoSuchProcess:
        return


def _settings(home: Path) -> dict[str, str]:
    port = free_port()
    passwords = home / "passwords.json"
    passwords.write_text('{"admin": "admin"}')
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-of-this-test-that-is-long-enough-for-a-signature-by-sha512",
        "AIRFLOW__API__SECRET_KEY": "another-secret-of-this-test",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        # A killed scheduler or triggerer is taken for dead soon, so that its successor takes over what it had.
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    }


def home_of(migrated: Path, home: Path, dag_file: str) -> Path:
    """A home with one DAG file."""
    (home / "dags").mkdir(parents=True)
    for name in ("airflow.db", "airflow.cfg"):
        if (migrated / name).exists():
            shutil.copy2(migrated / name, home / name)
    (home / "dags" / "batches.py").write_text(dag_file)
    return home
