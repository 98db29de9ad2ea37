"""Every try of the same piece of work is about the same execution, and no two pieces of work share one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mics.api.field_types import ExecutionType, milliseconds
from airflow_provider_mics.core.exactly_once.identity import TaskTry, identity_of

TICK = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)
STARTED = TICK + timedelta(seconds=7)
SCHEDULED = TaskTry("nightly", "run", "import", -1, "scheduled", TICK, STARTED)
MANUAL = replace(SCHEDULED, run_type="manual")
CLEARED = replace(MANUAL, generation=1)
CHOSEN = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)


def test_a_scheduled_run_on_the_instances_own_cron_is_the_tick_itself():
    identity = identity_of(SCHEDULED, "42", runs_on_cron=True)
    assert (identity.execution_type, identity.expected_start_date) == (ExecutionType.CRON, TICK)


def test_a_scheduled_run_of_a_hand_written_dag_is_manual_to_the_platform():
    identity = identity_of(SCHEDULED, "42")
    assert identity.execution_type == ExecutionType.MANUAL
    assert identity.expected_start_date == TICK - SCHEDULED.offset


def test_an_operator_that_asks_for_cron_gets_the_tick():
    identity = identity_of(MANUAL, "42", execution_type=ExecutionType.CRON)
    assert (identity.execution_type, identity.expected_start_date) == (ExecutionType.CRON, TICK)


def test_a_moment_that_a_person_chose_is_taken_exactly():
    identity = identity_of(MANUAL, "42", expected_start_date=CHOSEN, runs_on_cron=True)
    assert (identity.execution_type, identity.expected_start_date) == (ExecutionType.MANUAL, CHOSEN)


@pytest.mark.parametrize("runs_on_cron", [True, False])
def test_a_cleared_task_gets_a_new_identity_with_each_generation(runs_on_cron):
    generations = [
        identity_of(replace(SCHEDULED, generation=number), "42", runs_on_cron=runs_on_cron)
        for number in range(4)
    ]
    assert len({(each.execution_type, each.expected_start_date) for each in generations}) == 4
    assert all(each.execution_type == ExecutionType.MANUAL for each in generations[1:])
    assert generations[
        2
    ].expected_start_date == STARTED - SCHEDULED.run_offset - SCHEDULED.offset + timedelta(milliseconds=2)


def test_a_cleared_task_keeps_the_moment_a_person_chose_but_for_its_generation():
    identity = identity_of(replace(MANUAL, generation=3), "42", expected_start_date=CHOSEN)
    assert milliseconds(identity.expected_start_date) == milliseconds(CHOSEN) + 3


def test_a_backfilled_run_is_not_taken_for_the_tick_the_platform_fired():
    backfill = replace(SCHEDULED, run_type="backfill")
    identity = identity_of(backfill, "42", runs_on_cron=True)
    assert identity.execution_type == ExecutionType.MANUAL
    assert identity.expected_start_date == STARTED - backfill.run_offset - backfill.offset


@given(st.integers(1, 50), st.booleans())
def test_a_plain_retry_never_moves_the_identity(generation, runs_on_cron):
    first = replace(SCHEDULED, generation=generation, is_retry=False)
    retry = replace(first, is_retry=True)
    assert identity_of(first, "42", runs_on_cron=runs_on_cron) == identity_of(
        retry, "42", runs_on_cron=runs_on_cron
    )


@pytest.mark.parametrize("change", [{"task_id": "export"}, {"dag_id": "weekly"}, {"map_index": 1}])
def test_two_tasks_of_one_moment_are_kept_apart(change):
    other = replace(MANUAL, **change)
    assert identity_of(MANUAL, "42").expected_start_date != identity_of(other, "42").expected_start_date


def test_no_two_of_many_mapped_tasks_of_one_run_share_a_moment_however_often_each_was_cleared():
    moments = {
        identity_of(replace(CLEARED, map_index=index, generation=tries), "42").expected_start_date
        for index in range(500)
        for tries in range(1, 5)
    }
    assert len(moments) == 2_000


@pytest.mark.parametrize("change", [{"generation": 1}, {"run_type": "backfill"}])
def test_runs_that_a_scheduler_begins_in_the_same_millisecond_are_kept_apart(change):
    runs = [replace(SCHEDULED, run_id=f"manual__{number}", **change) for number in range(16)]
    assert len({identity_of(run, "42").expected_start_date for run in runs}) == 16


def test_no_task_is_delayed_by_its_offset():
    assert timedelta(0) <= MANUAL.offset < timedelta(seconds=10)
    assert identity_of(MANUAL, "42").expected_start_date <= TICK
