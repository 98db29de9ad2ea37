"""The sensor in real DAG runs: by id and by tick, on a worker, rescheduled and deferred."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow import __version__ as airflow_version

from airflow_provider_mics.outage_triggers import MicsOutageTrigger
from airflow_provider_mics.runtime.trigger_events import timed_out
from airflow_provider_mics.sensors import MicsExecutionSensor
from local_airflow.home import copy_of
from tests.airflow_names import AirflowException, TaskDeferred
from tests.provider.dag_runs import DagFolder, DagRun
from tests.provider.mics_connections import connection_to
from tests.provider.task_logs import failure_of, log_of
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.long
counts_from_first_start = pytest.mark.skipif(
    airflow_version.startswith("3.0."),
    reason="in dag.test(), Airflow 3.0 gives a rescheduled sensor its first start as text, and fails on it",
)

TICK = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
HEADER = """
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.airflow_names import DAG
from airflow_provider_mics.sensors import MicsExecutionSensor


def three_seconds_from_the_first_start(context):
    file = Path(os.environ["APPEAR_TIMEOUT_FILE"])
    if not file.exists():
        now = datetime.now(UTC)
        file.write_text(str((now - (context["ti"].start_date or now)).total_seconds() + 3))
    context["task"].appear_timeout = float(file.read_text())
"""
DAG_FILE = (
    HEADER
    + """
I = json.loads(os.environ["INSTANCES"])
E = json.loads(os.environ["EXECUTIONS"])
TICK = os.environ["TICK"]


def watch(task_id, instance, **arguments):
    settings = {"poke_interval": 0.2, "poll_interval": 0.2, "retries": 0, "deferrable": False}
    MicsExecutionSensor(task_id=task_id, instance_id=I[instance], **settings | arguments)


with DAG("watching", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC)) as watching:
    for how, arguments in {"poked": {}, "deferred": {"deferrable": True}}.items():
        watch(f"by_id_{how}", how, execution_id="{{ dag_run.conf['%s'] }}" % how, **arguments)
        watch(f"bad_{how}", "bad", execution_id=E["bad"], **arguments)
        watch(f"over_{how}", "over", expected_start_date=TICK, **arguments)
        watch(f"late_{how}", f"late_{how}", expected_start_date=TICK, **arguments)
        watch(f"never_{how}", "never", expected_start_date=TICK, appear_timeout=0.5, **arguments)
        watch(f"never_{how}_soft", "never", expected_start_date=TICK, appear_timeout=0.5, soft_fail=True, **arguments)
        watch(f"hangs_{how}", "hang", execution_id=E["hang"], timeout=1, **arguments)
        watch(f"hangs_{how}_soft", "hang", execution_id=E["hang"], timeout=1, soft_fail=True, **arguments)
    watch(
        "overdue", "hang", execution_id=E["hang"], deferrable=True, execution_timeout=timedelta(seconds=2), timeout=300
    )
    watch(
        "overdue_tick", "never", expected_start_date=TICK, deferrable=True, execution_timeout=timedelta(seconds=2)
    )
    watch("bad_soft", "bad", execution_id=E["bad"], soft_fail=True)
    watch("unknown", "bad", execution_id="4711")
    never = {"never_fail": True, "deferrable": True}
    watch("never_fails_hang", "hang", execution_id=E["hang"], timeout=1, **never)
    watch("never_fails_late_failure", "fails_late", execution_id=E["fails_late"], **never)
    watch("never_fails_unknown", "bad", execution_id="4711", timeout=2, **never)
    watch("never_fails_tick", "never", expected_start_date=TICK, appear_timeout=3, **never)
    rarely = {"mode": "reschedule", "poke_interval": 1}
    watch("rescheduled", "rescheduled", execution_id=E["rescheduled"], **rarely)
    prepare = three_seconds_from_the_first_start
    watch("never_rescheduled", "never", expected_start_date=TICK, pre_execute=prepare, **rarely)
"""
)
ENDED_BY_HAND = {"poked": 2, "deferred": 1, "rescheduled": 2}
"""Instances whose execution ends after this number of requests."""
INSTANCES: dict[str, dict[str, Any]] = {
    **{name: {"outcome": "hang"} for name in ENDED_BY_HAND},
    "bad": {"duration_s": 0, "outcome": "fail", "error_message": "no such table: clicks"},
    "hang": {"outcome": "hang"},
    "fails_late": {"outcome": "hang"},
}
ALL_EXECUTIONS = "/v1/integration_batch_instances.executions"
TICKS = ("over", "late_poked", "late_deferred", "never")


@dataclass
class Watched:
    run: DagRun
    sandbox: SandboxServer
    instances: dict[str, str]


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def fire_late(sandbox: SandboxServer, instance_id: str) -> None:
    """Create the tick's execution as the platform's scheduler would, after it was first looked for."""
    of_instance = f"/v1/integration_batch_instances/{instance_id}/executions"

    def is_awaited() -> bool:
        paths = [each["path"] for each in sandbox.seen_requests()]
        later = paths[paths.index(of_instance) + 1 :] if of_instance in paths else []
        return of_instance in later or ALL_EXECUTIONS in later  # whichever of them serves a wait

    sandbox.wait_until(is_awaited, timeout_s=300)
    sandbox.create_execution(instance_id, milliseconds(TICK), "CRON")


def end_late(
    sandbox: SandboxServer, instance_id: str, execution_id: str, looks: int, status: str = "SUCCEEDED"
) -> None:
    wait_for_looks(sandbox, f"/v1/integration_batch_instances/{instance_id}/executions/{execution_id}", looks)
    sandbox.end_execution(execution_id, status)


def wait_for_looks(sandbox: SandboxServer, path: str, looks: int) -> None:
    sandbox.wait_until(
        lambda: sum(each["path"] == path for each in sandbox.seen_requests()) >= looks, timeout_s=300
    )


@pytest.fixture(scope="module")
def watched(airflow_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = DagFolder(copy_of(airflow_home, tmp_path_factory.mktemp("watching") / "airflow"))
    with SandboxServer() as sandbox:
        ids = {name: sandbox.create_instance(name, properties=how) for name, how in INSTANCES.items()}
        for name in TICKS:
            ids[name] = sandbox.create_instance(name, cron="0 0 * * *", properties={"duration_s": 0})
        executions = {name: sandbox.create_execution(ids[name])["id"] for name in INSTANCES}
        sandbox.create_execution(ids["over"], milliseconds(TICK), "CRON")
        environ = {
            "AIRFLOW_CONN_MICS_DEFAULT": connection_to(sandbox),
            "INSTANCES": json.dumps(ids),
            "EXECUTIONS": json.dumps(executions),
            "TICK": TICK.isoformat(),
            "APPEAR_TIMEOUT_FILE": str(folder.home / "appear_timeout"),
        }
        platform = [
            threading.Thread(target=fire_late, args=[sandbox, ids[name]], daemon=True)
            for name in ("late_poked", "late_deferred")
        ] + [
            threading.Thread(target=end_late, args=[sandbox, ids[name], executions[name], looks], daemon=True)
            for name, looks in ENDED_BY_HAND.items()
        ]
        failing = [sandbox, ids["fails_late"], executions["fails_late"], 1, "FAILED"]
        platform.append(threading.Thread(target=end_late, args=failing, daemon=True))
        for thread in platform:
            thread.start()
        conf = {how: executions[how] for how in ("poked", "deferred")}
        run = folder.run(DAG_FILE, conf=conf, environ=environ)
        for thread in platform:
            thread.join()
        yield Watched(run, sandbox, ids)


@pytest.mark.parametrize("how", ["poked", "deferred"])
class TestInEachMode:
    """Poking on a worker and waiting in a trigger have the same results."""

    def test_an_execution_by_its_id_is_waited_for(self, watched: Watched, how: str) -> None:
        task_id = f"by_id_{how}"
        assert watched.run.task(task_id).state == "success"
        assert watched.run.xcom(task_id)["status"] == "SUCCEEDED"
        assert watched.run.xcom(task_id, "mics_instance_link").endswith(watched.instances[how])
        assert " SUCCEEDED after " in log_of(watched.run, task_id)

    def test_a_failed_execution_fails_with_the_platforms_message(self, watched: Watched, how: str) -> None:
        assert watched.run.task(f"bad_{how}").state == "failed"
        assert failure_of(watched.run, f"bad_{how}").endswith("no such table: clicks")

    def test_the_execution_of_a_tick_that_is_over_already_is_found(self, watched: Watched, how: str) -> None:
        assert watched.run.task(f"over_{how}").state == "success"
        assert watched.run.xcom(f"over_{how}")["parameters"]["execution_type"] == "CRON"

    def test_the_execution_of_a_tick_may_appear_late(self, watched: Watched, how: str) -> None:
        assert watched.run.task(f"late_{how}").state == "success"
        assert watched.run.xcom(f"late_{how}")["status"] == "SUCCEEDED"

    def test_a_tick_that_is_never_fired_is_a_clear_failure(self, watched: Watched, how: str) -> None:
        assert watched.run.task(f"never_{how}").state == "failed"
        line = failure_of(watched.run, f"never_{how}")
        assert "the platform created no execution for the tick of" in line
        assert line.endswith("within 0.5 s")

    def test_a_soft_sensor_skips_where_it_would_fail(self, watched: Watched, how: str) -> None:
        assert watched.run.task(f"never_{how}_soft").state == "skipped"
        assert watched.run.task(f"hangs_{how}_soft").state == "skipped"

    def test_the_timeout_fails_the_task_and_leaves_the_batch_alone(self, watched: Watched, how: str) -> None:
        assert watched.run.task(f"hangs_{how}").state == "failed"
        [execution] = watched.sandbox.executions(watched.instances["hang"])
        assert execution["status"] == "RUNNING"


def test_a_soft_sensor_skips_on_a_failed_batch(watched: Watched) -> None:
    assert watched.run.task("bad_soft").state == "skipped"


@pytest.mark.parametrize("case", ["hang", "late_failure", "unknown", "tick"])
def test_a_sensor_that_never_fails_skips_after_a_deferral_too(watched: Watched, case: str) -> None:
    assert watched.run.task(f"never_fails_{case}").state == "skipped"


def test_a_missing_execution_is_one_clear_line(watched: Watched) -> None:
    assert watched.run.task("unknown").state == "failed"
    assert "4711" in failure_of(watched.run, "unknown")
    assert "error_id" in failure_of(watched.run, "unknown")


@counts_from_first_start
def test_a_rescheduled_sensor_waits_without_a_worker(watched: Watched) -> None:
    assert watched.run.task("rescheduled").state == "success"
    assert watched.run.log.count("[DAG TEST] starting task_id=rescheduled") >= 2


@counts_from_first_start
def test_a_rescheduled_sensor_counts_from_its_first_start(watched: Watched) -> None:
    assert watched.run.task("never_rescheduled").state == "failed"
    assert "created no execution for the tick of" in failure_of(watched.run, "never_rescheduled")
    assert watched.run.log.count("[DAG TEST] starting task_id=never_rescheduled") >= 2


def test_a_sensor_creates_no_execution(watched: Watched) -> None:
    assert watched.sandbox.executions(watched.instances["never"]) == []
    assert "outside TaskInstance" not in watched.run.log
    assert watched.sandbox.token not in watched.run.log


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            {"execution_id": "1", "expected_start_date": TICK},
            "give execution_id or expected_start_date, not both",
        ),
        ({"poll_interval": 0}, "poll_interval 0 must be above 0 seconds"),
        ({"appear_timeout": -1}, "appear_timeout -1 must not be below 0"),
        *(
            ({"instance_id": wrong}, "watch: instance_id .* is not an id")
            for wrong in (None, "", True, "None", 1.5)
        ),
        *(
            ({"execution_id": wrong}, "watch: execution_id .* is not an id")
            for wrong in ("", "None", "1 2", True)
        ),
        ({"expected_start_date": datetime(2026, 1, 1)}, "has no time zone"),  # noqa: DTZ001
        ({"expected_start_date": 1.5}, "is not a moment"),
        ({"expected_start_date": 1767225600}, "looks like seconds"),
        ({"expected_start_date": -5}, "is negative"),
    ],
)
def test_invalid_arguments_are_refused_when_the_dag_is_parsed(
    arguments: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        MicsExecutionSensor(**{"task_id": "watch", "instance_id": "42"} | arguments)


@pytest.mark.parametrize("task_id", ["overdue", "overdue_tick"])
def test_the_execution_timeout_of_a_deferred_sensor_ends_it(watched: Watched, task_id: str) -> None:
    assert watched.run.task(task_id).state == "failed"
    assert "execution_timeout has passed" in failure_of(watched.run, task_id)
    assert watched.sandbox.executions(watched.instances["hang"])[0]["status"] == "RUNNING"


@pytest.mark.parametrize(
    ("arguments", "poked", "polled"),
    [
        ({}, 60, 60),
        ({"poke_interval": 7}, 7, 7),
        ({"poll_interval": timedelta(seconds=5)}, 5, 5),
        ({"poke_interval": 7, "poll_interval": 5}, 7, 5),
    ],
)
def test_one_interval_holds_whether_deferred_or_not(
    arguments: dict[str, Any], poked: float, polled: float
) -> None:
    sensor = MicsExecutionSensor(task_id="watch", instance_id="42", **arguments)
    assert float(sensor.poke_interval) == poked
    assert sensor.poll_interval == polled


OUTAGE_DAG = (
    HEADER
    + """
with DAG("outage", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC)) as outage:
    MicsExecutionSensor(
        task_id="watch",
        instance_id=os.environ["INSTANCE"],
        expected_start_date=os.environ["TICK"],
        deferrable=True,
        poll_interval=0.5,
        pre_execute=three_seconds_from_the_first_start,
    )
"""
)


def test_an_outage_is_not_taken_for_a_tick_that_was_not_fired(
    dag_folder: DagFolder, mics_default: SandboxServer
) -> None:
    """The platform goes down after the first look, fires the tick, and is back after ``appear_timeout``."""
    instance_id = mics_default.create_instance(cron="0 0 * * *", properties={"duration_s": 0})

    def go_down() -> None:
        wait_for_looks(mics_default, f"/v1/integration_batch_instances/{instance_id}/executions", 1)
        mics_default.faults([{"kind": "503", "method": "GET", "ends_after_s": 6}])
        mics_default.create_execution(instance_id, milliseconds(TICK), "CRON")

    platform = threading.Thread(target=go_down, daemon=True)
    platform.start()
    environ = {
        "INSTANCE": instance_id,
        "TICK": TICK.isoformat(),
        "APPEAR_TIMEOUT_FILE": str(dag_folder.home / "appear_timeout"),
    }
    run = dag_folder.run(OUTAGE_DAG, environ=environ)
    platform.join()
    assert run.task("watch").state == "success"


def after_the_time_for_the_tick(instance_id: str, timeout: float) -> Any:
    """Resume a sensor that began ten minutes ago. A ``dag.test()`` of Airflow 3 forgets when its task began."""
    sensor = MicsExecutionSensor(
        task_id="watch", instance_id=instance_id, expected_start_date=TICK,
        deferrable=True, appear_timeout=60, timeout=timeout,
    )  # fmt: skip
    ti = SimpleNamespace(start_date=datetime.now(UTC) - timedelta(minutes=10), xcom_push=lambda **_: None)
    context: Any = {"ti": ti, "task": sensor}
    return sensor.after_creation(context, timed_out("", "the platform did not create it"))


@pytest.mark.parametrize(
    ("timeout", "failure"),
    [(3600, TaskDeferred), (300, AirflowException)],
    ids=["time is left", "time is up"],
)
@pytest.mark.parametrize("is_down", [True, False])
def test_a_deferred_sensor_looks_once_more_when_the_time_for_the_tick_is_over(
    mics_default: SandboxServer, timeout: float, failure: type[BaseException], is_down: bool
) -> None:
    instance_id = mics_default.create_instance(cron="0 0 * * *", properties={"duration_s": 0})
    if is_down:
        mics_default.faults([{"kind": "gateway", "parameters": {"status": 404}}])
    with pytest.raises(failure if is_down else AirflowException) as raised:
        after_the_time_for_the_tick(instance_id, timeout)
    if isinstance(raised.value, TaskDeferred):
        assert type(raised.value.trigger) is MicsOutageTrigger
    else:
        assert ("was unreachable until" in str(raised.value)) is is_down
        assert ("created no execution" in str(raised.value)) is not is_down
    mics_default.clear_faults()
    mics_default.create_execution(instance_id, milliseconds(TICK), "CRON")
    mics_default.wait_until(lambda: mics_default.executions(instance_id)[0]["status"] == "SUCCEEDED")
    assert after_the_time_for_the_tick(instance_id, timeout)["status"] == "SUCCEEDED"
