"""Ticks are the runs that Airflow's own timetable creates, also where clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pendulum
import pytest
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_mics.core.planning.cron_ticks import Cron
from airflow_provider_mics.dag_factory import cron_schedule
from tests.case_counts import cases
from tests.core.planning.cron_spellings import CLEAR, DAYS_ONLY, SPELLINGS
from tests.core.planning.crond_reading import Crond
from tests.core.planning.wall_clock_oracle import MINUTE, Fields, last_tick_before, utc

VERSION = tuple(map(int, version("croniter").split(".")[:2]))
STARTS = st.datetimes(datetime(2001, 1, 1), datetime(2060, 1, 1))  # noqa: DTZ001
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


def found_ticks(cron: Cron, start: datetime, end: datetime) -> list[datetime]:
    minutes = (start + number * MINUTE for number in range((end - start) // MINUTE))
    return [minute for minute in minutes if cron.fires_at(minute)]


def runs_of_airflow(cron: Cron, start: datetime, end: datetime) -> list[datetime]:
    """The runs that Airflow creates one after another, from the last one before ``start`` on."""
    timetable = CronTriggerTimetable(cron.normalised, timezone=cron.timezone)
    restriction = TimeRestriction(earliest=None, latest=None, catchup=True)
    before = last_tick_before(Fields.of(cron.normalised), ZoneInfo(cron.timezone), start)
    last = pendulum.instance(before)
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
        assert found_ticks(cron, start, end) == runs_of_airflow(cron, start, end)


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


def test_airflow_creates_one_run_too_many_where_an_hourly_cron_leaves_out_days_around_a_change_of_clocks():
    # Airflow adds the 49 hours from Friday 23:00 to Monday 00:00. Clocks are put back in between, so that it creates
    # a run on Sunday 23:00, on which the cron is not due, beside the one on Monday 00:00. It is not a tick.
    cron = Cron("0 * * * 1-5", "Europe/Paris")
    runs = runs_of_airflow(cron, utc(2026, 10, 23, 12), utc(2026, 10, 27))
    surplus = [run for run in runs if not cron.is_tick(run)]
    assert surplus == [utc(2026, 10, 25, 22)]
    assert [run for run in runs if run not in surplus] == found_ticks(
        cron, utc(2026, 10, 23, 12), utc(2026, 10, 27)
    )


class TestClocksThatChangeByLessThanAnHour:
    """Australia/Lord_Howe changes by 30 minutes: 02:00 becomes 01:30 in April and 02:30 in October.

    Airflow (2.11 and 3.3: ``CronMixin._get_next``) steps an hourly cron by elapsed time, so that its first run after
    the change is at another local minute than the cron's; cron (cronie) goes by local time. The run has to be a tick,
    since it would be skipped otherwise, and it replaces the local time that Airflow steps over, which stays a tick for
    schedulers that go by local time.
    """

    ZONE = "Australia/Lord_Howe"
    AUTUMN = utc(2026, 4, 4, 15)
    SPRING = utc(2026, 10, 3, 15, 30)

    @pytest.mark.parametrize("change", [AUTUMN, SPRING])
    @pytest.mark.parametrize("expression", [*CRONS, "0 * * * *", "30 * * * *", "59 * * * *", "3,40 * * * *"])
    def test_each_run_of_airflow_is_a_tick(self, expression, change):
        cron = Cron(expression, self.ZONE)
        start, end = change - timedelta(hours=30), change + timedelta(hours=30)
        runs = runs_of_airflow(cron, start, end)
        assert set(runs) <= set(found_ticks(cron, start, end))
        assert all(cron.is_tick(run) and cron.could_fire_at(run) for run in runs)

    @pytest.mark.parametrize("change", [AUTUMN, SPRING])
    @pytest.mark.parametrize(
        ("expression", "run", "replaced"),
        [
            ("0 * * * *", 0, ()),
            ("7 * * * *", 7, ()),
            ("29 * * * *", 29, ()),
            ("30 * * * *", 30, (0,)),
            ("59 * * * *", 59, (29,)),
            ("3,40 * * * *", 3, ()),
            ("30,40 * * * *", 30, (10,)),
        ],
    )
    def test_a_run_of_an_hourly_cron_replaces_the_local_time_that_airflow_steps_over(
        self, expression, run, replaced, change
    ):
        cron = Cron(expression, self.ZONE)
        tick = change + run * MINUTE
        runs = runs_of_airflow(cron, change - timedelta(hours=3), change + timedelta(hours=3))
        assert tick in runs
        assert cron.candidate_times(tick) == (tick, *(change + minutes * MINUTE for minutes in replaced))
        assert all(cron.is_tick(moment) and moment not in runs for moment in cron.candidate_times(tick)[1:])
        assert [cron.candidate_times(other) for other in runs if other != tick] == [
            (other,) for other in runs if other != tick
        ]

    @pytest.mark.parametrize(
        ("expression", "zone", "tick"),
        [
            ("*/20 1-3 * * *", ZONE, SPRING + 20 * MINUTE),
            ("15,40 2 * * *", ZONE, SPRING + 10 * MINUTE),
            ("15,40 2 * * *", "Europe/Paris", utc(2026, 3, 29, 1, 40)),
        ],
    )
    def test_airflow_leaves_out_a_skipped_time_that_would_fire_beside_another_time(
        self, expression, zone, tick
    ):
        # No run of Airflow's is lost by this, but another scheduler may fire there.
        cron = Cron(expression, zone)
        start, end = tick - timedelta(hours=30), tick + timedelta(hours=30)
        assert set(found_ticks(cron, start, end)) - set(runs_of_airflow(cron, start, end)) == {tick}


@settings(max_examples=cases(200), deadline=None)
@given(SPELLINGS | DAYS_ONLY | st.sampled_from(CLEAR), STARTS)
def test_of_whatever_is_scheduled_airflow_creates_the_ticks_of_crond(expression, start):
    cron = Cron(expression)
    start = start.replace(second=0, microsecond=0)
    if cron.problem is not None or (VERSION < (6, 2) and start.month < 4):
        return
    timetable = CronTriggerTimetable(cron.normalised, timezone="UTC")
    timetable.validate()
    last = pendulum.instance(start.replace(tzinfo=UTC))
    for tick in islice(Crond(expression).ticks_after(start), 6):
        if VERSION < (6, 2) and tick.month in (2, 3):
            return
        last = timetable._get_next(last)
        assert last == tick.replace(tzinfo=UTC)


def test_a_croniter_that_leaves_out_days_is_noticed(monkeypatch):
    class LeavesOutTheFirst(croniter):
        def get_next(self, *arguments, **more):
            found = super().get_next(*arguments, **more)
            return super().get_next(*arguments, **more) if (found.month, found.day) == (3, 1) else found

    cron_schedule._check_end_of_february.cache_clear()
    if VERSION >= (6, 2):  # an older one leaves out days by itself
        cron_schedule._check_end_of_february("*/5", "*")
        cron_schedule._check_end_of_february.cache_clear()
        monkeypatch.setattr(cron_schedule, "croniter", LeavesOutTheFirst)
    with pytest.raises(ValueError, match="upgrade croniter"):
        cron_schedule._check_end_of_february("*/5", "*")
    cron_schedule._check_end_of_february("5", "*")
    cron_schedule._check_end_of_february.cache_clear()


def test_runs_come_in_order():
    for expression in CRONS:
        runs = runs_of_airflow(Cron(expression, "Europe/Paris"), utc(2026, 10, 23), utc(2026, 10, 28))
        assert all(earlier < later for earlier, later in pairwise(runs))
