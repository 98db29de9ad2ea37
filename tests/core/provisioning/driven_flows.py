"""Flows against a real sandbox over HTTP, with a clock that only a pause moves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_mics.api.calls import Call, Job
from tests.flow_driver import FlowDriver
from tests.sandbox_server import SandboxServer


class Flows(FlowDriver):
    """Runs flows against a sandbox as one task would."""

    def __init__(self, server: SandboxServer, **hooks: Callable[[Any], object]) -> None:
        super().__init__(
            base_url=server.url,
            token=server.token,
            organisation_id=server.organisation_id,
            max_retries=4,
            now=datetime.now(UTC),
            **hooks,  # type: ignore[arg-type]
        )


class WorkerLostError(Exception):
    """A try of a task ends in the middle of whatever it does."""


def lose_the_worker_after_its_request(server: SandboxServer, job: Job[Any]) -> None:
    """Run a job up to the moment at which its POST was carried out."""
    sent: list[Call[Any]] = []

    def before(call: Call[Any]) -> None:
        if any(each.method == "POST" for each in sent):
            raise WorkerLostError
        sent.append(call)

    with pytest.raises(WorkerLostError):
        Flows(server, before=before).run(job)


def list_that_shows_nothing(path: str) -> dict[str, Any]:
    """The fault of a list that is behind."""
    body = '{"status": "ok", "count": 0, "first_result": 0, "max_results": 500, "total": 0, "data": []}'
    return {"kind": "body", "method": "GET", "path": path, "parameters": {"status": 200, "body": body}}


def with_a_list_behind(server: SandboxServer, path: str, seconds: float) -> Flows:
    """Flows for a platform whose list shows nothing until so many seconds were slept."""
    server.faults([list_that_shows_nothing(path)])
    pauses: list[float] = []

    def asleep(pause: float) -> None:
        pauses.append(pause)
        if sum(pauses) >= seconds:
            server.faults()

    return Flows(server, asleep=asleep)


def create_hanging_instance(server: SandboxServer, plugin: Any, **fields: Any) -> str:
    """Create an instance of a plugin whose executions never end by themselves, and return its id."""
    body = {
        "organisation_id": server.organisation_id,
        "group_id": plugin.group_id,
        "artifact_id": plugin.artifact_id,
        "name": "nightly",
        **fields,
    }
    created: str = server.call("POST", "integration_batch_instances", body)["id"]
    server.set_property(created, "sandbox.outcome", "hang")
    return created
