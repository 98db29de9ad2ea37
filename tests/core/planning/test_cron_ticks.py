"""Ticks agree with a look at the clock on the wall, minute by minute, wherever and whenever clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pendulum
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_mics.core.planning.cron_ticks import Cron
from tests.core.planning.wall_clock_oracle import Fields, ticks, utc

ZONES = sorted(name for name in available_timezones() if "/" in name)
WINDOW = timedelta(days=1, hours=6)


def some_of(lowest: int, highest: int) -> st.SearchStrategy[frozenset[int] | None]:
    values = st.integers(lowest, highest)
    # A list of all values is a star to croniter; that reading has a test of its own.
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


def change_of_clocks(zone: ZoneInfo, year: int, number: int) -> datetime | None:
    """Midday of a day around which the clocks of a zone change in a year."""
    days = [datetime(year, 1, 1, 12, tzinfo=UTC) + timedelta(days=each) for each in range(366)]
    changes = [
        later
        for earlier, later in pairwise(days)
        if earlier.astimezone(zone).utcoffset() != later.astimezone(zone).utcoffset()
    ]
    return changes[number % len(changes)] if changes else None


@settings(max_examples=150, deadline=None)
@given(FIELDS, st.sampled_from(ZONES), MOMENTS)
def test_ticks_are_what_the_wall_shows_on_any_day(fields, zone, start):
    cron = Cron(fields.expression, zone)
    assert list(cron.between(start, start + WINDOW)) == ticks(fields, cron._zone, start, start + WINDOW)


@settings(max_examples=300, deadline=None)
@given(NIGHTLY, st.sampled_from(ZONES), st.integers(1985, 2060), st.integers(0, 3))
def test_ticks_are_what_the_wall_shows_where_clocks_change(fields, zone, year, number):
    cron = Cron(fields.expression, zone)
    change = change_of_clocks(cron._zone, year, number)
    if change is not None:
        start = change - WINDOW
        expected = ticks(fields, cron._zone, start, change + WINDOW)
        assert list(cron.between(start, change + WINDOW)) == expected
        assert all(cron.is_tick(tick) and cron.could_fire_at(tick) for tick in expected)


@settings(max_examples=200, deadline=None)
@given(FIELDS, st.sampled_from(ZONES), MOMENTS, st.integers(0, 90_000_000))
def test_the_latest_tick_and_the_next_one_enclose_a_moment(fields, zone, moment, microseconds):
    cron = Cron(fields.expression, zone)
    moment += timedelta(microseconds=microseconds)
    latest, following = cron.latest_at(moment), cron.next_after(moment)
    assert latest <= moment < following
    assert cron.next_after(latest) == following
    assert cron.latest_at(following) == following


@settings(max_examples=100, deadline=None)
@given(FIELDS, MOMENTS)
def test_no_two_ticks_are_nearer_than_the_shortest_period(fields, start):
    cron = Cron(fields.expression)
    found = []
    for tick in cron.between(start, start + timedelta(days=20_000)):
        found.append(tick)
        if len(found) == 50:
            break
    assert all(later - earlier >= cron.shortest_period for earlier, later in pairwise(found))


@pytest.mark.parametrize(
    ("expression", "period"),
    [
        ("* * * * *", timedelta(minutes=1)),
        ("*/7 * * * *", timedelta(minutes=4)),
        ("0,59 * * * *", timedelta(minutes=1)),
        ("30 5 * * *", timedelta(days=1)),
        ("30 5 * * 1,6", timedelta(days=2)),
        ("30 5 * * 1", timedelta(days=7)),
        ("0 0 1 * *", timedelta(days=28)),
        ("0 0 29 2 *", timedelta(days=1461)),
        ("0 0 13 * 5", timedelta(days=1)),
        ("5,55 23,0 1 * *", timedelta(minutes=50)),
    ],
)
def test_the_shortest_period_is_exact(expression, period):
    assert Cron(expression).shortest_period == period


@given(FIELDS)
def test_the_tolerance_never_reaches_half_way_to_the_next_tick(fields):
    cron = Cron(fields.expression)
    assert timedelta(0) < cron.tolerance < cron.shortest_period / 2
    assert cron.tolerance <= timedelta(seconds=60)


def test_a_moment_within_the_tolerance_is_the_tick_and_one_beyond_is_not():
    cron = Cron("30 5 * * *", "Europe/Paris")
    tick = utc(2026, 1, 5, 4, 30)
    for seconds in (-60, -1, 0, 60):
        assert cron.is_tick(tick + timedelta(seconds=seconds))
    for seconds in (-61, 61, 3600):
        assert not cron.is_tick(tick + timedelta(seconds=seconds))
    assert not cron.is_tick(tick + timedelta(seconds=20), tolerance=timedelta(seconds=10))


def test_a_time_that_spring_leaves_out_comes_an_hour_later():
    cron = Cron("30 2 * * *", "Europe/Paris")
    assert cron.next_after(utc(2026, 3, 28, 12)) == utc(2026, 3, 29, 1, 30)


def test_of_a_time_that_autumn_shows_twice_the_second_counts():
    cron = Cron("30 2 * * *", "Europe/Paris")
    assert list(cron.between(utc(2026, 10, 25), utc(2026, 10, 26))) == [utc(2026, 10, 25, 1, 30)]


def test_a_cron_of_every_hour_ticks_in_both_passes():
    cron = Cron("30 * * * *", "Europe/Paris")
    assert len(list(cron.between(utc(2026, 10, 24, 22), utc(2026, 10, 25, 23)))) == 25


def test_both_days_of_unix_are_a_choice_where_both_are_given():
    cron = Cron("0 0 13 * 5")
    assert list(cron.between(utc(2026, 3, 1), utc(2026, 3, 15))) == [
        utc(2026, 3, 6),
        utc(2026, 3, 13),
    ]


@pytest.mark.parametrize("moment", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)])
def test_a_moment_at_the_end_of_time_is_no_tick(moment):
    cron = Cron("30 5 29 2 *", "Europe/Paris")
    assert not cron.is_tick(moment)
    assert not cron.could_fire_at(moment)


def test_moments_may_be_those_of_airflow():
    cron = Cron("30 2 * * *", "Europe/Paris")
    tick = pendulum.datetime(2026, 10, 25, 2, 30, 10, tz="Europe/Paris")
    assert type(cron.next_after(tick)) is datetime
    assert type(cron.latest_at(tick)) is datetime
    assert cron.is_tick(tick)
    assert cron.could_fire_at(tick.subtract(hours=1))
    assert len(cron.candidate_times(pendulum.instance(cron.latest_at(tick)))) == 2
    assert list(cron.between(tick, tick.add(days=1))) == [cron.next_after(tick)]
