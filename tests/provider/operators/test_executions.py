"""MicsCreateExecutionOperator in real DAG runs, against a sandbox over HTTP."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mics.core.exactly_once.handover import TickContext
from airflow_provider_mics.operators import MicsCreateExecutionOperator
from local_airflow.home import copy_of
from tests.provider.dag_runs import DagFolder, DagRun
from tests.provider.mics_connections import connection_to
from tests.provider.task_logs import failure_of, log_of
from tests.sandbox_server import SandboxServer

MOMENT = datetime(2026, 1, 31, 5, 30, 0, 123000, tzinfo=UTC)
TICK = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
NEXT_TICK = TICK + timedelta(days=2)
DAILY = "0 0 * * *"
DAG_FILE = """
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.airflow_names import DAG
from airflow_provider_mics.operators import MicsCreateExecutionOperator

I = json.loads(os.environ["INSTANCES"])
TICK = datetime.fromisoformat(os.environ["TICK"])
MOMENT = "2026-01-31T05:30:00.123+00:00"


class LosesItsWorkerOnce(MicsCreateExecutionOperator):
    def _wait(self, context, execution):
        if context["ti"].try_number == 1:
            raise RuntimeError("the worker is lost")
        return super()._wait(context, execution)


def grace_of_two_more_seconds(context):
    task = context["task"]
    task.tick_context = replace(task.tick_context, platform_grace=datetime.now(UTC) - TICK + timedelta(seconds=2))


def run(task_id, instance, kind=MicsCreateExecutionOperator, **arguments):
    settings = {"poll_interval": 0.2, "retries": 0, "retry_delay": timedelta(0), "deferrable": True}
    return kind(task_id=task_id, instance_id=I.get(instance, instance), **settings | arguments)


def tick(task_id, **arguments):
    cron = {"cron": "0 0 * * *", "execution_type": "CRON", "expected_start_date": TICK}
    return run(task_id, task_id, **cron | arguments)


with DAG("cases", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC)) as cases:
    run("deferred", "good")
    run("on_worker", "good", deferrable=False)
    run("not_waited_for", "hang", wait_for_completion=False)
    found = {"execution_type": "CRON", "expected_start_date": MOMENT}
    run("found_running", "found_running", wait_for_completion=False, **found)
    run("found_succeeded", "found_succeeded", **found)
    run("found_canceled", "found_canceled", retries=2, **found)
    run("chosen_before", "chosen_before", expected_start_date=MOMENT)
    for number in (1, 2):
        run(f"one_moment_{number}", "one_moment", expected_start_date=MOMENT)
    MicsCreateExecutionOperator.partial(
        task_id="mapped_moment", poll_interval=0.2, retries=0, deferrable=True, expected_start_date=MOMENT
    ).expand(instance_id=[I["one_moment"]] * 3)
    run("fails_deferred", "bad")
    run("fails_on_worker", "bad", deferrable=False)
    run("erroneous", "erroneous")
    run("erroneous_fails", "erroneous", fail_on_erroneous_tasks=True, retries=2, deferrable=False)
    run("late_deferred", "hang", timeout=0.6)
    run("late_on_worker", "hang", timeout=timedelta(seconds=0.6), deferrable=False)
    run("templated", "{{ dag_run.conf['instance'] }}", expected_start_date="{{ dag_run.conf['moment'] }}")
    run("retried", "retried", LosesItsWorkerOnce, retries=1, deferrable=False)
    run("refused", "999")
    MicsCreateExecutionOperator.partial(
        task_id="mapped", poll_interval=0.2, retries=0, deferrable=True
    ).expand(instance_id=[I["mapped"]] * 2)
    tick("platform_fired")
    tick("platform_fires_late", platform_grace=timedelta(days=30))
    tick("platform_is_silent", pre_execute=grace_of_two_more_seconds)
    tick("platform_is_silent_on_worker", pre_execute=grace_of_two_more_seconds, deferrable=False)
    tick("left_to_the_platform", platform_grace=None)
    tick("paused")
    tick("beside")
    for name in ("paused_meanwhile", "resumed_meanwhile", "canceled_meanwhile"):
        tick(name, expected_start_date=TICK + timedelta(days=2), retries=2)

with DAG("twice", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC)) as twice:
    run("run", "twice", deferrable=False)
"""
INSTANCES: dict[str, dict[str, Any]] = {
    "good": {"duration_s": 6},
    "bad": {"duration_s": 0.3, "outcome": "fail", "error_message": "no such table: clicks"},
    "erroneous": {"duration_s": 0.3, "num_tasks": 4, "erroneous_tasks": 3},
    "hang": {"outcome": "hang"},
    "found_running": {"outcome": "hang"},
    "found_succeeded": {"duration_s": 0},
    "found_canceled": {"outcome": "hang"},
    "templated": {"duration_s": 0},
    "retried": {"duration_s": 8},
    "mapped": {"duration_s": 0},
    "chosen_before": {"duration_s": 0},
    "one_moment": {"duration_s": 0},
    "twice": {"duration_s": 0},
}
TICKS = (
    "platform_fired",
    "platform_fires_late",
    "platform_is_silent",
    "platform_is_silent_on_worker",
    "left_to_the_platform",
    "paused",
    "beside",
    "paused_meanwhile",
    "resumed_meanwhile",
    "canceled_meanwhile",
)
MEANWHILE = ("paused_meanwhile", "resumed_meanwhile", "canceled_meanwhile")
"""Their ticks lie ahead, and the platform has created their executions."""


@dataclass
class Played:
    """A run of all cases, and the platform after it."""

    run: DagRun
    sandbox: SandboxServer
    instances: dict[str, str]
    folder: DagFolder
    environ: dict[str, str]

    def executions(self, instance: str) -> list[dict[str, Any]]:
        return self.sandbox.executions(self.instances[instance])


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def prepare(sandbox: SandboxServer) -> dict[str, str]:
    """Create the instances, and the executions from before the run."""
    ids = {name: sandbox.create_instance(name, properties=how) for name, how in INSTANCES.items()}
    for name in TICKS:
        status = "PAUSED" if name == "paused" else "ACTIVE"
        how = {"duration_s": 0}
        ids[name] = sandbox.create_instance(name, cron=DAILY, cron_status=status, properties=how)
    for name in ("found_running", "found_succeeded", "found_canceled"):
        created = sandbox.create_execution(ids[name], milliseconds(MOMENT), "CRON")
        if name == "found_canceled":
            sandbox.end_execution(created["id"], "CANCELED")
    sandbox.create_execution(ids["chosen_before"], milliseconds(MOMENT))
    sandbox.create_execution(ids["platform_fired"], milliseconds(TICK), "CRON")
    for name in MEANWHILE:
        sandbox.create_execution(ids[name], milliseconds(NEXT_TICK), "CRON")
    for days in (1, 2, 3):
        midnight_in_tokyo = TICK - timedelta(days=days, hours=9)
        sandbox.create_execution(ids["beside"], milliseconds(midnight_in_tokyo), "CRON")
    return ids


def fire_late(sandbox: SandboxServer, instance_id: str) -> None:
    """Create the tick's execution as the platform's scheduler would, after it was first looked for."""
    path = f"/v1/integration_batch_instances/{instance_id}/executions"

    def looks() -> int:
        return sum(each["path"] == path for each in sandbox.seen_requests())

    sandbox.wait_until(lambda: looks() >= 2, timeout_s=300)
    sandbox.create_execution(instance_id, milliseconds(TICK), "CRON")


def change_while_waited_for(sandbox: SandboxServer, ids: dict[str, str]) -> None:
    """Cancel each execution that lies ahead as soon as its task waits for it; pause two of their instances."""
    planned = {name: sandbox.executions(ids[name])[0]["id"] for name in MEANWHILE}

    def is_waited_for(name: str) -> bool:
        # First the task searches, then its trigger for a second execution of the tick.
        path = f"/v1/integration_batch_instances/{ids[name]}/executions"
        return sum(each["path"] == path for each in sandbox.seen_requests()) >= 2

    waiting = set(MEANWHILE)
    while waiting:
        name = sandbox.wait_until(lambda: next(filter(is_waited_for, waiting), None), timeout_s=300)
        waiting.remove(name)
        if name != "canceled_meanwhile":
            path = f"integration_batch_instances/{ids[name]}"
            sandbox.call("PUT", path, sandbox.call("GET", path) | {"cron_status": "PAUSED"})
        if name == "resumed_meanwhile":
            sandbox.call("PUT", path, sandbox.call("GET", path) | {"cron_status": "ACTIVE"})
            renewed = sandbox.create_execution(ids[name], milliseconds(NEXT_TICK), "CRON")
            sandbox.end_execution(renewed["id"], "SUCCEEDED")
        sandbox.end_execution(planned[name], "CANCELED")


@pytest.fixture(scope="module")
def played(airflow_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = DagFolder(copy_of(airflow_home, tmp_path_factory.mktemp("cases") / "airflow"))
    with SandboxServer() as sandbox:
        ids = prepare(sandbox)
        environ = {
            "AIRFLOW_CONN_MICS_DEFAULT": connection_to(sandbox),
            "INSTANCES": json.dumps(ids),
            "TICK": TICK.isoformat(),
        }
        platform = threading.Thread(target=fire_late, args=[sandbox, ids["platform_fires_late"]], daemon=True)
        platform.start()
        people = threading.Thread(target=change_while_waited_for, args=[sandbox, ids], daemon=True)
        people.start()
        conf = {"instance": ids["templated"], "moment": "2026-02-01T01:02:03.004+01:00"}
        run = folder.run(DAG_FILE, dag_id="cases", conf=conf, environ=environ)
        platform.join()
        people.join()
        yield Played(run, sandbox, ids, folder, environ)


def test_a_batch_runs_and_its_execution_is_the_value_of_the_task(played: Played) -> None:
    for task_id in ("deferred", "on_worker"):
        value = played.run.xcom(task_id)
        assert played.run.task(task_id).state == "success"
        assert value["status"] == "SUCCEEDED"
        assert value["id"] == str(played.run.xcom(task_id, "execution_id"))
        assert played.run.xcom(task_id, "mics_instance_link").endswith(played.instances["good"])


def test_erroneous_tasks_of_a_success_are_a_warning_or_a_failure_by_choice(played: Played) -> None:
    line = "SUCCEEDED, but 3 of 4 tasks were erroneous"
    assert played.run.task("erroneous").state == "success"
    assert line in log_of(played.run, "erroneous")
    failed = played.run.task("erroneous_fails")
    assert (failed.state, failed.try_number) == ("failed", 1)
    assert line in failure_of(played.run, "erroneous_fails")


def test_two_tasks_of_one_run_run_their_instance_twice(played: Played) -> None:
    assert len(played.executions("good")) == 2
    assert len(played.executions("mapped")) == 2
    ids = {played.run.xcom("mapped", "execution_id", index) for index in (0, 1)}
    assert len(ids) == 2


def test_two_dag_runs_are_two_executions(played: Played) -> None:
    for count in (1, 2):
        run = played.folder.run(
            played.folder.home / "dags" / "dag_under_test.py", dag_id="twice", environ=played.environ
        )
        assert run.state == "success"
        assert len(played.executions("twice")) == count


def test_the_log_has_each_step_of_the_execution(played: Played) -> None:
    for task_id in ("deferred", "on_worker"):
        log = log_of(played.run, task_id)
        number = played.run.xcom(task_id, "execution_id")
        name = f"xecution {number} of instance {played.instances['good']}"
        assert f"Created execution {number}: MANUAL execution of instance" in log
        assert f"E{name} is RUNNING since " in log
        assert " of 10 tasks done" in log
        assert f"E{name} SUCCEEDED after " in log
        # Airflow 3.0 logs its requests to its own API.
        assert not re.search(rf"HTTP Request: \w+ {re.escape(played.sandbox.url)}", log)


def test_without_waiting_the_execution_outlives_the_task(played: Played) -> None:
    assert played.run.task("not_waited_for").state == "success"
    started = str(played.run.xcom("not_waited_for")["id"])
    assert {each["id"]: each["status"] for each in played.executions("hang")}[started] == "RUNNING"


def test_an_existing_execution_is_found_and_not_created_again(played: Played) -> None:
    for task_id in ("found_running", "found_succeeded"):
        assert played.run.task(task_id).state == "success"
        assert len(played.executions(task_id)) == 1
        assert "Found execution" in log_of(played.run, task_id)


def test_a_batch_that_a_person_canceled_fails_the_task_without_retries(played: Played) -> None:
    task = played.run.task("found_canceled")
    assert (task.state, task.try_number) == ("failed", 1)
    assert failure_of(played.run, "found_canceled").endswith(
        "was CANCELED on the platform: the task is not retried"
    )


def test_a_failed_batch_fails_the_task_with_the_platforms_own_message(played: Played) -> None:
    for task_id in ("fails_deferred", "fails_on_worker"):
        assert played.run.task(task_id).state == "failed"
        assert "FAILED after " in failure_of(played.run, task_id)
        assert failure_of(played.run, task_id).endswith(": no such table: clicks")


def test_a_batch_that_takes_too_long_is_canceled_and_fails_the_task(played: Played) -> None:
    for task_id in ("late_deferred", "late_on_worker"):
        number = str(played.run.xcom(task_id, "execution_id"))
        assert played.run.task(task_id).state == "failed"
        assert "was not over at " in failure_of(played.run, task_id)
        assert "canceled it" in failure_of(played.run, task_id)
        statuses = {each["id"]: each["status"] for each in played.executions("hang")}
        assert statuses[number] == "CANCELED"


def test_the_instance_and_the_moment_can_be_templates(played: Played) -> None:
    [execution] = played.executions("templated")
    moment = milliseconds(datetime(2026, 2, 1, 0, 2, 3, 4000, tzinfo=UTC))
    assert moment <= execution["expected_start_date"] < moment - 4 + 1000


def test_a_moment_given_to_several_tasks_is_an_execution_for_each(played: Played) -> None:
    moments = [each["expected_start_date"] for each in played.executions("one_moment")]
    assert len(moments) == len(set(moments)) == 5
    assert {moment // 1000 for moment in moments} == {milliseconds(MOMENT) // 1000}
    assert min(moments) >= milliseconds(MOMENT)


def test_the_executions_of_others_for_the_moment_given_are_not_adopted(played: Played) -> None:
    assert played.run.task("chosen_before").state == "success"
    assert len(played.executions("chosen_before")) == 2


def test_a_retry_reuses_the_execution_of_the_first_try(played: Played) -> None:
    task = played.run.task("retried")
    assert (task.state, task.try_number) == ("success", 2)
    assert len(played.executions("retried")) == 1
    assert "Found execution" in log_of(played.run, "retried")


def test_an_api_error_is_one_line_with_its_error_id(played: Played) -> None:
    line = failure_of(played.run, "refused")
    assert (
        "integration batch instance 999 not found (HTTP 404, error_code RESOURCE_NOT_FOUND, error_id " in line
    )


def test_a_tick_that_the_platform_fired_is_not_run_again(played: Played) -> None:
    for task_id in ("platform_fired", "platform_fires_late"):
        assert played.run.task(task_id).state == "success"
        assert len(played.executions(task_id)) == 1
    assert "The platform fires this cron itself. Waiting until" in log_of(played.run, "platform_fires_late")


def test_a_tick_that_the_platform_does_not_fire_is_run_by_airflow_after_the_grace(played: Played) -> None:
    for task_id in ("platform_is_silent", "platform_is_silent_on_worker"):
        assert played.run.task(task_id).state == "success"
        [execution] = played.executions(task_id)
        assert execution["execution_type"] == "CRON"
        assert execution["expected_start_date"] == milliseconds(TICK)


def test_without_a_grace_the_task_fails_if_the_platform_does_not_fire(played: Played) -> None:
    assert played.run.task("left_to_the_platform").state == "failed"
    assert "No execution created: with platform_grace=None, only the platform creates it" in failure_of(
        played.run, "left_to_the_platform"
    )
    assert played.executions("left_to_the_platform") == []


def test_a_tick_that_a_pause_cancels_while_its_task_waits_is_skipped(played: Played) -> None:
    assert played.run.task("paused_meanwhile").state == "skipped"
    assert "is PAUSED on the platform: nothing to run at" in log_of(played.run, "paused_meanwhile")
    assert len(played.executions("paused_meanwhile")) == 1


def test_a_tick_that_a_pause_canceled_is_still_due_after_the_pause(played: Played) -> None:
    assert played.run.task("resumed_meanwhile").state == "success"
    assert [each["status"] for each in played.executions("resumed_meanwhile")] == ["CANCELED", "SUCCEEDED"]


def test_a_tick_that_a_person_cancels_fails_its_task_without_retries(played: Played) -> None:
    canceled = played.run.task("canceled_meanwhile")
    assert (canceled.state, canceled.try_number) == ("failed", 1)
    assert len(played.executions("canceled_meanwhile")) == 1


def test_the_tick_of_a_paused_instance_is_skipped(played: Played) -> None:
    assert played.run.task("paused").state == "skipped"
    assert "is PAUSED on the platform: nothing to run at" in log_of(played.run, "paused")
    assert played.executions("paused") == []


def test_a_history_in_another_time_zone_creates_nothing_and_names_the_zone(
    played: Played,
) -> None:
    assert played.run.task("beside").state == "failed"
    line = failure_of(played.run, "beside")
    assert "no execution created for" in line
    assert "set the connection's timezone to 'Asia/Tokyo'" in line
    assert len(played.executions("beside")) == 3


def test_no_token_is_in_any_log_or_xcom(played: Played) -> None:
    assert played.sandbox.token not in played.run.log
    assert played.sandbox.token not in json.dumps(list(played.run.xcoms.values()))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"poll_interval": 0}, "poll_interval 0 must be above 0 seconds"),
        ({"timeout": -1}, "must be above 0 seconds"),
        ({"timeout": 5, "wait_for_completion": False}, "wait_for_completion=False waits for nothing"),
        ({"platform_grace": timedelta(seconds=-1)}, "must not be below 0 seconds"),
        (
            {"cron": DAILY, "tick_context": TickContext(DAILY, "UTC", None)},
            "give cron or tick_context, not both",
        ),
        ({"execution_type": "cron-like"}, "execution_type 'cron-like' is not one of MANUAL, CRON"),
        ({"instance_id": ""}, "instance_id"),
        ({"expected_start_date": datetime(2026, 1, 1)}, "has no time zone"),  # noqa: DTZ001
        *(
            ({"cron": cron}, f"run: cron {cron!r} ".replace("*", r"\*"))
            for cron in ("*/5 * * *", "@daily", "{{ params.c }}", " ", 5)
        ),
    ],
)
def test_invalid_arguments_are_refused_when_the_dag_is_parsed(
    arguments: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        MicsCreateExecutionOperator(**{"task_id": "run", "instance_id": "42"} | arguments)


@pytest.mark.parametrize("cron", ["", None])
def test_an_instance_without_a_cron_has_no_ticks(cron: str | None) -> None:
    """A Variable without a value, or ``instance.cron or ""``, must not make a tick of each run."""
    assert MicsCreateExecutionOperator(task_id="run", instance_id="42", cron=cron).tick_context.cron is None
