"""A shared default that an operator has no use for is ignored; an operator's own words that contradict are refused."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow import __version__ as airflow_version

from airflow_provider_mics import operators
from airflow_provider_mics.core.exactly_once.handover import TickContext
from airflow_provider_mics.operators.arguments import NotGiven
from airflow_provider_mics.sensors import MicsExecutionSensor
from tests.airflow_names import DAG, BaseOperator, TaskGroup

START = datetime(2024, 1, 1, tzinfo=UTC)
CreateExecution = operators.MicsCreateExecutionOperator
Cancel = operators.MicsCancelExecutionOperator
CreateInstance = operators.MicsCreateInstanceOperator
Update = operators.MicsUpdateInstanceOperator
CreateVersion = operators.MicsCreatePluginVersionOperator
Sensor = MicsExecutionSensor
RUN = {"instance_id": "1"}
STOP = {"instance_id": "1", "execution_id": "2"}
NEW = {"group_id": "com.acme", "artifact_id": "import", "name": "nightly"}
HOURS = timedelta(hours=2)
TICKS = TickContext("0 5 * * *", "UTC", None, None)
CASES: list[tuple[type, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    (CreateExecution, {"timeout": HOURS}, RUN | {"wait_for_completion": False}, {"timeout": None}),
    (CreateExecution, {"timeout": HOURS, "wait_for_completion": False}, RUN, {"timeout": None}),
    (
        CreateExecution,
        {"wait_for_completion": False},
        RUN | {"timeout": HOURS},
        {"timeout": HOURS, "wait_for_completion": True},
    ),
    (CreateExecution, {"timeout": HOURS}, RUN, {"timeout": HOURS}),
    (CreateExecution, {"cron": "0 7 * * *"}, RUN | {"tick_context": TICKS}, {"tick_context": TICKS}),
    (Cancel, {"timeout": HOURS}, STOP, {"wait_for_completion": False}),
    (Cancel, {"timeout": HOURS}, STOP | {"wait_for_completion": True}, {"timeout": HOURS}),
    (Sensor, {"expected_start_date": START}, STOP, {"execution_id": "2", "expected_start_date": None}),
    (
        Sensor,
        {"execution_id": "2"},
        RUN | {"expected_start_date": START},
        {"execution_id": None, "expected_start_date": START, "_waits_for_id": False},
    ),
    (Sensor, {"timeout": HOURS}, STOP, {"timeout": 7200.0}),
    (CreateInstance, {"version": "1.0.0"}, NEW | {"version_id": "7"}, {"version": None, "version_id": "7"}),
    (
        CreateInstance,
        {"version_id": "7"},
        NEW | {"version": "1.0.0"},
        {"version": "1.0.0", "version_id": None},
    ),
    (CreateInstance, {"cron_status": "ACTIVE"}, NEW | {"cron": None}, {"cron": None, "cron_status": None}),
    (CreateInstance, {"cron": "0 5 * * *"}, NEW | {"cron_status": None}, {"cron": None, "cron_status": None}),
    (
        CreateInstance,
        {"cron_status": "ACTIVE"},
        NEW | {"cron": "0 5 * * *"},
        {"cron": "0 5 * * *", "cron_status": "ACTIVE"},
    ),
    (Update, {"version": "1.0.0"}, RUN | {"version_id": "7"}, {"version": None, "version_id": "7"}),
    (
        CreateVersion,
        {"group_id": "com.acme", "artifact_id": "import"},
        {"version": "1.0.0", "plugin_id": "3"},
        {"plugin_id": "3", "group_id": None, "artifact_id": None},
    ),
    (
        CreateVersion,
        {"plugin_id": "3"},
        {"version": "1.0.0", "group_id": "com.acme", "artifact_id": "import"},
        {"plugin_id": None, "group_id": "com.acme"},
    ),
]


def make(cls: type, defaults: Mapping[str, Any], own: Mapping[str, Any]) -> Any:
    with DAG("one", schedule=None, start_date=START, default_args=dict(defaults)):
        return cls(task_id="task", **own)


@pytest.mark.parametrize(("cls", "defaults", "own", "expected"), CASES)
def test_a_shared_default_gives_way(cls, defaults, own, expected):
    task = make(cls, defaults, own)
    assert {name: getattr(task, name) for name in expected} == expected
    copied = copy.deepcopy(task)
    assert {name: getattr(copied, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("cls", "own"),
    [
        (CreateExecution, RUN | {"wait_for_completion": False, "timeout": HOURS}),
        (CreateExecution, RUN | {"cron": "0 5 * * *", "tick_context": TICKS}),
        (Cancel, STOP | {"wait_for_completion": False, "timeout": HOURS}),
        (Sensor, STOP | {"expected_start_date": START}),
        (CreateInstance, NEW | {"version": "1.0.0", "version_id": "7"}),
        (CreateInstance, NEW | {"cron": "0 5 * * *", "cron_status": None}),
        (Update, RUN | {"version": "1.0.0", "version_id": "7"}),
        (CreateVersion, {"version": "1.0.0", "plugin_id": "3", "group_id": "com.acme"}),
        (CreateVersion, {"version": "1.0.0", "plugin_id": "3", "artifact_id": "import"}),
    ],
)
def test_an_operators_own_contradiction_is_refused(cls, own):
    with pytest.raises(ValueError, match="task"):
        make(cls, {}, own)
    with pytest.raises(ValueError, match="task"):
        make(cls, own, own)


def test_a_shared_schedule_that_is_not_whole_is_none():
    task = make(CreateInstance, {"cron": "0 5 * * *"}, NEW)
    assert isinstance(task.cron, NotGiven)
    task = make(CreateInstance, {"cron": "0 5 * * *", "cron_status": "ACTIVE"}, NEW)
    assert (task.cron, task.cron_status) == ("0 5 * * *", "ACTIVE")


def test_one_set_of_defaults_serves_every_operator():
    shared = {
        "timeout": HOURS,
        "expected_start_date": "2030-01-01T00:00:00Z",
        "version": "1.0.0",
        "cron": "0 5 * * *",
        "platform_grace": 0,
        "poll_interval": 7,
        "deferrable": True,
        "retries": 2,
        "mics_conn_id": "other",
    }
    owns = {
        CreateExecution: RUN | {"wait_for_completion": False},
        Cancel: STOP,
        operators.MicsDeleteExecutionOperator: STOP,
        operators.MicsDeleteInstanceOperator: RUN,
        operators.MicsPauseInstanceOperator: RUN,
        operators.MicsResumeInstanceOperator: RUN,
        operators.MicsCreatePluginOperator: {"group_id": "com.acme", "artifact_id": "import"},
        CreateVersion: {"plugin_id": "3"},
        CreateInstance: NEW | {"version_id": "7"},
        Update: RUN | {"version_id": "7"},
        Sensor: STOP,
    }
    for cls, own in owns.items():
        task = make(cls, shared, own)
        assert (task.mics_conn_id, task.retries) == ("other", 2)


def test_defaults_of_a_group_and_of_a_task_are_shared_too():
    with DAG("one", schedule=None, start_date=START), TaskGroup("group", default_args={"timeout": HOURS}):
        task = CreateExecution(task_id="task", wait_for_completion=False, **RUN)
        other = CreateExecution(
            task_id="other", wait_for_completion=False, default_args={"timeout": HOURS}, **RUN
        )
    assert task.timeout is other.timeout is None


def test_a_mapped_operator_gives_way_too():
    with DAG("one", schedule=None, start_date=START, default_args={"timeout": HOURS}):
        runs = CreateExecution.partial(task_id="runs", wait_for_completion=False).expand(instance_id=["1"])
    with DAG("two", schedule=None, start_date=START, default_args={"version": "1.0.0"}):
        updates = Update.partial(task_id="updates", version_id="7").expand(instance_id=["1"])
    if airflow_version == "3.0.0":
        # It gives a mapped operator the defaults of its DAG as arguments of its own, and only those that it knows.
        with pytest.raises(ValueError, match="timeout is given"):
            runs.unmap({"instance_id": "1"})
        return
    assert runs.unmap({"instance_id": "1"}).timeout is None
    assert updates.unmap({"instance_id": "1"}).version is None


def test_a_subclass_with_arguments_of_its_own():
    class Nightly(CreateExecution):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(wait_for_completion=False, **kwargs)

    assert issubclass(Nightly, BaseOperator)
    assert make(Nightly, {"timeout": HOURS}, RUN).timeout is None
    with pytest.raises(ValueError, match="timeout is given"):
        make(Nightly, {}, RUN | {"timeout": HOURS})
