"""A retry never counts as a clear, and a clear always does, however ``retries`` changes in the DAG meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow import __version__ as airflow_version
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_mics.runtime.generations import CLEARS_ARE_COUNTED, generation_of, write_try_state
from tests.case_counts import cases

IS_AIRFLOW_2 = airflow_version.startswith("2.")


class Store(dict[str, Any]):
    """As the task's state store of Airflow 3.3: it survives retries and clears."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


class Task:
    """A task instance, its numbers moved as Airflow moves them (``clear_task_instances``, ``schedule_tis``)."""

    def __init__(self, retries: int) -> None:
        self.retries, self.store, self.clears = retries, Store(), 0
        self.try_number, self.max_tries, self.generation = 0, retries, 0

    def run(self) -> int:
        """One more try; the generation that it finds."""
        self.try_number += 1
        context: Any = {
            "ti": SimpleNamespace(try_number=self.try_number, max_tries=self.max_tries),
            "dag_run": SimpleNamespace(clear_number=self.clears),
            "task": SimpleNamespace(retries=self.retries),
            "task_state_store": self.store,
        }
        found = generation_of(context)
        write_try_state(context, found, {})
        return found

    def clear(self) -> None:
        self.max_tries = self.try_number + self.retries
        self.generation = self.try_number
        self.clears += 1


@settings(max_examples=cases(300), deadline=None)
@given(
    st.integers(0, 5),
    st.lists(st.one_of(st.just("retry"), st.just("clear"), st.integers(0, 5)), max_size=12),
)
def test_with_a_state_store_no_change_of_retries_moves_the_generation(
    retries: int, events: list[Any]
) -> None:
    """A number is a new value of ``retries``. One try at least lies between two clears, as between any two tries."""
    task = Task(retries)
    assert task.run() == 0
    for event in events:
        if isinstance(event, int):
            task.retries = event
            continue
        if event == "clear":
            same = task.max_tries == task.try_number + task.retries
            task.clear()
            if same:
                # Airflow's own numbers are those of a retry but for the clear that is counted.
                assert task.run() == task.generation
                continue
        assert task.run() == task.generation


@pytest.mark.parametrize(
    "retries", [0, 2, 4, 5]
)  # 1 cannot be told from a clear of this task after two tries
def test_a_clear_of_another_task_and_other_retries_move_nothing(retries: int) -> None:
    task = Task(3)
    task.run()
    task.run()
    task.clears += 1
    task.retries = retries
    assert task.run() == 0


def test_a_try_that_left_nothing_is_passed_over() -> None:
    task = Task(2)
    task.run()
    task.clear()
    task.try_number += 1  # it failed before it could leave anything
    assert task.run() == 1


@pytest.mark.skipif(not CLEARS_ARE_COUNTED, reason="before Airflow 3.2 not each clear is counted")
@pytest.mark.parametrize("retries", [0, 1, 2, 5])
def test_without_any_clear_the_generation_is_zero(retries: int) -> None:
    task = Task(3)
    task.run()
    task.store.clear()
    task.retries = retries
    assert task.run() == 0


@pytest.mark.skipif(not IS_AIRFLOW_2, reason="the history of tries in the database of Airflow 2")
class TestOnAirflow2:
    """With Airflow's own functions and database."""

    @pytest.fixture
    def task(self, request: pytest.FixtureRequest, airflow_home: object) -> Any:
        return TaskOfAirflow2(f"generations_{request.node.name}".replace("[", "_").replace("]", "_"))

    @pytest.mark.parametrize("retries", [0, 1, 2, 4, 5])
    def test_retries_that_change_while_the_task_runs_move_nothing(self, task: Any, retries: int) -> None:
        assert task.run() == 0
        task.retries(retries)
        assert [task.run("failed"), task.run("failed"), task.run("failed")] == [0, 0, 0]

    @pytest.mark.parametrize("retries", [0, 1, 2, 4, 5])
    def test_a_clear_counts_whatever_the_retries_are(self, task: Any, retries: int) -> None:
        task.run()
        assert task.run("failed") == 0
        task.clear("success")
        assert task.run() == 2
        task.retries(retries)
        assert task.run("failed") == 2
        task.clear("success")
        assert task.run() == 4

    def test_a_clear_of_a_success_counts_though_max_tries_stays(self, task: Any) -> None:
        """Three retries before and two after: ``max_tries`` is 3 both times."""
        task.run()
        task.retries(2)
        task.clear("success")
        assert task.run() == 1


class TaskOfAirflow2:
    def __init__(self, dag_id: str) -> None:
        from airflow.models import DAG
        from airflow.operators.empty import EmptyOperator
        from airflow.utils.session import create_session

        with DAG(  # noqa: AIR311
            dag_id, schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC)
        ) as self.dag:
            self.operator = EmptyOperator(task_id="run", retries=3)  # noqa: AIR312
        self.session: Any = create_session().__enter__()
        self.dag.sync_to_db(session=self.session)
        date = datetime(2026, 3, 2, tzinfo=UTC)
        self.dag_run = self.dag.create_dagrun(
            "running",
            execution_date=date,
            run_type="manual",
            session=self.session,
            data_interval=(date, date),
        )
        self.instance = self.dag_run.get_task_instance("run", session=self.session)
        self.instance.refresh_from_task(self.operator)

    def retries(self, number: int) -> None:
        self.operator.retries = number

    def run(self, last_state: str | None = None) -> int:
        """One more try, after the one before ended with ``last_state``."""
        from airflow.models.taskinstancehistory import TaskInstanceHistory

        if last_state:
            self.instance.state = "running"
            TaskInstanceHistory.record_ti(self.instance, session=self.session)
        self.instance.try_number += 1
        self.session.merge(self.instance)
        self.session.commit()
        context: Any = {"ti": self.instance, "dag_run": self.dag_run, "task": self.operator}
        return generation_of(context)

    def clear(self, state: str) -> None:
        from airflow.models.taskinstance import clear_task_instances

        self.instance.state = state
        clear_task_instances([self.instance], self.session, dag=self.dag)
        self.session.commit()
