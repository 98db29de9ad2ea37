"""Instances and their executions from a DAG: created, changed, paused, canceled, deleted."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.operators import (
    MicsCancelExecutionOperator,
    MicsCreateInstanceOperator,
    MicsDeleteExecutionOperator,
    MicsDeleteInstanceOperator,
    MicsPauseInstanceOperator,
    MicsResumeInstanceOperator,
    MicsUpdateInstanceOperator,
)
from airflow_provider_mics.operators.arguments import missing_values, rendered_properties
from tests.provider.dag_runs import DagFolder
from tests.sandbox_server import SandboxServer

HEADER = """
from datetime import UTC, datetime, timedelta

from tests.airflow_names import DAG, chain, task

from airflow_provider_mics.operators import *

COORDINATES = {"group_id": "com.test.batches", "artifact_id": "test-batch"}
START = datetime(2024, 1, 1, tzinfo=UTC)
LATER = "2060-01-01T00:00:00+00:00"
"""

STATES = (
    HEADER
    + """
with DAG(
    "states",
    schedule=None,
    start_date=START,
    params={"cron": "0 5 * * *", "status": None, "rows": 7, "archived": False},
) as states:
    create = MicsCreateInstanceOperator(
        task_id="create",
        name="nightly",
        version="1.0.0",
        cron="{{ params.cron }}",
        cron_status="ACTIVE",
        archived="{{ params.archived }}",
        properties={"max_rows": "{{ params.rows }}", "label": "{{ dag.dag_id }}", "sandbox.outcome": "hang"},
        **COORDINATES,
    )
    instance_id = create.output["instance_id"]
    later = MicsCreateExecutionOperator(
        task_id="later", instance_id=instance_id, expected_start_date=LATER, wait_for_completion=False
    )
    now = MicsCreateExecutionOperator(task_id="now", instance_id=instance_id, wait_for_completion=False)
    chain(
        create,
        MicsCreateInstanceOperator(task_id="found", name="nightly", **COORDINATES),
        now,
        later,
        MicsPauseInstanceOperator(task_id="pause", instance_id=instance_id),
        MicsCancelExecutionOperator(
            task_id="cancel",
            instance_id=instance_id,
            execution_id=now.output["execution_id"],
            wait_for_completion=True,
            poll_interval=0.2,
        ),
        MicsDeleteExecutionOperator(
            task_id="forget", instance_id=instance_id, execution_id=later.output["execution_id"]
        ),
        MicsDeleteExecutionOperator(
            task_id="forget_again", instance_id=instance_id, execution_id=later.output["execution_id"]
        ),
        MicsResumeInstanceOperator(task_id="resume", instance_id=instance_id),
        MicsUpdateInstanceOperator(
            task_id="clear",
            instance_id=instance_id,
            cron="{{ none }}",
            cron_status="{{ params.status }}",
            name="weekly",
        ),
        MicsPauseInstanceOperator(task_id="pause_none", instance_id=instance_id),
    )
"""
)


def test_an_instance_goes_through_its_states(dag_folder: DagFolder, mics_default: SandboxServer) -> None:
    other = mics_default.create_instance("another", properties={"outcome": "hang"})
    mics_default.set_property(other, "unrelated", "x")
    mics_default.quirks(pausing_cancels=False)
    run = dag_folder.run(STATES)
    assert {task.task_id for task in run.tasks if task.state != "success"} == {"pause_none"}, run.log[-6000:]
    instance_id = run.xcom("create")["id"]
    assert run.xcom("found")["id"] == instance_id
    assert (run.xcom("create")["cron"], run.xcom("create")["version_value"]) == ("0 5 * * *", "1.0.0")
    assert run.xcom("pause")["cron_status"] == "PAUSED"
    assert run.xcom("resume")["cron_status"] == "ACTIVE"
    cleared = run.xcom("clear")
    assert (cleared["name"], cleared["cron"], cleared["cron_status"]) == ("weekly", None, None)

    executions = {each["id"]: each for each in mics_default.executions(instance_id)}
    assert {each["status"] for each in executions.values()} == {"CANCELED"}
    assert run.xcom("cancel")["status"] == "CANCELED"
    assert run.xcom("forget")["status"] == "CANCELED"
    assert run.xcom("forget_again") is None
    assert executions[run.xcom("forget")["id"]]["deleted"]

    properties = mics_default.call("GET", f"integration_batch_instances/{instance_id}/properties")
    values = {each["technical_name"]: each["value"]["value"] for each in properties}
    assert values == {"max_rows": "7", "label": "states", "sandbox.outcome": "hang"}
    for line in (
        "nothing to update",
        f"Canceled execution {run.xcom('later')['id']}, PENDING, expected at 2060-01-01 00:00:00 UTC (cancel action)",
        f"Canceled execution {run.xcom('now')['id']} of instance {instance_id} (cancel action)",
        f"execution {run.xcom('later')['id']} of instance {instance_id} does not exist: nothing to delete",
        "name: 'nightly' -> 'weekly'; cron: '0 5 * * *' -> None; cron_status: 'ACTIVE' -> None",
        "has no cron",
    ):
        assert line.lower() in run.log.lower()
    for task_id in ("create", "found", "pause", "resume", "clear", "cancel", "forget", "pause_none"):
        assert str(run.xcom(task_id, "mics_instance_link")).endswith(f"/{instance_id}")


FAILURES = (
    HEADER
    + """
with DAG("failures", schedule=None, start_date=START, params={"size": "HUGE", "cron": "61 * * * *"}) as failures:
    MicsCreateInstanceOperator(task_id="no_version", name="a", version="7.0.0", **COORDINATES)
    MicsCreateInstanceOperator(task_id="bad_size", name="a", cpu_size="{{ params.size }}", **COORDINATES)
    MicsCreateInstanceOperator(
        task_id="bad_cron", name="a", cron="{{ params.cron }}", cron_status="ACTIVE", **COORDINATES
    )
    MicsCreateInstanceOperator(task_id="exists", name="there", if_exists="fail", **COORDINATES)
    MicsCreateInstanceOperator(task_id="bad_value", name="there", properties={"x": [1]}, **COORDINATES)
    MicsCreateInstanceOperator(task_id="no_name", name="{{ none }}", **COORDINATES)
    MicsCreateInstanceOperator(
        task_id="no_property", name="there", properties={"kept": "other", "mode": "{{ none }}"}, **COORDINATES
    )
    MicsUpdateInstanceOperator(
        task_id="no_listed_property",
        instance_id="1",
        properties=[{"technical_name": "source_path", "value": {"value": "{{ ti.xcom_pull('nobody') }}"}}],
    )
    MicsCreatePluginVersionOperator(
        task_id="no_version_property", version="9.9.9", properties={"import_path": "{{ none }}"}, **COORDINATES
    )
    MicsUpdateInstanceOperator(task_id="missing", instance_id="999999", name="b")
    MicsUpdateInstanceOperator(task_id="no_id", instance_id="{{ none }}", name="b")
    MicsDeleteInstanceOperator(task_id="no_id_either", instance_id="{{ none }}")
    MicsDeleteInstanceOperator(task_id="must_exist", instance_id="999999", missing_ok=False)
    MicsDeleteInstanceOperator(task_id="gone", instance_id="999999")
    MicsCancelExecutionOperator(
        task_id="no_execution", instance_id="{{ params.size }}", execution_id="999999", submission_timeout=0
    )
    MicsPauseInstanceOperator(task_id="bad_token", mics_conn_id="mics_wrong", instance_id="1", retries=3)
"""
)


def test_final_failures_are_one_line_each_and_not_retried(
    dag_folder: DagFolder, mics_default: SandboxServer
) -> None:
    there = mics_default.create_instance("there")
    wrong = {
        "AIRFLOW_CONN_MICS_WRONG": f'{{"conn_type": "mediarithmics", "host": "{mics_default.url}", '
        '"password": "not-the-token", "extra": {"organisation_id": "1185"}}'
    }
    run = dag_folder.run(FAILURES, environ=wrong)
    assert there == "1"
    states = {task.task_id: task.state for task in run.tasks}
    assert {task_id for task_id, state in states.items() if state == "success"} == {"gone"}
    assert {task.try_number for task in run.tasks} <= {0, 1}, "no other try would end otherwise"
    for line in (
        "plugin com.test.batches:test-batch has no version 7.0.0: it has 1.0.0",
        "cpu_size 'HUGE' is not one of LOW, MEDIUM, LARGE, EXTRA_LARGE",
        "cron '61 * * * *' cannot be read",
        f"already exists as {there}",
        "property x: a Python list has no property type",
        "name 'None' is empty: give a text, such as 'nightly import'",
        "property mode is empty: its template found no value",
        "property source_path is empty: its template found no value",
        "property import_path is empty: its template found no value",
        "instance 999999 not found",
        "instance_id None is not an id",
        "error_id",
        "Instance 999999 does not exist: nothing to delete",
    ):
        assert line in run.log
    assert "not-the-token" not in run.log
    assert mics_default.token not in run.log


TRIES = (
    HEADER
    + """

def lose_the_worker_once(context, result):
    if context["ti"].try_number == 1:
        raise RuntimeError("the worker is lost")


TWICE = {
    "retries": 1,
    "retry_delay": timedelta(0),
    "post_execute": lose_the_worker_once,
    "submission_timeout": timedelta(minutes=1),
}

with DAG("tries", schedule=None, start_date=START) as tries:
    MicsCreateInstanceOperator(task_id="archived", name="archived", **COORDINATES)
    MicsCreateInstanceOperator(task_id="instance", name="tried", **TWICE, **COORDINATES)
    plugin = MicsCreatePluginOperator(
        task_id="plugin", group_id="com.test.tries", artifact_id="tried", **TWICE
    )
    plugin >> MicsCreatePluginVersionOperator(
        task_id="version", version="1.0.0", plugin_id=plugin.output["plugin_id"], **TWICE
    )
"""
)
EMPTY = '{"status": "ok", "count": 0, "first_result": 0, "max_results": 500, "total": 0, "data": []}'


def test_a_retry_finds_what_the_lost_try_created_and_restores_nothing_archived(
    dag_folder: DagFolder, mics_default: SandboxServer
) -> None:
    """Each list is correct before and after the creation, and stale at the first request of the retry."""
    archived = mics_default.create_instance("archived", cron="0 5 * * *", archived=True)
    behind = {"kind": "body", "method": "GET", "times": 1, "parameters": {"status": 200, "body": EMPTY}}
    looks = {"/integration_batch_instances$": 3, "/plugins$": 2, r"/versions$": 2}
    mics_default.faults([{**behind, "path": path, "after": after} for path, after in looks.items()])
    run = dag_folder.run(TRIES)
    assert {task.state for task in run.tasks} == {"success"}, run.log[-6000:]
    assert mics_default.injected()["body"] == 3

    counters = mics_default.counters()
    creations = ("integration_batch_instances", "plugins", "plugins/{id}/versions")
    assert [counters[f"POST /v1/{path}"] for path in creations] == [2, 2, 2], "the fixture made one of each"
    assert run.xcom("archived")["id"] == archived
    assert run.xcom("archived")["archived"] is True


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"cron": "0 5 * * *"}, "without cron_status"),
        ({"cron_status": "ACTIVE"}, "without cron"),
        ({"cron": "{{ params.cron }}"}, "give cron and cron_status together"),
        ({"cron": "0 5 * *", "cron_status": "ACTIVE"}, "4 field"),
        ({"cron": "0 5 * *", "cron_status": "{{ params.status }}"}, "4 field"),
        ({"cron": "0 5 * * *", "cron_status": "ASLEEP"}, "not one of ACTIVE, PAUSED"),
        ({"cpu_size": "HUGE"}, "cpu_size 'HUGE'"),
        ({"version": "1.0.0", "version_id": "12"}, "give version or version_id, not both"),
        ({"if_exists": "replace"}, "not one of update, skip, fail"),
        ({"submission_timeout": "ten minutes"}, "submission_timeout 'ten minutes' is no length of time"),
        ({"submission_timeout": float("nan")}, "submission_timeout nan is no length of time"),
        ({"submission_timeout": timedelta(seconds=-1)}, "submission_timeout .* must not be below 0"),
    ],
)
def test_invalid_fields_of_a_new_instance_are_refused_when_the_dag_is_parsed(
    arguments: dict, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        MicsCreateInstanceOperator(task_id="make_it", group_id="a", artifact_id="b", name="c", **arguments)
    assert "make_it" in str(refused.value)


PROPERTIES = [
    ({"mode": "None"}, {"mode": "None"}, None),
    ({"mode": None}, {"mode": None}, None),
    ({"mode": "{{ x }}"}, {"mode": ""}, None),
    ({"mode": "{{ x }}", "rows": 7}, {"mode": "None", "rows": 7}, "property mode is empty"),
    ({"mode": "{{ x }}"}, {"mode": None}, "property mode is empty"),
    ("{{ x }}", {"mode": "None"}, "property mode is empty"),
    ("{{ x }}", None, None),
    (
        {"link": {"property_type": "URL", "value": {"url": "{{ x }}"}}},
        {"link": {"property_type": "URL", "value": {"url": "None"}}},
        "property link is empty",
    ),
    (
        [{"technical_name": "a", "value": "None"}, {"technical_name": "b", "value": "{{ x }}"}],
        [{"technical_name": "a", "value": "None"}, {"technical_name": "b", "value": "None"}],
        "property b is empty",
    ),
]


@pytest.mark.parametrize(("given", "after_rendering", "problem"), PROPERTIES)
def test_a_property_whose_template_finds_no_value_is_refused(
    given: Any, after_rendering: Any, problem: str | None
) -> None:
    """The text None is written only where the DAG itself has it."""
    with pytest.raises(MicsError, match=problem) if problem else nullcontext():
        assert rendered_properties(after_rendering, missing_values(given)) == after_rendering


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "say what to change"),
        ({"cron": None}, "cron=None and cron_status=None"),
        ({"cron_status": None}, "cron=None and cron_status=None"),
        ({"cron": None, "cron_status": "ACTIVE"}, "without cron"),
        ({"version": "1.0.0", "version_id": "12"}, "not both"),
        ({"ram_size": "TINY"}, "ram_size 'TINY'"),
    ],
)
def test_invalid_changes_are_refused_when_the_dag_is_parsed(arguments: dict, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        MicsUpdateInstanceOperator(task_id="change", instance_id="1", **arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"cron": None, "cron_status": None},
        {"cron": "30 * * * *"},
        {"cron_status": "PAUSED"},
        {"archived": True},
        {"properties": {"a": 1}},
        {"cpu_size": "{{ params.size }}"},
    ],
)
def test_any_field_can_be_changed(arguments: dict) -> None:
    MicsUpdateInstanceOperator(task_id="change", instance_id="1", **arguments)


def test_lengths_of_time_may_be_timedeltas() -> None:
    half_a_minute = timedelta(seconds=30)
    cancel = MicsCancelExecutionOperator(
        task_id="cancel",
        instance_id="1",
        execution_id="2",
        wait_for_completion=True,
        poll_interval=half_a_minute,
        submission_timeout=half_a_minute,
    )
    assert (cancel.poll_interval, cancel.submission_timeout) == (30.0, 30.0)


def test_an_invalid_wait_is_refused_when_the_dag_is_parsed() -> None:
    for arguments, problem in (
        ({"timeout": 5}, "waits for nothing"),
        ({"poll_interval": 0}, "above 0"),
        ({"timeout": 0, "wait_for_completion": True}, "above 0"),
        ({"timeout": "5", "wait_for_completion": True}, "timeout '5' is no length of time"),
        ({"poll_interval": None}, "poll_interval None is no length of time"),
    ):
        with pytest.raises(ValueError, match=problem):
            MicsCancelExecutionOperator(task_id="cancel", instance_id="1", execution_id="2", **arguments)  # type: ignore[arg-type]


OF_AN_INSTANCE = [
    (MicsUpdateInstanceOperator, {"name": "new"}),
    (MicsDeleteInstanceOperator, {}),
    (MicsPauseInstanceOperator, {}),
    (MicsResumeInstanceOperator, {}),
    (MicsCancelExecutionOperator, {"execution_id": "2"}),
    (MicsDeleteExecutionOperator, {"execution_id": "2"}),
]


@pytest.mark.parametrize("wrong", [None, "", "None", True, 1.5, "11 85"])
@pytest.mark.parametrize(("operator", "arguments"), OF_AN_INSTANCE)
def test_what_is_no_id_is_refused_when_the_dag_is_parsed(operator: Any, arguments: dict, wrong: Any) -> None:
    for name in {"instance_id", *arguments} - {"name"}:
        with pytest.raises(ValueError, match=f"on_it: {name} .* is not an id"):
            operator(**{"task_id": "on_it", "instance_id": "1"} | arguments | {name: wrong})


@pytest.mark.parametrize("good", ["42", 42, "{{ params.id }}", "{{ none }}"])
@pytest.mark.parametrize(("operator", "arguments"), OF_AN_INSTANCE)
def test_ids_may_be_templates(operator: Any, arguments: dict, good: Any) -> None:
    for name in {"instance_id", *arguments} - {"name"}:
        operator(**{"task_id": "on_it", "instance_id": "1"} | arguments | {name: good})
