"""A live worker that the scheduler takes for dead, and batches as short as a loop of the scheduler.

In a real Airflow, with the real detection of tasks without a heartbeat. Takes some minutes: make chaos.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from local_airflow.components import IS_AIRFLOW_2, LocalAirflow
from local_airflow.home import copy_of
from tests.case_counts import IS_FULL
from tests.provider.mics_connections import connection_to
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.skipif(not IS_FULL, reason="takes some minutes: make chaos")
HEARTBEAT_TIMEOUT = 30
DETECTION_SECONDS = 240
SHORT_BATCHES = 12
DAGS = """
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.airflow_names import DAG
from airflow_provider_mics.operators import MicsCreateExecutionOperator

INSTANCES = json.loads(os.environ["INSTANCES"])
START = datetime(2024, 1, 1, tzinfo=UTC)


def note_process(context):
    folder = Path(os.environ["PROCESS_FOLDER"])
    (folder / f"{context['dag'].dag_id}.{context['ti'].try_number}").write_text(f"{os.getpid()} {os.getppid()}")


def waiting(name, **arguments):
    settings = {"task_id": "run", "poll_interval": 1, "deferrable": False, "pre_execute": note_process}
    with DAG(name, schedule=None, start_date=START) as dag:
        MicsCreateExecutionOperator(instance_id=INSTANCES[name], **settings | arguments)
    return dag


alone = waiting("alone", retries=0)
retried = waiting("retried", retries=1, retry_delay=timedelta(seconds=1))
marked = waiting("marked", retries=0)
with DAG("short", schedule=None, start_date=START) as short:
    MicsCreateExecutionOperator.partial(task_id="run", poll_interval=1, deferrable=True, retries=0).expand(
        instance_id=[INSTANCES["short"]] * int(os.environ["SHORT_BATCHES"])
    )
"""


@dataclass
class Stage:
    airflow: LocalAirflow
    sandbox: SandboxServer
    instances: dict[str, str]
    folder: Path

    def begin(self, case: str) -> str:
        """Start the DAG of a case, and wait until its batch runs; the run id."""
        run_id = self.airflow.trigger(case)
        self.airflow.until(lambda: self.statuses(case) == ["RUNNING"], 180)
        return run_id

    def process(self, case: str, try_number: int = 1) -> tuple[int, int] | None:
        """The process of a try, and its supervisor."""
        file = self.folder / f"{case}.{try_number}"
        ids = file.read_text().split() if file.exists() else []
        return (int(ids[0]), int(ids[1])) if len(ids) == 2 else None

    def statuses(self, case: str) -> list[str]:
        return [each["status"] for each in self.sandbox.executions(self.instances[case])]

    def presumed_dead(self, case: str, until: Callable[[], Any]) -> None:
        """Let the supervisor of the first try stand still until something holds, and wait until the try was stopped.

        Airflow 2 leaves the old try alone as long as a new one is running.
        """
        task, supervisor = self.process(case) or (0, 0)
        os.kill(supervisor, signal.SIGSTOP)
        try:
            self.airflow.until(until, DETECTION_SECONDS)
        finally:
            os.kill(supervisor, signal.SIGCONT)
        if not (IS_AIRFLOW_2 and self.process(case, 2)):
            self.airflow.until(lambda: not psutil.pid_exists(task), 120)


@pytest.fixture(scope="module")
def stage(airflow_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("presumed_dead")
    home = copy_of(airflow_home, folder / "airflow")
    (home / "dags" / "presumed_dead.py").write_text(DAGS)
    with SandboxServer() as sandbox:
        instances = {
            case: sandbox.create_instance(case, properties={"outcome": "hang"})
            for case in ("alone", "retried", "marked")
        }
        instances["short"] = sandbox.create_instance("short", properties={"duration_s": 1})
        environ = {
            "AIRFLOW_CONN_MICS_DEFAULT": connection_to(sandbox),
            "INSTANCES": json.dumps(instances),
            "PROCESS_FOLDER": str(folder),
            "SHORT_BATCHES": str(SHORT_BATCHES),
            # The executor of 2.11 for SQLite blocks its scheduler while a task runs: nothing would be detected.
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": str(HEARTBEAT_TIMEOUT),
            "AIRFLOW__SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "3",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
        }
        with LocalAirflow(home, environ) as airflow:
            yield Stage(airflow, sandbox, instances, folder)


def test_the_batch_of_a_live_worker_that_was_taken_for_dead_goes_on(stage: Stage) -> None:
    run_id = stage.begin("alone")
    stage.presumed_dead(
        "alone", until=lambda: stage.airflow.api.task_state("alone", run_id, "run") == "failed"
    )
    assert stage.statuses("alone") == ["RUNNING"]
    assert "but not by a user" in stage.airflow.task_log("alone")


def test_the_old_worker_leaves_the_execution_to_a_new_try_that_is_still_looking(stage: Stage) -> None:
    run_id = stage.begin("retried")
    path = f"/v1/integration_batch_instances/{stage.instances['retried']}/executions"
    slowly = {"bytes_at_a_time": 16, "delay_s": 1}
    stage.sandbox.faults([{"kind": "slow", "method": "GET", "path": f"{path}$", "parameters": slowly}])
    stage.presumed_dead("retried", until=lambda: stage.process("retried", 2))
    assert stage.statuses("retried") == ["RUNNING"]
    stage.sandbox.clear_faults()
    stage.airflow.until(lambda: "Found execution" in stage.airflow.task_log("retried"), 240)
    [execution] = stage.sandbox.executions(stage.instances["retried"])
    stage.sandbox.end_execution(execution["id"], "SUCCEEDED")
    stage.airflow.until(lambda: stage.airflow.api.task_state("retried", run_id, "run") == "success", 120)
    assert stage.statuses("retried") == ["SUCCEEDED"]


def test_a_user_who_marks_a_task_failed_is_told_from_the_scheduler(stage: Stage) -> None:
    run_id = stage.begin("marked")
    stage.airflow.api.set_task_state("marked", run_id, "run", "failed")
    stage.airflow.until(lambda: stage.statuses("marked") == ["CANCELED"], 60)


def test_batches_as_short_as_a_loop_of_the_scheduler_succeed(stage: Stage) -> None:
    run_id = stage.airflow.trigger("short")

    def states() -> list[str | None]:
        return [stage.airflow.api.task_state("short", run_id, "run", index) for index in range(SHORT_BATCHES)]

    stage.airflow.until(lambda: len(stage.statuses("short")) == SHORT_BATCHES, 240)
    stage.airflow.until(lambda: set(states()) <= {"success", "failed"}, 240)
    assert states() == ["success"] * SHORT_BATCHES
    assert stage.statuses("short") == ["SUCCEEDED"] * SHORT_BATCHES
