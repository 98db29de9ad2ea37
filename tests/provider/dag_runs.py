"""Runs a DAG file for real, by ``dag.test()`` in a process of its own, and reads from the database what became of it.

The same on Airflow 2.11 and 3.3. ``dag.test()`` has no scheduler and no triggerer: a deferred task's trigger runs in
line, ``defer(kwargs=...)`` is dropped, nothing is cancelled, and on 2.11 a trigger that raises in a task with retries
loops until the time limit. What depends on these needs a real Airflow.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from local_airflow.home import environ_for
from tests.forked import ForkedProcess, start_server

RUN_LIMIT_SECONDS = 400
RUNNER = "tests.provider.run_dag_file"
LINK = Path(tempfile.mkdtemp(prefix="airflow-link-"), "home")
"""The AIRFLOW_HOME of the process that runs are forked from: a link, which leads to the home of the run that begins."""
SETTINGS = {"AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1"}
"""No run waits five minutes for a retry whose delay its DAG leaves to Airflow."""


@dataclass(frozen=True)
class TaskRun:
    task_id: str
    map_index: int
    state: str | None
    try_number: int


@dataclass(frozen=True)
class DagRun:
    """What became of one run, and everything that was logged meanwhile."""

    dag_id: str
    run_id: str
    state: str
    tasks: tuple[TaskRun, ...]
    xcoms: Mapping[tuple[str, int, str], Any]
    log: str

    def task(self, task_id: str, map_index: int = -1) -> TaskRun:
        return next(task for task in self.tasks if (task.task_id, task.map_index) == (task_id, map_index))

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """None where the task left none under this key."""
        return self.xcoms.get((task_id, map_index, key))


@dataclass(frozen=True)
class DagFolder:
    """An AIRFLOW_HOME with a dags folder for one test. Airflow 3 runs only what lies in that folder, and parses all."""

    home: Path

    def __post_init__(self) -> None:
        from tests.airflow_names import DAG

        if not hasattr(DAG, "test"):
            pytest.skip("Airflow 3.0.0 has no dag.test() for the DAGs of airflow.sdk")

    def write(self, source: str, name: str = "dag_under_test.py") -> Path:
        file = self.home / "dags" / name
        file.write_text(source)
        return file

    def run(
        self,
        source: str | Path,
        *,
        dag_id: str | None = None,
        conf: Mapping[str, Any] | None = None,
        logical_date: datetime | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> DagRun:
        """Runs the DAG of this source, or of a file that lies in the folder.

        :param dag_id: which one, where the file has several
        :param logical_date: aware; now, where it is not given
        :param environ: variables besides those of this process, which hold its ``AIRFLOW_CONN_...``
        """
        file = self.write(source) if isinstance(source, str) else source
        before = self._last_run()
        request = {
            "file": str(file.relative_to(self.home)),
            "dag_id": dag_id,
            "conf": dict(conf or {}),
            "logical_date": logical_date.isoformat() if logical_date else None,
        }
        log = self._start(request, environ or {})
        with closing(sqlite3.connect(self.home / "airflow.db")) as database:
            return _read(database, before, log)

    def _start(self, request: Mapping[str, Any], environ: Mapping[str, str]) -> str:
        # A setting is read when Airflow is imported, so a run with other ones needs a process that begins without.
        run = _run_anew if any(name.startswith("AIRFLOW__") for name in environ) else _run_forked
        code, output = run(self.home, json.dumps(request), environ)
        if code:
            msg = f"{request['file']} could not be run (exit code {code}):\n{output[-6000:]}"
            raise AssertionError(msg)
        return output

    def _last_run(self) -> int:
        with closing(sqlite3.connect(self.home / "airflow.db")) as database:
            return int(database.execute("SELECT coalesce(max(id), 0) FROM dag_run").fetchone()[0])


def start_fork_server(home: Path) -> None:
    """Begin to import what a run needs. It takes some seconds, in a process beside this one."""
    _lead_to(home)
    start_server("tests.provider.preloaded", environ=environ_for(LINK) | SETTINGS)


def _run_anew(home: Path, request: str, environ: Mapping[str, str]) -> tuple[int | None, str]:
    done = subprocess.run(
        [sys.executable, "-m", RUNNER, request],
        check=False,
        env=environ_for(home) | SETTINGS | dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_LIMIT_SECONDS,
    )
    return done.returncode, done.stdout


def _lead_to(home: Path) -> None:
    LINK.unlink(missing_ok=True)
    LINK.symlink_to(home)


def _run_forked(home: Path, request: str, environ: Mapping[str, str]) -> tuple[int | None, str]:
    _lead_to(home)
    process = ForkedProcess(RUNNER, [request], environ_for(LINK) | SETTINGS | dict(environ))
    limit = threading.Timer(RUN_LIMIT_SECONDS, process.send_signal, [signal.SIGKILL])
    limit.start()
    try:
        with process.output:
            output = process.output.read()
        return process.wait(), output
    finally:
        limit.cancel()


def _read(database: sqlite3.Connection, before: int, log: str) -> DagRun:
    newer = "SELECT dag_id, run_id, state FROM dag_run WHERE id > ? ORDER BY id LIMIT 1"
    dag_id, run_id, state = database.execute(newer, (before,)).fetchone()
    tasks = database.execute(
        "SELECT task_id, map_index, state, try_number FROM task_instance WHERE dag_id = ? AND run_id = ?",
        (dag_id, run_id),
    )
    # 2.11 keeps the JSON as bytes; 3.x in a JSON column, where SQLite makes a number of "42".
    xcoms = database.execute(
        "SELECT task_id, map_index, key, CAST(value AS TEXT) FROM xcom WHERE dag_id = ? AND run_id = ?",
        (dag_id, run_id),
    )
    return DagRun(
        dag_id=dag_id,
        run_id=run_id,
        state=state,
        tasks=tuple(TaskRun(*row) for row in tasks),
        xcoms={(task_id, index, key): json.loads(value) for task_id, index, key, value in xcoms},
        log=log,
    )
