"""What a person does with the buttons of Airflow 2.11, by a process that calls the functions behind them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from local_airflow.processes import Processes


class Airflow2:
    """The same methods as `AirflowApi`, as far as tests on 2.11 use them."""

    def __init__(self, processes: Processes, environ: Mapping[str, str]) -> None:
        self._processes = processes
        self._environ = environ
        self._console: subprocess.Popen[bytes] | None = None

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> str | None:
        return self._ask("trigger", dag_id, run_id, conf)

    def set_task_state(self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1) -> None:
        self._ask("set_task_state", dag_id, run_id, task_id, state, map_index)

    def clear_task(self, dag_id: str, run_id: str, task_id: str) -> None:
        self._ask("clear_task", dag_id, run_id, task_id)

    def task_state(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str | None:
        return self._ask("task_state", dag_id, run_id, task_id, map_index)

    def link(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
        return str(self._ask("link", dag_id, run_id, task_id, map_index))

    def close(self) -> None:
        if self._console is not None and self._console.stdin is not None:
            self._console.stdin.close()

    def _ask(self, *request: Any) -> Any:
        if self._console is None:
            streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            self._console = self._processes.start(
                "buttons", ["-m", "local_airflow.airflow2_buttons"], self._environ, **streams
            )
        assert self._console.stdin is not None
        assert self._console.stdout is not None
        self._console.stdin.write(json.dumps(request).encode() + b"\n")
        self._console.stdin.flush()
        for line in self._console.stdout:
            if line.startswith(b"answer: "):
                return json.loads(line.removeprefix(b"answer: "))
        raise AssertionError(f"the process of the buttons ended at {request}")
