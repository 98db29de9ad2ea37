"""Rows that have not changed are the same objects; whatever changes them is seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from airflow_provider_mics.page.batches import Batch, batches_of
from airflow_provider_mics.page.kept_batches import KeptBatches
from airflow_provider_mics.page.marks import EPOCH_START
from airflow_provider_mics.page.platform_reading import PlatformState
from tests.flow_driver import NOON
from tests.page.organisation import execution, instance
from tests.page.test_batches import RUN, SOURCE, dag

MINUTE = timedelta(minutes=1)
HISTORY = tuple(execution(100 + each, due=NOON - each * timedelta(hours=1)) for each in range(3))
STATE = PlatformState(
    instances={"1": instance("1", cron="0 * * * *"), "2": instance("2")},
    instances_read_at=NOON,
    executions={"1": HISTORY},
    covered_since=EPOCH_START,
    read_at=NOON,
)
DAGS = [dag("1"), dag("2")]


def look(
    kept: KeptBatches, state: PlatformState = STATE, *, after: timedelta = timedelta(0), **changes: Any
) -> list[Batch]:
    arguments = {"dags": DAGS, "links": {}} | changes
    now = NOON + after
    rows = kept.get(SOURCE, state, arguments["dags"], arguments["links"], now)
    assert rows == batches_of(SOURCE, state, arguments["dags"], arguments["links"], now)
    return rows


def test_what_has_not_changed_is_the_same_row() -> None:
    kept = KeptBatches()
    first, second = look(kept)
    again = look(kept, replace(STATE, read_at=NOON + MINUTE), after=MINUTE)
    assert again[0] is first
    assert again[1] is second


def test_whatever_changes_is_seen() -> None:
    kept = KeptBatches()
    look(kept)
    look(kept, links={"100": (RUN,)})
    look(kept, dags=[dag("1", is_paused=True), dag("2")])
    look(kept, dags=[dag("1")])
    look(kept, replace(STATE, instances={"1": instance("1", name="renamed", cron="0 * * * *")}))
    look(kept, replace(STATE, executions={"1": HISTORY[1:]}))
    look(kept, replace(STATE, timezone="Asia/Kolkata"))
    look(kept, replace(STATE, covered_since=NOON - MINUTE))


def test_time_passes() -> None:
    kept, state = KeptBatches(), STATE
    for minutes in range(0, 200, 3):
        state = replace(state, read_at=NOON + minutes * MINUTE)
        rows = look(kept, state, after=minutes * MINUTE)
    assert [each.word for each in rows[0].drift if each.word == "missed tick"] == ["missed tick"]


def test_a_tick_that_a_late_reading_shows_as_missed_is_seen() -> None:
    kept = KeptBatches()
    late = timedelta(seconds=8)
    for minutes in range(0, 200, 3):
        state = replace(STATE, read_at=NOON + minutes * MINUTE - late)
        look(kept, state, after=minutes * MINUTE)
        look(kept, replace(state, read_at=NOON + minutes * MINUTE), after=minutes * MINUTE + late)


def test_what_runs_takes_longer_at_each_reading() -> None:
    running = execution(5, status="RUNNING", seconds=None)
    kept, state = KeptBatches(), replace(STATE, executions={"1": (running,)})
    assert look(kept, state)[0].last_duration == timedelta(0)
    later = replace(state, read_at=NOON + MINUTE)
    assert look(kept, later, after=2 * MINUTE)[0].last_duration == MINUTE
