"""A task that is stopped before the platform has answered the request to create its execution.

Airflow 3 calls ``on_kill`` in the worker and lets ``execute`` go on until it kills the process, five seconds later. How
Airflow itself does that is in ``runtime/test_on_kill.py``.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_mics.operators import MicsCreateExecutionOperator, stopping
from tests.airflow_names import AirflowException
from tests.sandbox_server import SandboxServer

MOMENT = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)
SECONDS = {"seconds": 1.5}
LOOKING = [
    {"kind": "timeout_after", "method": "GET", "path": "executions$", "times": 1, "parameters": SECONDS}
]
ASKED = [{"kind": "timeout_after", "method": "POST", "times": 1, "parameters": SECONDS}]
ANSWER_LOST = [
    {"kind": "drop_after", "method": "POST", "times": 1},
    {"kind": "timeout_after", "method": "GET", "after": 1, "path": "executions$", "parameters": SECONDS},
]
WARNING = "stopped before the platform answered the request to run instance"


@contextmanager
def stopped_after(operator: MicsCreateExecutionOperator, seconds: float) -> Iterator[None]:
    """As ``_on_term`` of Airflow's ``task_runner.py``: a signal calls ``on_kill``, and the process goes on."""
    before = signal.signal(signal.SIGALRM, lambda *_: operator.on_kill())
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def execute_stopped(instance_id: str, **arguments: Any) -> None:
    operator = MicsCreateExecutionOperator(
        task_id="run", instance_id=instance_id, wait_for_completion=False, **arguments
    )
    ti = SimpleNamespace(
        dag_id="nightly", run_id="manual", task_id="run", map_index=-1, try_number=1, max_tries=0,
        start_date=datetime.now(UTC), xcom_push=lambda **_: None,
    )  # fmt: skip
    dag_run = SimpleNamespace(run_type="manual", run_after=MOMENT, start_date=MOMENT, clear_number=0)
    with stopped_after(operator, 0.7):
        operator.execute({"ti": ti, "dag_run": dag_run, "task": operator})  # type: ignore[typeddict-item]


@pytest.fixture
def by_user(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> bool:
    """What Airflow says to the question of who stopped the task."""
    monkeypatch.setattr(stopping, "was_killed_by_user", lambda *_: request.param)
    return bool(request.param)


@pytest.mark.parametrize("by_user", [True], indirect=True)
@pytest.mark.parametrize("cancel_on_kill", [True, False])
def test_nothing_is_started_after_a_user_has_stopped_the_task(
    mics_default: SandboxServer, by_user: bool, cancel_on_kill: bool
) -> None:
    instance_id = mics_default.create_instance(properties={"outcome": "hang"})
    mics_default.faults(LOOKING)
    with pytest.raises(AirflowException, match=f"stopped before .* instance {instance_id} was not started"):
        execute_stopped(instance_id, cancel_on_kill=cancel_on_kill)
    assert mics_default.executions(instance_id) == []


@pytest.mark.parametrize(
    ("faults", "cancel_on_kill", "by_user", "status"),
    [
        (ASKED, True, True, "CANCELED"),
        (ASKED, False, True, "RUNNING"),
        (ASKED, True, False, "RUNNING"),
        (ANSWER_LOST, True, True, "CANCELED"),
        (LOOKING, True, False, "RUNNING"),
    ],
    indirect=["by_user"],
)
def test_what_was_already_asked_for_is_canceled_as_soon_as_it_is_known(
    mics_default: SandboxServer,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    faults: list[dict[str, Any]],
    cancel_on_kill: bool,
    by_user: bool,
    status: str,
) -> None:
    """But not if Airflow's machinery stopped the worker: a retry goes on with the execution."""
    instance_id = mics_default.create_instance(properties={"outcome": "hang"})
    mics_default.faults(faults)
    with caplog.at_level(logging.INFO):
        execute_stopped(instance_id, cancel_on_kill=cancel_on_kill)
    [execution] = mics_default.executions(instance_id)
    mics_default.wait_until(lambda: mics_default.executions(instance_id)[0]["status"] == status)
    is_asked_for = faults is not LOOKING and cancel_on_kill
    log = caplog.text + capsys.readouterr().out  # Airflow 3 writes to the latter
    assert (WARNING in log) is is_asked_for
    assert (f"expected_start_date {execution['expected_start_date']} may go on" in log) is is_asked_for


@pytest.mark.parametrize("by_user", [True], indirect=True)
def test_an_execution_that_a_retry_finds_after_it_was_stopped_is_canceled(
    mics_default: SandboxServer, monkeypatch: pytest.MonkeyPatch, by_user: bool
) -> None:
    instance_id = mics_default.create_instance(properties={"outcome": "hang"})
    moment = round(MOMENT.timestamp() * 1000)
    mics_default.create_execution(instance_id, moment, "CRON")
    mics_default.faults(LOOKING)
    execute_stopped(instance_id, execution_type="CRON", expected_start_date=MOMENT)
    assert [each["status"] for each in mics_default.executions(instance_id)] == ["CANCELED"]
