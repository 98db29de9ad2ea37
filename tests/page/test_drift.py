"""Where the platform and Airflow differ, and what a history shows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_mics.api import Execution
from airflow_provider_mics.page.drift import (
    CHECKED_TICKS,
    SETTLED_AFTER,
    ScheduleInAirflow,
    drift_of_history,
    drift_of_schedule,
    missed_ticks,
    ticks_that_ran_twice,
)
from airflow_provider_mics.page.marks import EPOCH_START
from tests.flow_driver import NOON
from tests.page.organisation import execution, instance

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
HOURLY = "0 * * * *"


def hourly(count: int, **fields: Any) -> list[Execution]:
    return [execution(100 + number, due=NOON - number * HOUR, **fields) for number in range(count)]


def missed(executions: list[Execution], cron: str = HOURLY, zone: str = "UTC", **changes: Any) -> list[Any]:
    known_since = changes.pop("known_since", EPOCH_START)
    read_at = changes.pop("read_at", NOON + 30 * MINUTE)
    return missed_ticks(
        instance(cron=cron, **changes), zone, executions, known_since=known_since, read_at=read_at
    )


@pytest.mark.parametrize(
    ("instance_fields", "schedule", "words"),
    [
        ({"cron": HOURLY}, ScheduleInAirflow(HOURLY, "UTC"), []),
        ({"cron": "0  * * * *"}, ScheduleInAirflow(HOURLY, "UTC"), []),
        ({"cron": HOURLY}, ScheduleInAirflow("5 * * * *", "UTC"), ["other schedule"]),
        ({"cron": HOURLY}, ScheduleInAirflow(None, None), ["other schedule"]),
        ({"cron": HOURLY}, ScheduleInAirflow(HOURLY, "Europe/Paris"), ["other time zone"]),
        ({"cron": HOURLY, "cron_status": "PAUSED"}, ScheduleInAirflow(HOURLY, "UTC"), ["other schedule"]),
        ({"cron": HOURLY, "cron_status": "PAUSED"}, ScheduleInAirflow(None, None), []),
        ({"cron": "0 5 1-31 * 1"}, ScheduleInAirflow(None, None), ["cron read differently"]),
        ({"cron": "* * * * *"}, ScheduleInAirflow("* * * * *", "UTC"), ["doubtful cron"]),
        ({"cron": HOURLY}, None, []),
        ({}, ScheduleInAirflow(None, None), []),
    ],
)
def test_schedules_that_differ(
    instance_fields: dict[str, Any], schedule: ScheduleInAirflow | None, words: list[str]
) -> None:
    found = drift_of_schedule(instance(**instance_fields), "UTC", schedule)
    assert [each.word for each in found] == words


def test_a_tick_without_an_execution_is_missed_once_its_time_is_over() -> None:
    history = hourly(6)
    del history[2]
    assert missed(history) == [NOON - 2 * HOUR]
    assert missed(history[1:], read_at=NOON + SETTLED_AFTER - MINUTE) == [NOON - 2 * HOUR]
    assert missed(history[1:], read_at=NOON + SETTLED_AFTER + MINUTE) == [NOON, NOON - 2 * HOUR]


def test_ticks_before_the_last_change_or_before_what_is_known_are_not_missed() -> None:
    history = hourly(1)
    assert missed(history, last_modified_ts=NOON - MINUTE) == []
    assert missed([], known_since=NOON + MINUTE) == []
    assert missed(history) == []
    assert missed([execution(1, due=NOON - 3 * HOUR), *history]) == [NOON - HOUR, NOON - 2 * HOUR]


def test_an_instance_that_never_fired_misses_its_ticks() -> None:
    assert len(missed([])) == CHECKED_TICKS
    assert missed([], cron_status="PAUSED") == []
    assert missed([execution(1, kind="MANUAL")])[0] == NOON


@settings(deadline=None, max_examples=50)
@given(st.sets(st.integers(0, CHECKED_TICKS - 1)), st.integers(-50, 50))
def test_any_ticks_that_are_left_out_are_those_that_are_missed(left_out: set[int], late: int) -> None:
    history = [
        execution(number, due=NOON - number * HOUR + timedelta(seconds=late))
        for number in range(CHECKED_TICKS + 2)
        if number not in left_out
    ]
    assert missed(history) == [NOON - number * HOUR for number in sorted(left_out)]


@pytest.mark.parametrize(
    ("first", "second", "is_twice"),
    [
        ({}, {}, True),
        ({"status": "RUNNING", "seconds": None}, {}, True),
        ({"status": "FAILED"}, {"created": NOON + 5 * MINUTE}, False),
        ({"status": "FAILED", "seconds": 3600}, {"created": NOON + 5 * MINUTE}, True),
        ({"status": "CANCELED", "started": None, "seconds": None}, {}, False),
        ({}, {"status": "CANCELED", "started": None, "seconds": None}, False),
        ({"status": "CANCELED"}, {"created": NOON + 5 * MINUTE}, False),
        ({}, {"kind": "MANUAL"}, False),
        ({}, {"due": NOON + HOUR}, False),
        ({}, {"due": NOON + timedelta(seconds=20)}, True),
    ],
)
def test_a_tick_ran_twice_unless_one_execution_retries_the_other(
    first: dict[str, Any], second: dict[str, Any], is_twice: bool
) -> None:
    several = [execution(1, **first), execution(2, **second)]
    assert ticks_that_ran_twice(several) == ([NOON] if is_twice else [])
    assert ticks_that_ran_twice(several[::-1]) == ticks_that_ran_twice(several)


def test_a_zone_that_the_history_contradicts_is_said_and_not_every_tick() -> None:
    daily = [execution(each, due=NOON.replace(hour=2) - each * timedelta(days=1)) for each in range(10)]
    found = drift_of_history(instance(cron="0 3 * * *"), "UTC", daily, known_since=EPOCH_START, read_at=NOON)
    assert [each.word for each in found] == ["other time zone"]
    found = drift_of_history(
        instance(cron="0 3 * * *"), "Europe/Paris", daily, known_since=EPOCH_START, read_at=NOON
    )
    assert found == []
