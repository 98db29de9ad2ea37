"""Everything that this package asks the platform, run by either client in time that passes only by being slept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_mics import api
from airflow_provider_mics.api.calls import Job
from airflow_provider_mics.api.models import ExecutionType
from airflow_provider_mics.core.exactly_once.handover import WaitForPlatform, wait_for_tick_execution
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.core.exactly_once.submission import submit_execution
from tests.reliability.lab_time import SkippedTime

SLOWEST_CASE_S = 20.0
MOMENT = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)
TOKEN = "fuzz-token-4711"
TICK = ExecutionIdentity("42", ExecutionType.CRON, MOMENT, timedelta(seconds=30))

JOBS: dict[str, Callable[[], Job[Any]]] = {
    "get_instance": lambda: api.get_instance("42"),
    "list_instances": lambda: api.list_instances("1185"),
    "list_instance_properties": lambda: api.list_instance_properties("42"),
    "get_connected_user": api.get_connected_user,
    "list_plugins": api.list_plugins,
    "get_execution": lambda: api.get_execution("42", "7"),
    "list_executions": lambda: api.list_executions("42"),
    "list_organisation_executions": lambda: api.list_organisation_executions("1185"),
    "create_execution": lambda: api.create_execution("42", expected_start_date=MOMENT),
    "update_execution": lambda: api.update_execution("42", "7", status="CANCELED"),
    "delete_execution": lambda: api.delete_execution("42", "7"),
    "cancel_execution": lambda: api.cancel_execution("42", "7"),
    "wait_for_execution": lambda: api.wait_for_execution(
        "42", "7", poll_interval=60, deadline=MOMENT + timedelta(minutes=5)
    ),
    "submit_execution": lambda: submit_execution(TICK, submission_timeout=timedelta(minutes=2)),
    "submit_execution, a retry": lambda: submit_execution(
        TICK, is_retry=True, submission_timeout=timedelta(minutes=2)
    ),
    "wait_for_tick_execution": lambda: wait_for_tick_execution(
        WaitForPlatform(TICK, MOMENT + timedelta(minutes=2), timedelta(minutes=2)), 30
    ),
}


class Silence:
    def log(self, level: int, message: str, /, *args: object) -> None:
        assert TOKEN not in message % args


class Blocking:
    """The blocking client, one for all cases."""

    def __init__(self, url: str, **arguments: Any) -> None:
        self._now = SkippedTime(MOMENT)
        self._client = api.MicsClient(
            url, TOKEN, "1185", sleep=self._now.sleep, clock=self._now.now, log=Silence(), **arguments
        )

    def run(self, job: Job[Any]) -> None:
        self._now.reset()
        self._client.run(job)

    def close(self) -> None:
        self._client.close()


class InALoop:
    """The async client, one for all cases, in an event loop of its own."""

    def __init__(self, url: str, **arguments: Any) -> None:
        self._now = SkippedTime(MOMENT)
        self._loop = asyncio.Runner()
        self._client = self._loop.run(self._make(url, arguments))

    async def _make(self, url: str, arguments: dict[str, Any]) -> api.AsyncMicsClient:
        return api.AsyncMicsClient(
            url, TOKEN, "1185", sleep=self._now.asleep, clock=self._now.now, log=Silence(), **arguments
        )

    def run(self, job: Job[Any]) -> None:
        self._now.reset()
        self._loop.run(self._client.run(job))

    def close(self) -> None:
        self._loop.run(self._client.aclose())
        self._loop.close()


MODES: dict[str, type[Blocking | InALoop]] = {"blocking": Blocking, "async": InALoop}


def outcome(client: Blocking | InALoop, job: Job[Any]) -> str:
    """What came out: ``value``, or the name of a MicsError. Anything else is raised."""
    began, line, shown = time.monotonic(), "", ""
    try:
        client.run(job)
        came = "value"
    except api.MicsError as error:
        came, line, shown = type(error).__name__, str(error), repr(error)
    assert TOKEN not in line + shown
    assert "\n" not in line
    assert len(line) < 4000
    assert time.monotonic() - began < SLOWEST_CASE_S
    return came
