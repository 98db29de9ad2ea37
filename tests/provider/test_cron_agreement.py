"""Our ticks are the runs that Airflow's own timetable makes, also where clocks change."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pendulum
import pytest
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable

from airflow_provider_mics.core.planning.cron_ticks import Cron
from tests.core.planning.wall_clock_oracle import utc

CRONS = [
    "30 2 * * *",
    "0 3 * * *",
    "30 5 * * 1,6",
    "*/15 * * * *",
    "7 * * * *",
    "*/20 1-3 * * *",
    "0 */2 * * *",
    "0 0 1 * *",
    "30 1,2 * * *",
    "0 2 13 * 0",
    "59 23 * * *",
]
ZONES = ["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Africa/Casablanca", "America/Sao_Paulo"]
CHANGES_OF_CLOCK = [utc(2026, 3, 6), utc(2026, 3, 27), utc(2026, 10, 23), utc(2026, 10, 30), utc(2026, 2, 13)]


def runs_of_airflow(cron: Cron, start: Any, end: Any) -> list[Any]:
    """The runs that Airflow makes one after another from the last one before ``start`` on."""
    timetable = CronTriggerTimetable(cron.normalised, timezone=cron.timezone)
    restriction = TimeRestriction(earliest=None, latest=None, catchup=True)
    last = pendulum.instance(cron.latest_at(start - timedelta(seconds=1)))
    runs = []
    while last < end:
        info = timetable.next_dagrun_info(
            last_automated_data_interval=DataInterval.exact(last), restriction=restriction
        )
        assert info is not None
        last = info.run_after
        runs.append(last)
    return runs[:-1]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("expression", CRONS)
def test_ticks_are_the_runs_of_airflow(expression, zone):
    cron = Cron(expression, zone)
    for start in CHANGES_OF_CLOCK:
        end = start + timedelta(days=3)
        assert list(cron.between(start, end)) == runs_of_airflow(cron, start, end)


@pytest.mark.parametrize("zone", ZONES)
def test_a_cron_that_we_accept_is_accepted_by_airflow(zone):
    for expression in [
        *CRONS,
        "1-1 5-5 * * mon-mon",
        "0 0 29 2 *",
        "*/7 9-17/2 1,15 jan-mar mon-fri",
        "0 0 * * 7",
    ]:
        timetable = CronTriggerTimetable(Cron(expression, zone).normalised, timezone=zone)
        timetable.validate()
        assert Cron(expression, zone).problem is None


def test_where_a_cron_of_every_hour_leaves_days_out_airflow_slips_over_a_change_of_clock():
    # From Friday night to Monday Airflow adds hours, and clocks are put back between: it makes a run on Sunday night.
    cron = Cron("0 * * * 1-5", "Europe/Paris")
    runs = runs_of_airflow(cron, utc(2026, 10, 23, 12), utc(2026, 10, 27))
    slips = [run for run in runs if not cron.is_tick(run)]
    assert slips == [utc(2026, 10, 25, 22)]
    assert [run for run in runs if run not in slips] == list(
        cron.between(utc(2026, 10, 23, 12), utc(2026, 10, 27))
    )


def test_runs_come_in_order():
    for expression in CRONS:
        runs = runs_of_airflow(Cron(expression, "Europe/Paris"), utc(2026, 10, 23), utc(2026, 10, 28))
        assert all(earlier < later for earlier, later in pairwise(runs))
