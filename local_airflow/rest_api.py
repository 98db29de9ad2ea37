"""The public REST API of a running Airflow 3, as one user."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

SECONDS = 30


class AirflowApi:
    """Asks as a person does in the pages of Airflow.

    :param login: user and password, where not everyone is an administrator
    """

    def __init__(self, url: str, login: tuple[str, str] | None = None) -> None:
        self.url = url
        self._login = login
        self._session = requests.Session()
        self._session.trust_env = False
        # A machine that is busy answers late: asking again does no harm.
        patient = Retry(
            total=6,
            connect=0,
            backoff_factor=1,
            status_forcelist=(500, 502, 503, 504),
            allowed_methods=["GET"],
        )
        self._session.mount("http://", HTTPAdapter(max_retries=patient))

    def close(self) -> None:
        self._session.close()

    def is_healthy(self) -> bool:
        """Whether every component of Airflow says that it is."""
        try:
            health = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=SECONDS).json()
        except (requests.RequestException, ValueError):
            return False
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        return all((health.get(part) or {}).get("status") == "healthy" for part in parts)

    def dags(self) -> dict[str, dict[str, Any]]:
        """The DAGs there are, by id."""
        return {each["dag_id"]: each for each in self._ask("GET", "dags?limit=100")["dags"]}

    def import_errors(self) -> list[str]:
        return [each["stack_trace"] for each in self._ask("GET", "importErrors")["import_errors"]]

    def add_connection(self, connection: dict[str, Any]) -> None:
        """Store a connection in Airflow's database."""
        self._ask("POST", "connections", connection)

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The latest runs of a DAG, the newest first."""
        path = f"dags/{dag_id}/dagRuns?order_by=-run_after&limit=50"
        runs: list[dict[str, Any]] = self._ask("GET", path)["dag_runs"]
        return runs

    def count_runs(self, *, state: str, dag_id: str = "~") -> int:
        """How many runs of a DAG, or of all, are in a state."""
        return int(self._ask("GET", f"dags/{dag_id}/dagRuns?state={state}&limit=1")["total_entries"])

    def count_tasks(self, *, state: str) -> int:
        """How many task instances are in a state."""
        path = f"dags/~/dagRuns/~/taskInstances?state={state}&limit=1"
        return int(self._ask("GET", path)["total_entries"])

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> str | None:
        """Start a run by hand; its id. None where Airflow does not know the DAG yet, or does not answer."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        try:
            self._ask("POST", f"dags/{dag_id}/dagRuns", body)
        except requests.HTTPError as refusal:
            return run_id if refusal.response.status_code == requests.codes.conflict else None
        except requests.RequestException:
            return None
        return run_id

    def run_state(self, dag_id: str, run_id: str) -> str:
        return str(self._ask("GET", f"dags/{dag_id}/dagRuns/{quote(run_id)}")["state"])

    def task(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        task: dict[str, Any] = self._ask("GET", _task_path(dag_id, run_id, task_id, map_index))
        return task

    def task_state(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str | None:
        state = self.task(dag_id, run_id, task_id, map_index)["state"]
        return None if state is None else str(state)

    def set_task_state(self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1) -> None:
        """Mark a task, as a person does."""
        self._ask("PATCH", _task_path(dag_id, run_id, task_id, map_index), {"new_state": state})

    def clear_task(self, dag_id: str, run_id: str, task_id: str) -> None:
        what = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False}
        self._ask("POST", f"dags/{dag_id}/clearTaskInstances", what)

    def link(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
        """Where the link to the instance leads; empty where it leads nowhere yet."""
        path = f"{_task_path(dag_id, run_id, task_id)}/links?map_index={map_index}"
        links: dict[str, str | None] = self._ask("GET", path)["extra_links"]
        return links["mediarithmics instance"] or ""

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str) -> Any:
        """A value that the task wrote, or None."""
        try:
            return self._ask("GET", f"{_task_path(dag_id, run_id, task_id)}/xcomEntries/{key}").get("value")
        except requests.HTTPError:
            return None

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> str:
        path = f"{_task_path(dag_id, run_id, task_id)}/logs/{try_number}?full_content=true"
        lines = self._ask("GET", path)["content"]
        return "\n".join(
            str(line.get("event", line)) if isinstance(line, dict) else str(line) for line in lines
        )

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        if "Authorization" not in self._session.headers:
            self._session.headers["Authorization"] = f"Bearer {self._new_token()}"
        answer = self._session.request(method, f"{self.url}/api/v2/{path}", json=body, timeout=SECONDS)
        if not answer.ok:
            raise requests.HTTPError(f"{method} {path}: {answer.status_code} {answer.text}", response=answer)
        return answer.json()

    def _new_token(self) -> str:
        url = f"{self.url}/auth/token"
        if self._login is None:
            answer = self._session.get(url, timeout=SECONDS)
        else:
            user, password = self._login
            answer = self._session.post(url, json={"username": user, "password": password}, timeout=SECONDS)
        answer.raise_for_status()
        return str(answer.json()["access_token"])


def _task_path(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
    path = f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}"
    return path if map_index < 0 else f"{path}/{map_index}"
