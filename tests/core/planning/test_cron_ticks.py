"""Ticks agree with the local time of every minute, in any zone and around any change of clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo, available_timezones

import pendulum
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_mics.core.planning.cron_ticks import Cron
from tests.case_counts import cases
from tests.core.planning.wall_clock_oracle import DAY, MINUTE, Fields, ticks, ticks_from, utc

ZONES = sorted(name for name in available_timezones() if "/" in name)
WINDOW = timedelta(days=1, hours=6)
SECOND = timedelta(seconds=1)


def some_of(lowest: int, highest: int) -> st.SearchStrategy[frozenset[int] | None]:
    values = st.integers(lowest, highest)
    # croniter reads a list of all values as a star, which has a test of its own.
    return st.none() | st.frozensets(values, min_size=1, max_size=min(6, highest - lowest))


FIELDS = st.builds(
    Fields, some_of(0, 59), some_of(0, 23), some_of(1, 31), some_of(1, 12), some_of(0, 6)
).filter(lambda fields: Cron(fields.expression).problem is None)
NIGHTLY = st.builds(
    Fields,
    st.frozensets(st.integers(0, 59), min_size=1, max_size=3),
    st.none() | st.frozensets(st.integers(0, 4), min_size=1, max_size=3),
    st.none(),
    st.none(),
    st.none(),
)
MOMENTS = st.datetimes(datetime(1985, 1, 1), datetime(2060, 1, 1)).map(  # noqa: DTZ001
    lambda moment: moment.replace(second=0, microsecond=0, tzinfo=UTC)
)


def found_ticks(cron: Cron, start: datetime, end: datetime) -> list[datetime]:
    """The ticks from ``start`` (included) to ``end`` (excluded): each minute asked on its own."""
    minutes = (start + number * MINUTE for number in range((end - start) // MINUTE))
    return [minute for minute in minutes if cron.fires_at(minute)]


def day_of_change(zone: ZoneInfo, year: int, number: int) -> datetime | None:
    """Midday of a day around which the clocks of a zone change in a year, by a whole number of hours."""
    days = [datetime(year, 1, 1, 12, tzinfo=UTC) + timedelta(days=each) for each in range(366)]
    changes = []
    for earlier, later in pairwise(days):
        change = later.astimezone(zone).utcoffset() - earlier.astimezone(zone).utcoffset()
        if change and change % timedelta(hours=1) == timedelta(0):
            changes.append(later)
    return changes[number % len(changes)] if changes else None


def has_short_change(zone: ZoneInfo, start: datetime, end: datetime) -> bool:
    offset = start.astimezone(zone).utcoffset() - end.astimezone(zone).utcoffset()
    return bool(offset % timedelta(hours=1))


@settings(max_examples=cases(150), deadline=None)
@given(FIELDS, st.sampled_from(ZONES), MOMENTS)
def test_ticks_match_the_local_time_on_any_day(fields, zone, start):
    cron = Cron(fields.expression, zone)
    if not has_short_change(cron._zone, start - DAY, start + WINDOW):
        assert found_ticks(cron, start, start + WINDOW) == ticks(fields, cron._zone, start, start + WINDOW)


@settings(max_examples=cases(300), deadline=None)
@given(NIGHTLY, st.sampled_from(ZONES), st.integers(1985, 2060), st.integers(0, 3))
def test_ticks_match_the_local_time_where_clocks_change(fields, zone, year, number):
    cron = Cron(fields.expression, zone)
    change = day_of_change(cron._zone, year, number)
    if change is not None:
        start = change - WINDOW
        expected = ticks(fields, cron._zone, start, change + WINDOW)
        assert found_ticks(cron, start, change + WINDOW) == expected
        assert all(cron.is_tick(tick) and cron.could_fire_at(tick) for tick in expected)


@settings(max_examples=cases(200), deadline=None)
@given(FIELDS, st.sampled_from(ZONES), MOMENTS, st.integers(-90_000_000, 90_000_000), st.booleans())
def test_a_moment_is_a_tick_only_within_the_tolerance_of_one(fields, zone, start, microseconds, is_near):
    cron = Cron(fields.expression, zone)
    if is_near:
        start = next(ticks_from(fields, cron._zone, start))
    moment = start + timedelta(microseconds=microseconds)
    if not has_short_change(cron._zone, start - DAY, start + DAY):
        near = ticks(fields, cron._zone, start - 4 * MINUTE, start + 4 * MINUTE)
        assert cron.is_tick(moment) == any(abs(tick - moment) <= cron.tolerance for tick in near)


@settings(max_examples=cases(100), deadline=None)
@given(FIELDS, MOMENTS)
def test_no_two_ticks_are_within_the_tolerance_of_one_moment(fields, start):
    cron = Cron(fields.expression)
    upcoming = ticks_from(fields, ZoneInfo("UTC"), start)
    found = list(islice(takewhile(lambda tick: tick < start + 20_000 * DAY, upcoming), 50))
    assert all(later - earlier > 2 * cron.tolerance for earlier, later in pairwise(found))


@pytest.mark.parametrize(
    ("expression", "tolerance"),
    [
        ("* * * * *", 29 * SECOND),
        ("*/2 * * * *", 59 * SECOND),
        ("*/7 * * * *", MINUTE),
        ("0,59 * * * *", 29 * SECOND),
        ("1,59 * * * *", 59 * SECOND),
        ("30 5 * * *", MINUTE),
        ("30 5 * * 1,6", MINUTE),
        ("30 5 * * 1", MINUTE),
        ("0 0 1 * *", MINUTE),
        ("0 0 29 2 *", MINUTE),
        ("0 0 13 * 5", MINUTE),
        ("5,55 23,0 1 * *", MINUTE),
        ("0,59 23,0 * * *", 29 * SECOND),
        ("0,59 12,0 * * *", MINUTE),
        ("0,59 0,23 1 * *", MINUTE),
        ("0,59 0,23 29 2 1", 29 * SECOND),
    ],
)
def test_the_tolerance_follows_from_the_shortest_period(expression, tolerance):
    assert Cron(expression).tolerance == tolerance


@given(FIELDS)
def test_the_tolerance_is_positive_and_at_most_a_minute(fields):
    assert timedelta(0) < Cron(fields.expression).tolerance <= MINUTE


def test_a_moment_within_the_tolerance_is_the_tick_and_one_beyond_is_not():
    cron = Cron("30 5 * * *", "Europe/Paris")
    tick = utc(2026, 1, 5, 4, 30)
    for seconds in (-60, -1, 0, 60):
        assert cron.is_tick(tick + timedelta(seconds=seconds))
    for seconds in (-61, 61, 3600):
        assert not cron.is_tick(tick + timedelta(seconds=seconds))


def test_a_time_that_is_skipped_in_spring_fires_an_hour_later():
    cron = Cron("30 2 * * *", "Europe/Paris")
    assert found_ticks(cron, utc(2026, 3, 28, 12), utc(2026, 3, 29, 12)) == [utc(2026, 3, 29, 1, 30)]


def test_a_time_that_is_repeated_in_autumn_fires_at_its_second_occurrence():
    cron = Cron("30 2 * * *", "Europe/Paris")
    assert found_ticks(cron, utc(2026, 10, 25), utc(2026, 10, 26)) == [utc(2026, 10, 25, 1, 30)]


def test_an_hourly_cron_fires_in_both_passes_of_a_repeated_hour():
    cron = Cron("30 * * * *", "Europe/Paris")
    assert len(found_ticks(cron, utc(2026, 10, 24, 22), utc(2026, 10, 25, 23))) == 25


def test_a_list_of_all_hours_is_a_star():
    every_hour = ",".join(map(str, range(24)))
    assert Cron(f"30 {every_hour} * * *", "Europe/Paris").fires_at(utc(2026, 10, 25, 0, 30))
    assert not Cron("30 1-3 * * *", "Europe/Paris").fires_at(utc(2026, 10, 25, 0, 30))


def test_either_day_field_matches_where_both_are_given():
    cron = Cron("0 0 13 * 5")
    assert found_ticks(cron, utc(2026, 3, 1), utc(2026, 3, 15)) == [utc(2026, 3, 6), utc(2026, 3, 13)]


@pytest.mark.parametrize("moment", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)])
def test_the_first_and_the_last_possible_moment_are_no_ticks(moment):
    cron = Cron("30 5 29 2 *", "Europe/Paris")
    assert not cron.is_tick(moment)
    assert not cron.could_fire_at(moment)


def test_moments_may_be_pendulum_datetimes():
    cron = Cron("30 2 * * *", "Europe/Paris")
    moment = pendulum.datetime(2026, 10, 25, 2, 30, 10, tz="Europe/Paris")
    tick = pendulum.instance(utc(2026, 10, 25, 1, 30))
    assert cron.is_tick(moment)
    assert cron.could_fire_at(moment.subtract(hours=1))
    assert cron.candidate_times(tick) == (utc(2026, 10, 25, 1, 30), utc(2026, 10, 25, 0, 30))
    assert {type(each) for each in cron.candidate_times(tick)} == {datetime}


class TestCandidateTimes:
    def test_an_ordinary_tick_has_one(self):
        tick = utc(2026, 7, 1, 0, 30)
        assert Cron("30 2 * * *", "Europe/Paris").candidate_times(tick) == (tick,)

    def test_a_repeated_time_has_two(self):
        candidate_times = Cron("30 2 * * *", "Europe/Paris").candidate_times(utc(2026, 10, 25, 1, 30))
        assert candidate_times == (utc(2026, 10, 25, 1, 30), utc(2026, 10, 25, 0, 30))

    def test_a_skipped_time_may_also_be_fired_at_the_change(self):
        candidate_times = Cron("30 2 * * *", "Europe/Paris").candidate_times(utc(2026, 3, 29, 1, 30))
        assert candidate_times == (utc(2026, 3, 29, 1, 30), utc(2026, 3, 29, 1))

    @pytest.mark.parametrize(
        ("expression", "tick", "others"),
        [
            ("0 2 * * *", utc(2026, 3, 29, 1), ()),
            ("59 2 * * *", utc(2026, 3, 29, 1, 59), (utc(2026, 3, 29, 1),)),
            ("59 1 * * *", utc(2026, 3, 29, 0, 59), ()),
            ("0 3 * * *", utc(2026, 3, 29, 1), ()),
            ("0 4 * * *", utc(2026, 3, 29, 2), ()),
            ("0 2 * * *", utc(2026, 10, 25, 1), (utc(2026, 10, 25, 0),)),
            ("59 2 * * *", utc(2026, 10, 25, 1, 59), (utc(2026, 10, 25, 0, 59),)),
            ("59 1 * * *", utc(2026, 10, 24, 23, 59), ()),
            ("0 3 * * *", utc(2026, 10, 25, 2), ()),
        ],
    )
    def test_the_bounds_of_a_change_belong_to_it_as_far_as_clocks_show_them(self, expression, tick, others):
        cron = Cron(expression, "Europe/Paris")
        assert cron.fires_at(tick)
        assert cron.candidate_times(tick) == (tick, *others)

    def test_an_hourly_cron_fires_in_each_pass_on_its_own(self):
        tick = utc(2026, 10, 25, 1, 30)
        assert Cron("30 * * * *", "Europe/Paris").candidate_times(tick) == (tick,)

    def test_the_cron_could_fire_at_all_of_them(self):
        cron = Cron("30 2 * * *", "Europe/Paris")
        for tick in (utc(2026, 10, 25, 1, 30), utc(2026, 3, 29, 1, 30)):
            assert all(cron.could_fire_at(moment) for moment in cron.candidate_times(tick))
        assert not cron.could_fire_at(utc(2026, 10, 25, 2, 30))
        assert not cron.could_fire_at(utc(2026, 10, 24, 1, 30))

    @settings(max_examples=cases(60), deadline=None)
    @given(NIGHTLY, st.sampled_from(ZONES), st.integers(1985, 2060), st.integers(0, 3))
    def test_the_cron_could_fire_exactly_at_the_candidate_times_of_its_ticks(
        self, fields, zone, year, number
    ):
        cron = Cron(fields.expression, zone)
        change = day_of_change(cron._zone, year, number)
        if change is not None:
            start, end = change - WINDOW, change + WINDOW
            candidates = {
                moment
                for tick in ticks(fields, cron._zone, start - DAY, end + DAY)
                for moment in cron.candidate_times(tick)
            }
            for moment in (start + each * MINUTE for each in range((end - start) // MINUTE)):
                is_near = any(moment + shift * MINUTE in candidates for shift in (-1, 0, 1))
                assert cron.could_fire_at(moment) == (
                    is_near if cron.tolerance == MINUTE else moment in candidates
                )
