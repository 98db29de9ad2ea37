"""One limit holds for token, organisation, readings and the beginning of writes, in pauses and hanging requests too."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_mics.doctor.examination import ObservedAsyncClient
from tests.doctor.runs import Doctor
from tests.raw_server import stopwatch
from tests.sandbox_server import SandboxServer

LIMIT = 1.0
WORK = 1.5
"""Seconds for what is done beside the requests, on a busy machine."""
ROUTES = ("connected_user$", "integration_batch_instances$", r"\.executions$", r"\d/executions$")


@pytest.fixture(autouse=True)
def _httpx_is_loaded() -> None:
    assert ObservedAsyncClient
    import httpx  # noqa: F401 - its import is no part of the time limit


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("timeout_before", {"seconds": 30}),
        ("slow", {"bytes_at_a_time": 1, "delay_s": 0.2}),
        ("429", {"retry_after": "50"}),
        ("503", {"retry_after": "50"}),
    ],
    ids=["hanging", "slow", "429", "503"],
)
def test_nothing_takes_longer(
    platform: SandboxServer, doctor: Doctor, path: str, kind: str, parameters: dict[str, Any]
) -> None:
    platform.faults([{"kind": kind, "path": path, "parameters": parameters}])
    seconds = stopwatch()
    run = doctor.run("--time-limit", str(LIMIT))
    assert seconds() < LIMIT + WORK
    assert run.status == 2
    assert "not asked" in run.results().values()


@pytest.mark.parametrize("status", ["429", "503"])
def test_a_rate_limit_is_not_taken_for_a_missing_user(
    platform: SandboxServer, doctor: Doctor, status: str
) -> None:
    platform.faults([{"kind": status, "path": "connected_user$", "parameters": {"retry_after": "50"}}])
    run = doctor.run("--time-limit", "20")
    assert (run.status, run.of("token")[0], run.of("time zone")[0]) == (2, "not asked", "ok")
    assert "An outage or a rate limit hides whose it is" in run.rows["token"]["means"]
    assert f"HTTP {status}" in run.of("token")[1]


def test_a_hanging_platform_gets_no_execution(platform: SandboxServer, doctor: Doctor) -> None:
    before = len(platform.executions(created_by="api"))
    rule = {
        "kind": "timeout_before",
        "path": "integration_batch_instances/4107$",
        "parameters": {"seconds": 30},
    }
    platform.faults([rule])
    seconds = stopwatch()
    run = doctor.run("--time-limit", "3", "--allow-writes", "--instance", "4107")
    assert seconds() < 3 + WORK
    assert "timed out: not done within 3 s" in run.of("echo")[1]
    assert len(platform.executions(created_by="api")) == before


def test_what_was_created_is_canceled_after_the_limit(platform: SandboxServer, doctor: Doctor) -> None:
    before = len(platform.executions(created_by="api"))
    rule = {"kind": "timeout_after", "method": "POST", "path": "executions$", "parameters": {"seconds": 4}}
    platform.faults([rule])
    seconds = stopwatch()
    run = doctor.run("--time-limit", "3", "--allow-writes", "--instance", "4107")
    assert seconds() > 4
    assert run.results("snapshot") == {}
    assert [each["status"] for each in platform.executions(created_by="api")[before:]] == ["CANCELED"]
