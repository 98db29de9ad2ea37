"""A whole Airflow 3 with the page, a sandbox behind it, and users with different rights."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import requests

from airflow_provider_mics.page.registration import URL_PREFIX
from local_airflow.components import LocalAirflow
from tests.provider.mics_connections import connection_to
from tests.sandbox_server import SandboxServer

USERS = {"admin": "admin", "vera": "viewer"}
MARKUP = "<img src=x onerror=\"document.title='owned'\"><b>bold"
SECRET = "hunter2-of-the-partner"
WITHOUT_DAG = "has no dag"
DAG_FILE = f"""
from datetime import timedelta

from airflow_provider_mics.dag_factory import integration_batch_dags

globals().update(integration_batch_dags(  # airflow: every instance but one is a dag
    select=lambda instance: instance.name != {WITHOUT_DAG!r}, snapshot_ttl=2, poll_interval=0.2,
    # The first task of an API server can be too early for it: it makes its routes for tasks at their first request.
    default_args={{"retries": 5, "retry_delay": timedelta(seconds=1)}},
))
"""
NIGHTLY = "0 3 * * *"


@dataclass
class Lab:
    """What runs, and the ids of the instances by what they are for."""

    sandbox: SandboxServer
    airflow: LocalAirflow
    ids: dict[str, str]

    @property
    def url(self) -> str:
        return f"{self.airflow.url}{URL_PREFIX}"

    def path(self, name: str) -> str:
        """The path of a batch's own page."""
        if name == "without":
            return f"instances/mics_default/{self.ids[name]}"
        return f"dags/{self.dag_id(name)}"

    def dag_id(self, name: str) -> str:
        return f"mics_integration_batch_{self.ids[name]}"

    def sign_in(self, user: str) -> User:
        login = {"username": user, "password": user}
        answer = requests.post(f"{self.airflow.url}/auth/token", json=login, timeout=60)
        return User(self.url, answer.json()["access_token"])

    def executions(self, name: str) -> list[dict[str, Any]]:
        return self.sandbox.executions(self.ids[name])

    def instance(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.sandbox.call("GET", f"integration_batch_instances/{self.ids[name]}")
        return found


class User:
    """A session of a user with the page, as a browser has it."""

    def __init__(self, url: str, token: str) -> None:
        self.token = token
        self._url = url
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.cookies.set("_token", token)

    def get(self, path: str = "", **options: Any) -> requests.Response:
        return self.http.get(f"{self._url}/{path}", timeout=60, allow_redirects=False, **options)

    def form(self, path: str) -> dict[str, str]:
        """The fields of the form on a page."""
        page = self.get(path)
        assert page.status_code == 200, page.text
        return {
            unescape(name): unescape(value)
            for name, value in re.findall(
                r'<input type="[a-z-]+" name="(\w+)"[^>]*value="([^"]*)"', page.text
            )
        }

    def send(self, path: str, form: dict[str, str], **options: Any) -> requests.Response:
        return self.http.post(f"{self._url}/{path}", data=form, timeout=60, allow_redirects=False, **options)

    def act(self, path: str, **fields: str) -> str:
        """Confirm a form; the page that it leads to."""
        answer = self.send(path, self.form(path) | fields)
        assert answer.status_code == 303, answer.text
        target = urljoin(f"{self._url}/", answer.headers["location"])
        return self.http.get(target, timeout=60).text


@contextmanager
def running(home: Path) -> Iterator[Lab]:
    """A lab whose Airflow knows its DAGs."""
    with SandboxServer() as sandbox:
        ids = {
            "nightly": sandbox.create_instance(
                "Nightly import", cron=NIGHTLY, properties={"duration_s": 0.5}
            ),
            "slow": sandbox.create_instance("Slow <export>", properties={"duration_s": 600}),
            "markup": sandbox.create_instance(MARKUP, properties={"duration_s": 0.5}),
            "paused": sandbox.create_instance("Paused", cron="15 4 * * *", cron_status="PAUSED"),
            "without": sandbox.create_instance(WITHOUT_DAG, properties={"duration_s": 0.5}),
        }
        sandbox.set_property(ids["nightly"], "partner_password", SECRET)
        sandbox.set_property(ids["nightly"], "source", "/in/<nightly>")
        passwords = home / "users.json"
        passwords.write_text(json.dumps({name: name for name in USERS}))
        (home / "dags" / "batches.py").write_text(DAG_FILE)
        environ = {
            "AIRFLOW_CONN_MICS_DEFAULT": connection_to(sandbox),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
                f"{name}:{role}" for name, role in USERS.items()
            ),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "2",
        }
        with LocalAirflow(home, environ, login=("admin", "admin")) as airflow:
            airflow.until(airflow.api.is_healthy, 150)
            airflow.until(lambda: len(airflow.api.dags()) == len(ids) - 1, 120)
            yield Lab(sandbox, airflow, ids)
