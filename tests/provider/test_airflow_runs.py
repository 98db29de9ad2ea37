"""The Airflow that these tests use is real, their own, and used in the same way on every line."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.provider.dag_runs import DagFolder

if TYPE_CHECKING:
    from tests.sandbox_server import SandboxServer

DAGS = """
from datetime import UTC, datetime

from tests.airflow_names import DAG, BaseOperator
from airflow.triggers.base import BaseTrigger, TriggerEvent

START = datetime(2024, 1, 1, tzinfo=UTC)


class Soon(BaseTrigger):
    def serialize(self):
        return f"{__name__}.Soon", {}

    async def run(self):
        yield TriggerEvent({"answer": 42})


class Ask(BaseOperator):
    def __init__(self, question="what?", **kwargs):
        super().__init__(**kwargs)
        self.question = question

    def execute(self, context):
        context["ti"].xcom_push(key="asked", value={"question": self.question, "conf": context["dag_run"].conf})
        self.log.info("asking %s", self.question)
        self.defer(trigger=Soon(), method_name="after_answer")

    def after_answer(self, context, event):
        return event["answer"]


class Refuse(BaseOperator):
    def execute(self, context):
        raise RuntimeError("no such batch")


with DAG("asking", schedule=None, start_date=START) as asking:
    Ask(task_id="ask")
    Ask.partial(task_id="ask_many").expand(question=["who?", "when?"])

with DAG("refusing", schedule=None, start_date=START) as refusing:
    Refuse(task_id="refuse") >> Ask(task_id="never")
"""


def test_a_dag_file_runs_with_a_deferral_mapped_tasks_and_a_configuration(dag_folder: DagFolder) -> None:
    run = dag_folder.run(
        DAGS, dag_id="asking", conf={"who": "me"}, logical_date=datetime(2024, 5, 6, tzinfo=UTC)
    )
    assert run.state == "success"
    assert "2024-05-06" in run.run_id or "2024-05-06" in run.log
    assert run.xcom("ask") == 42
    assert run.xcom("ask", "asked") == {"question": "what?", "conf": {"who": "me"}}
    assert [run.xcom("ask_many", "asked", index)["question"] for index in (0, 1)] == ["who?", "when?"]
    assert "asking when?" in run.log


def test_a_task_that_fails_fails_the_run_with_its_own_words_in_the_log(dag_folder: DagFolder) -> None:
    run = dag_folder.run(DAGS, dag_id="refusing")
    assert run.state == "failed"
    assert run.task("refuse").state == "failed"
    assert run.task("never").state == "upstream_failed"
    assert run.xcom("refuse") is None
    assert "no such batch" in run.log


def test_a_dag_file_that_cannot_be_read_says_why(dag_folder: DagFolder) -> None:
    with pytest.raises(AssertionError, match="there is no batch in this file"):
        dag_folder.run("raise ValueError('there is no batch in this file')")


def test_these_tests_have_an_airflow_of_their_own(airflow_home: Path) -> None:
    from airflow.configuration import conf

    database = airflow_home / "airflow.db"
    assert conf.get("database", "sql_alchemy_conn").startswith(f"sqlite:///{database}?")
    assert conf.get("core", "dags_folder") == str(airflow_home / "dags")
    assert database.is_file()
    assert "AIRFLOW__CORE__UNIT_TEST_MODE" not in os.environ


BATCH = """
from datetime import UTC, datetime

from tests.airflow_names import DAG

from airflow_provider_mics.operators import MicsCreateExecutionOperator

with DAG("batch", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC)) as batch:
    for deferrable in (True, False):
        MicsCreateExecutionOperator(
            task_id=f"run_{deferrable}",
            instance_id="{{ dag_run.conf.instance_id }}",
            deferrable=deferrable,
            poll_interval=1,
        )
"""


def test_a_batch_runs_in_the_sandbox_deferred_and_on_the_worker(
    dag_folder: DagFolder, mics_default: SandboxServer
) -> None:
    instance_id = mics_default.create_instance(properties={"duration_s": 0})
    run = dag_folder.run(BATCH, conf={"instance_id": instance_id})
    assert run.state == "success", run.log
    created = mics_default.executions(instance_id)
    assert [execution["status"] for execution in created] == ["SUCCEEDED", "SUCCEEDED"]
    assert mics_default.token not in run.log
