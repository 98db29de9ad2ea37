"""What the identity of an execution depends on, read from the task's context, also after a change of the DAG."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow import __version__ as airflow_version

from airflow_provider_mics.core.exactly_once.identity import TaskTry
from airflow_provider_mics.runtime.generations import CLEARS_ARE_COUNTED
from airflow_provider_mics.runtime.task_context import task_try_of

MOMENT = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)


def the_try(number: int, max_tries: int, retries: int, clear_number: int = 1) -> TaskTry:
    context: Any = {
        "ti": SimpleNamespace(
            dag_id="nightly",
            run_id="scheduled",
            task_id="run",
            map_index=-1,
            try_number=number,
            max_tries=max_tries,
            start_date=MOMENT + timedelta(seconds=2),
        ),
        "dag_run": SimpleNamespace(
            run_type="scheduled",
            run_after=MOMENT,
            start_date=MOMENT + timedelta(seconds=1),
            clear_number=clear_number,
        ),
        "task": SimpleNamespace(retries=retries),
    }
    return task_try_of(context)


@pytest.mark.parametrize(
    ("number", "max_tries", "retries", "generation", "is_retry"),
    [
        (1, 3, 3, 0, False),
        (2, 3, 3, 0, True),
        (3, 5, 3, 2, False),  # cleared after two tries
        (4, 5, 3, 2, True),
        (1, 3, 0, 0, False),  # retries lowered before the first try
        (2, 3, 1, 0, True),  # lowered between two tries: the same identity, and a retry of it
        (1, 0, 3, 0, False),  # raised
    ],
)
def test_the_generation_is_the_number_of_tries_before_the_last_clear(
    number: int, max_tries: int, retries: int, generation: int, is_retry: bool
) -> None:
    task_try = the_try(number, max_tries, retries)
    assert (task_try.generation, task_try.is_retry) == (generation, is_retry)


@pytest.mark.skipif(not CLEARS_ARE_COUNTED, reason="before Airflow 3.2 not each clear is counted")
def test_without_a_clear_the_generation_is_zero_whatever_the_retries() -> None:
    task_try = the_try(2, max_tries=3, retries=1, clear_number=0)
    assert (task_try.generation, task_try.is_retry) == (0, True)


@dataclass
class RunOfAirflow2:
    """A run as Airflow 2 has it: without ``run_after``, and with a time at which it was queued last."""

    run_type: str
    queued_at: datetime | None
    logical_date: datetime = MOMENT
    data_interval_end: datetime = MOMENT + timedelta(days=1)
    start_date: datetime = MOMENT + timedelta(days=1, seconds=1)


def moment_of(dag_run: Any) -> datetime:
    ti = SimpleNamespace(
        dag_id="nightly",
        run_id="a run",
        task_id="run",
        map_index=-1,
        try_number=1,
        max_tries=0,
        start_date=MOMENT,
    )
    context: Any = {"ti": ti, "dag_run": dag_run, "task": SimpleNamespace(retries=0)}
    return task_try_of(context).run_moment


@pytest.mark.parametrize("queued_at", [None, MOMENT + timedelta(hours=1), MOMENT + timedelta(hours=2)])
@pytest.mark.parametrize(
    ("run_type", "moment"),
    [
        ("scheduled", MOMENT + timedelta(days=1)),
        ("backfill", MOMENT + timedelta(days=1)),
        ("manual", MOMENT),
        ("dataset_triggered", MOMENT),
    ],
)
def test_a_backfill_is_for_the_tick_of_the_scheduled_run_and_a_clear_moves_none(
    run_type: str, moment: datetime, queued_at: datetime | None
) -> None:
    assert moment_of(RunOfAirflow2(run_type, queued_at)) == moment


@pytest.mark.skipif(not airflow_version.startswith("2."), reason="later runs have a run_after")
def test_the_runs_of_airflow_2_itself_are_for_these_moments() -> None:
    from airflow.models import DagRun
    from airflow.utils.state import DagRunState

    for run_type, moment in (("scheduled", 1), ("backfill", 1), ("manual", 0)):
        run = DagRun(
            dag_id="nightly",
            run_id=run_type,
            execution_date=MOMENT,
            run_type=run_type,
            state=DagRunState.SUCCESS,
            data_interval=(MOMENT, MOMENT + timedelta(days=1)),
        )
        run.set_state(DagRunState.QUEUED)  # as a clear does
        assert moment_of(run) == MOMENT + timedelta(days=moment)
