"""Who stopped a waiting task: a user, which cancels the batch, or Airflow's machinery, which leaves it alone.

In a real Airflow: its triggerer, its workers, its clear and its mark.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from airflow_provider_mics.runtime import on_kill
from airflow_provider_mics.runtime.on_kill import TaskWait, was_killed_by_user, was_killed_by_user_async
from local_airflow.components import IS_AIRFLOW_2, SOON_TAKEN_FOR_DEAD, LocalAirflow
from local_airflow.home import copy_of
from tests.provider.mics_connections import connection_to
from tests.sandbox_server import SandboxServer

SECONDS_TO_CANCEL = 45  # some three on a machine that has nothing else to do
CASES = ("marked", "mapped", "cleared", "restarted", "kept", "on_worker", "submitting", "killed")
DAGS = """
import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.airflow_names import DAG
from airflow_provider_mics.operators import MicsCreateExecutionOperator

INSTANCES = json.loads(os.environ["INSTANCES"])
START = datetime(2024, 1, 1, tzinfo=UTC)


def note_process(context):
    Path(os.environ["PROCESS_FILE"]).write_text(str(os.getpid()))


class StoppedWhileItSubmits(MicsCreateExecutionOperator):
    is_stopped = False

    def on_kill(self):
        super().on_kill()
        self.is_stopped = True

    def _submit(self, *arguments, **more):
        Path(os.environ["SUBMITTING_FILE"]).write_text(str(os.getpid()))
        while not self.is_stopped:
            time.sleep(0.1)
        return super()._submit(*arguments, **more)


def waiting(name, kind=MicsCreateExecutionOperator, **arguments):
    settings = {"task_id": "run", "deferrable": True, "poll_interval": 1, "retries": 0} | arguments
    with DAG(name, schedule=None, start_date=START) as dag:
        if name == "mapped":
            MicsCreateExecutionOperator.partial(**settings).expand(instance_id=[INSTANCES[name]] * 2)
        else:
            kind(instance_id=INSTANCES[name], **settings)
    return dag


for dag in (
    waiting("marked"),
    waiting("mapped"),
    waiting("cleared"),
    waiting("restarted"),
    waiting("kept", cancel_on_kill=False),
    waiting("on_worker", deferrable=False),
    waiting("submitting", StoppedWhileItSubmits),
    waiting(
        "killed", deferrable=False, retries=1, retry_delay=timedelta(seconds=1), pre_execute=note_process
    ),
):
    globals()[dag.dag_id] = dag
"""


@dataclass
class Stage:
    """The running Airflow, the platform, and an instance that never ends for each case."""

    airflow: LocalAirflow
    sandbox: SandboxServer
    instances: dict[str, str]
    process_file: Path
    submitting_file: Path
    runs: dict[str, str] = field(default_factory=dict)

    def begin(self, case: str, executions: int = 1) -> str:
        """Start the DAG of a case, and wait until its batch runs and its task waits; the run id."""
        run_id = self.runs[case] = self.airflow.trigger(case)
        self.airflow.until(lambda: len(self.statuses(case)) == executions, 120)
        # The waiting task logs this line; before it, the triggerer may still be starting.
        self.airflow.until(lambda: self.airflow.task_log(case).count("is RUNNING since") == executions)
        return run_id

    def state(self, case: str, map_index: int = -1) -> str | None:
        return self.airflow.api.task_state(case, self.runs[case], "run", map_index)

    def statuses(self, case: str) -> list[str]:
        return [each["status"] for each in self.sandbox.executions(self.instances[case])]

    def link_opens_its_instance(self, case: str, map_index: int = -1) -> bool:
        """Whether the link is there while the task waits."""
        link = self.airflow.api.link(case, self.runs[case], "run", map_index)
        return link.endswith(f"/integration_batch_instances/{self.instances[case]}")

    def becomes(self, case: str, statuses: list[str]) -> bool:
        """Whether the executions stand so within the seconds in which a person expects it."""
        self.airflow.until(lambda: self.statuses(case) == statuses, SECONDS_TO_CANCEL)
        return True


@pytest.fixture(scope="module")
def stage(airflow_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("stopping")
    home = copy_of(airflow_home, folder / "airflow")
    (home / "dags" / "waiting_dags.py").write_text(DAGS)
    with SandboxServer() as sandbox:
        instances = {case: sandbox.create_instance(case, properties={"outcome": "hang"}) for case in CASES}
        environ = {
            "AIRFLOW_CONN_MICS_DEFAULT": connection_to(sandbox),
            "INSTANCES": json.dumps(instances),
            "PROCESS_FILE": str(folder / "process"),
            "SUBMITTING_FILE": str(folder / "submitting"),
            "AIRFLOW__SCHEDULER__LOCAL_TASK_JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            **SOON_TAKEN_FOR_DEAD,
        }
        with LocalAirflow(home, environ) as airflow:
            yield Stage(airflow, sandbox, instances, folder / "process", folder / "submitting")


@pytest.mark.long
def test_marking_a_deferred_task_failed_cancels_its_execution_within_seconds(stage: Stage) -> None:
    run_id = stage.begin("marked")
    stage.airflow.api.set_task_state("marked", run_id, "run", "failed")
    assert stage.becomes("marked", ["CANCELED"])


@pytest.mark.long
def test_stopping_one_mapped_task_cancels_only_its_execution(stage: Stage) -> None:
    run_id = stage.begin("mapped", executions=2)
    assert stage.link_opens_its_instance("mapped", map_index=1)
    stage.airflow.api.set_task_state("mapped", run_id, "run", "failed", map_index=0)
    stage.airflow.until(lambda: "CANCELED" in stage.statuses("mapped"), SECONDS_TO_CANCEL)
    assert sorted(stage.statuses("mapped")) == ["CANCELED", "RUNNING"]
    assert stage.state("mapped", 1) == "deferred"


@pytest.mark.long
def test_clearing_a_deferred_task_cancels_the_old_execution_and_not_the_new_one(stage: Stage) -> None:
    run_id = stage.begin("cleared")
    stage.airflow.api.clear_task("cleared", run_id, "run")
    assert stage.becomes("cleared", ["CANCELED", "RUNNING"])
    stage.airflow.until(lambda: stage.state("cleared") == "deferred")
    assert stage.statuses("cleared") == ["CANCELED", "RUNNING"]
    # The new try asks the old execution to stop before it creates its own.
    path = f"/v1/integration_batch_instances/{stage.instances['cleared']}/executions"
    posts = [each["path"] for each in stage.sandbox.seen_requests() if each["method"] == "POST"]
    own = [each.removeprefix(path) for each in posts if each.startswith(path)]
    old = stage.sandbox.executions(stage.instances["cleared"])[0]["id"]
    assert own[:3].index(f"/{old}/action") < own.index("", 1)


@pytest.mark.long
def test_without_cancel_on_kill_the_execution_outlives_the_task(stage: Stage) -> None:
    run_id = stage.begin("kept")
    assert stage.link_opens_its_instance("kept")
    stage.airflow.api.set_task_state("kept", run_id, "run", "failed")
    stage.airflow.until(lambda: stage.state("kept") == "failed")
    assert stage.statuses("kept") == ["RUNNING"]


@pytest.mark.long
def test_a_triggerer_restart_cancels_nothing_and_the_task_keeps_waiting(stage: Stage) -> None:
    stage.begin("restarted")
    executions = stage.sandbox.executions(stage.instances["restarted"])
    stage.airflow.stop("triggerer")
    assert stage.statuses("restarted") == ["RUNNING"]
    stage.airflow.start("triggerer")
    asked = stage.sandbox.counters()
    stage.airflow.until(lambda: stage.sandbox.counters() != asked)
    assert stage.state("restarted") == "deferred"
    assert stage.statuses("restarted") == ["RUNNING"]
    stage.sandbox.end_execution(executions[0]["id"], "SUCCEEDED")
    stage.airflow.until(lambda: stage.state("restarted") == "success")
    assert stage.statuses("restarted") == ["SUCCEEDED"]


@pytest.mark.long
def test_marking_a_running_task_failed_cancels_its_execution(stage: Stage) -> None:
    run_id = stage.begin("on_worker")
    assert stage.link_opens_its_instance("on_worker")
    stage.airflow.api.set_task_state("on_worker", run_id, "run", "failed")
    assert stage.becomes("on_worker", ["CANCELED"])


@pytest.mark.long
def test_a_task_that_is_marked_failed_before_its_request_starts_nothing(stage: Stage) -> None:
    run_id = stage.runs["submitting"] = stage.airflow.trigger("submitting")
    stage.airflow.until(lambda: stage.submitting_file.exists() and stage.submitting_file.read_text(), 120)
    process = Path("/proc", stage.submitting_file.read_text())
    stage.airflow.api.set_task_state("submitting", run_id, "run", "failed")
    stage.airflow.until(lambda: not process.exists(), SECONDS_TO_CANCEL)
    assert stage.statuses("submitting") == []
    assert stage.state("submitting") == "failed"
    if not IS_AIRFLOW_2:
        assert "was not started" in stage.airflow.task_log("submitting")


@pytest.mark.long
def test_the_retry_after_a_killed_worker_reuses_the_execution(stage: Stage) -> None:
    stage.begin("killed")
    first = int(stage.process_file.read_text())
    os.kill(first, signal.SIGKILL)
    stage.airflow.until(lambda: int(stage.process_file.read_text()) != first, 120)
    stage.airflow.until(lambda: "Found execution" in stage.airflow.task_log("killed"))
    executions = stage.sandbox.executions(stage.instances["killed"])
    assert [each["status"] for each in executions] == ["RUNNING"]
    stage.sandbox.end_execution(executions[0]["id"], "SUCCEEDED")
    stage.airflow.until(lambda: stage.state("killed") == "success")


@pytest.mark.long
def test_the_logs_name_the_canceled_execution(stage: Stage) -> None:
    if not {"marked", "on_worker"} <= set(stage.runs):
        pytest.skip("needs the tests before it")
    assert "The task was stopped: canceled execution" in stage.airflow.task_log("marked")
    if not IS_AIRFLOW_2:
        assert "The task was stopped: canceled execution" in stage.airflow.task_log("on_worker")
    for case in CASES:
        assert "HTTP Request" not in stage.airflow.task_log(case)
        assert stage.sandbox.token not in stage.airflow.task_log(case)


class KnownAnswer(TaskWait):
    """A query with a known answer; the tests above ask a real Airflow."""

    def still_waits(self) -> bool:
        if self.task_id == "silent":
            time.sleep(1)
        if self.task_id == "broken":
            raise RuntimeError("the supervisor is gone")
        return self.task_id == "waits"


@pytest.mark.parametrize(
    ("answer", "stopped"), [("waits", False), ("gone", True), ("silent", False), ("broken", False)]
)
async def test_only_a_clear_answer_means_that_a_user_stopped_the_task(answer: str, stopped: bool) -> None:
    waiting = KnownAnswer("dag", answer, "run", -1, "7")
    assert was_killed_by_user(waiting, 0.3) is stopped
    assert await was_killed_by_user_async(waiting, 0.3) is stopped


@pytest.mark.skipif(IS_AIRFLOW_2, reason="no task has a supervisor on Airflow 2")
@pytest.mark.parametrize("is_test_run", [True, False])
def test_no_other_thread_asks_the_supervisor_that_a_test_run_plays_itself(
    monkeypatch: pytest.MonkeyPatch, is_test_run: bool
) -> None:
    from airflow.sdk.execution_time import task_runner

    channel = SimpleNamespace(**({"supervisor": object()} if is_test_run else {}))
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", channel, raising=False)
    with on_kill.supervisor_watched(TaskWait("dag", "task", "run", -1, "7")):
        assert (on_kill._watches == []) == is_test_run
