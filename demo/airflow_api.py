"""What the demo asks a running Airflow 3, through its public REST API."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from tenacity import retry, stop_after_attempt, wait_fixed
from urllib3.util import Retry

SECONDS = 30


class AirflowApi:
    """The REST API of one Airflow, as one user."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self._login = {"username": user, "password": password}
        self._session = requests.Session()
        self._session.trust_env = False
        # A machine that is busy answers late: asking again does no harm.
        patient = Retry(
            total=6, backoff_factor=1, status_forcelist=(500, 502, 503, 504), allowed_methods=["GET"]
        )
        self._session.mount("http://", HTTPAdapter(max_retries=patient))

    def is_healthy(self) -> bool:
        """Whether every component of Airflow says it is."""
        try:
            health = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=SECONDS).json()
        except (requests.RequestException, ValueError):
            return False
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        return all((health.get(part) or {}).get("status") == "healthy" for part in parts)

    def log_in(self) -> None:
        answer = self._session.post(f"{self.url}/auth/token", json=self._login, timeout=SECONDS)
        answer.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def dags(self) -> dict[str, dict[str, Any]]:
        """The DAGs there are, by id."""
        return {each["dag_id"]: each for each in self._get("dags", limit=100)["dags"]}

    def import_errors(self) -> list[str]:
        return [each["stack_trace"] for each in self._get("importErrors")["import_errors"]]

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The runs of a DAG, the newest first."""
        runs: list[dict[str, Any]] = self._get(f"dags/{dag_id}/dagRuns", order_by="-run_after", limit=50)[
            "dag_runs"
        ]
        return runs

    @retry(stop=stop_after_attempt(6), wait=wait_fixed(2), reraise=True)
    def trigger(self, dag_id: str) -> None:
        """Start a run by hand, as the button does."""
        # The run has a name, so that one whose answer was lost is not started again: then it is there (409).
        body = {"dag_run_id": f"manual__demo_{dag_id}", "logical_date": None}
        url = f"{self.url}/api/v2/dags/{dag_id}/dagRuns"
        answer = self._session.post(url, json=body, timeout=SECONDS)
        if answer.status_code != requests.codes.conflict:
            answer.raise_for_status()

    def task(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        return self._get(f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}")

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str) -> Any:
        """A value the task wrote, or None."""
        path = f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}/xcomEntries/{key}"
        answer = self._session.get(f"{self.url}/api/v2/{path}", timeout=SECONDS)
        return answer.json().get("value") if answer.ok else None

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> str:
        path = f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}/logs/{try_number}"
        lines = self._get(path, full_content="true")["content"]
        return "\n".join(
            str(line.get("event", line)) if isinstance(line, dict) else str(line) for line in lines
        )

    def _get(self, path: str, **query: Any) -> Any:
        answer = self._session.get(f"{self.url}/api/v2/{path}", params=query, timeout=SECONDS)
        answer.raise_for_status()
        return answer.json()
