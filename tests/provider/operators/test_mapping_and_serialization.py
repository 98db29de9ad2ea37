"""Every operator and the sensor survive what Airflow does to them: serialization, copying, dynamic task mapping."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.serialization import serialized_objects

from airflow_provider_mics import operators
from airflow_provider_mics.core.exactly_once.handover import TickContext
from airflow_provider_mics.operators.arguments import NOT_GIVEN, given
from airflow_provider_mics.sensors import MicsExecutionSensor
from tests.airflow_names import DAG, AirflowException
from tests.provider.dag_runs import DagFolder
from tests.sandbox_server import SandboxServer

START = datetime(2024, 1, 1, tzinfo=UTC)
INSTANCE = {"group_id": "com.acme", "artifact_id": "import", "name": "nightly"}
ARGUMENTS: dict[type, dict[str, Any]] = {
    operators.MicsCreatePluginOperator: {"group_id": "com.acme", "artifact_id": "import"},
    operators.MicsCreatePluginVersionOperator: {
        "plugin_id": "1",
        "version": "1.0.0",
        "properties": {
            "path": "s3://a",
            "rows": 5,
            "ratio": 0.5,
            "dry": True,
            "whole": {"value": {"value": 1}},
        },
    },
    operators.MicsCreateInstanceOperator: INSTANCE
    | {"properties": [{"technical_name": "a", "value": {"value": 1}}]},
    operators.MicsUpdateInstanceOperator: {"instance_id": "1", "cron": None, "cron_status": None},
    operators.MicsDeleteInstanceOperator: {"instance_id": "1"},
    operators.MicsPauseInstanceOperator: {"instance_id": "1", "cancel_running": True},
    operators.MicsResumeInstanceOperator: {"instance_id": "1"},
    operators.MicsCreateExecutionOperator: {
        "instance_id": "1",
        "expected_start_date": "{{ params.moment }}",
        "timeout": timedelta(hours=1),
        "tick_context": TickContext("0 5 * * *", "Europe/Paris", START),
    },
    operators.MicsCancelExecutionOperator: {"instance_id": "1", "execution_id": "2"},
    operators.MicsDeleteExecutionOperator: {"instance_id": "1", "execution_id": "2"},
    MicsExecutionSensor: {"instance_id": "1", "execution_id": "2", "deferrable": True},
}
each_class = pytest.mark.parametrize("cls", ARGUMENTS, ids=lambda cls: cls.__name__)


def round_trip(make: Callable[[], Any]) -> tuple[dict[str, Any], Any]:
    """A DAG with one task as Airflow stores it, and as its scheduler and web server read it back."""
    with DAG("one", schedule=None, start_date=START) as dag:
        make()
    serializer = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG
    stored = json.loads(json.dumps(serializer.to_dict(dag)))
    validate = getattr(serializer, "validate_schema", None)
    if validate is not None:
        validate(stored)
    return stored, serializer.from_dict(stored).get_task("task")


def test_there_is_a_case_for_every_operator() -> None:
    assert {cls.__name__ for cls in ARGUMENTS} == {*operators.__all__, "MicsExecutionSensor"}


@each_class
def test_it_survives_serialization_and_is_the_same_in_every_process(cls: type) -> None:
    stored, task = round_trip(lambda: cls(task_id="task", **ARGUMENTS[cls]))
    again, _ = round_trip(lambda: cls(task_id="task", **ARGUMENTS[cls]))
    assert stored == again
    assert " at 0x" not in json.dumps(stored), "an address would make a new DAG version in each process"
    assert task.task_type == cls.__name__
    assert set(task.template_fields) == set(cls.template_fields)  # type: ignore[attr-defined]
    for name, value in ARGUMENTS[cls].items():
        if name in task.template_fields:
            assert getattr(task, name) == value
    links = [link.name for link in task.operator_extra_links]
    assert links == [f"mediarithmics {'plugin' if 'Plugin' in cls.__name__ else 'instance'}"]


@each_class
def test_it_can_be_mapped_over_any_of_its_fields(cls: type) -> None:
    arguments = dict(ARGUMENTS[cls])
    name = next(iter(arguments))
    value = arguments.pop(name)

    def mapped() -> Any:
        return cls.partial(task_id="task", **arguments).expand(**{name: [value, value]})  # type: ignore[attr-defined]

    stored, task = round_trip(mapped)
    assert stored == round_trip(mapped)[0]
    assert " at 0x" not in json.dumps(stored)
    assert "Mapped" in type(task).__name__
    kwargs = [ARGUMENTS[cls], ARGUMENTS[cls] | {"mics_conn_id": "mics_other"}]
    _, task = round_trip(lambda: cls.partial(task_id="task").expand_kwargs(kwargs))  # type: ignore[attr-defined]
    assert "Mapped" in type(task).__name__


@each_class
def test_each_templated_field_is_an_argument_and_an_attribute(cls: type) -> None:
    task = cls(task_id="task", **ARGUMENTS[cls])
    for name in task.template_fields:
        assert hasattr(task, name)
    with pytest.raises((TypeError, AirflowException), match="no_such_argument"):  # 2.11 raises the second
        cls(task_id="task", no_such_argument=1, **ARGUMENTS[cls])
    with pytest.raises((TypeError, AirflowException), match="no_such_argument"):  # 2.11 raises the second
        cls.partial(task_id="task", no_such_argument=1)  # type: ignore[attr-defined]


def test_what_was_not_given_is_still_not_given_in_a_copy() -> None:
    task = operators.MicsUpdateInstanceOperator(task_id="task", instance_id="1", cron=None, cron_status=None)
    for each in (task, copy.copy(task), copy.deepcopy(task)):
        fields = {name: getattr(each, name) for name in ("name", "cron", "cron_status", "cpu_size")}
        assert given(**fields) == {"cron": None, "cron_status": None}
    assert not NOT_GIVEN
    assert str(NOT_GIVEN) == "not given"


MAPPED = """
from datetime import UTC, datetime

from tests.airflow_names import DAG, task

from airflow_provider_mics.operators import *

with DAG("mapped", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC)) as mapped:

    @task
    def changes(instance_ids):
        first, second = instance_ids
        return [
            {"instance_id": first, "cron": "0 5 * * *", "cron_status": "ACTIVE", "properties": {"rows": 5}},
            {"instance_id": second, "cron": None, "cron_status": None, "name": "cleared"},
        ]

    create = MicsCreateInstanceOperator.partial(
        task_id="create", group_id="com.test.batches", artifact_id="test-batch"
    ).expand(name=["a", "b"])
    update = MicsUpdateInstanceOperator.partial(task_id="update").expand_kwargs(
        changes(create.output["instance_id"])
    )
    pause = MicsPauseInstanceOperator.partial(task_id="pause", retries=0).expand(
        instance_id=update.output.map(lambda instance: instance["id"])
    )
    delete = MicsDeleteInstanceOperator.partial(task_id="delete", trigger_rule="all_done").expand(
        instance_id=create.output.map(lambda instance: instance["id"])
    )
    pause >> delete
"""


def test_mapped_tasks_get_each_its_own(dag_folder: DagFolder, mics_default: SandboxServer) -> None:
    mics_default.create_instance("a of another", artifact_id="other-batch")
    mics_default.create_instance("b")  # it is there already
    run = dag_folder.run(MAPPED)
    states = {(task.task_id, task.map_index): task.state for task in run.tasks}
    assert states.pop(("pause", 1)) == "failed", "it has no cron"
    assert set(states.values()) == {"success"}, run.log[-6000:]
    first, second = (run.xcom("create", map_index=index) for index in (0, 1))
    assert (first["name"], second["name"]) == ("a", "b")
    updated = [run.xcom("update", map_index=index) for index in (0, 1)]
    assert [(each["id"], each["name"], each["cron"]) for each in updated] == [
        (first["id"], "a", "0 5 * * *"),
        (second["id"], "cleared", None),
    ]
    assert run.xcom("pause", map_index=0)["cron_status"] == "PAUSED"
    left = mics_default.call(
        "GET", "integration_batch_instances", organisation_id=mics_default.organisation_id
    )
    assert [each["name"] for each in left] == ["a of another"]
    for task_id in ("create", "update", "delete"):
        links = [run.xcom(task_id, "mics_instance_link", index) for index in (0, 1)]
        assert [link.rpartition("/")[2] for link in links] == [first["id"], second["id"]]
