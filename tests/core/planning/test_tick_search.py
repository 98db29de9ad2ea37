"""The next and the last ticks, compared with asking every minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_mics.core.planning.cron_ticks import MINUTE, Cron
from airflow_provider_mics.core.planning.tick_search import ticks_after, ticks_before

CRONS = (
    "* * * * *", "*/20 * * * *", "7 * * * *", "30 2 * * *", "0 3 * * *", "15 0 * * *", "0 0 * * *", "59 23 * * *",
    "0 */6 * * *", "30 1,2,3 * * *", "0 5 * * 1-5", "0 5 1,29,31 * *", "0 5 13 * 5", "30 2 29 3 *",
)  # fmt: skip
ZONES = (
    "UTC", "Europe/Paris", "America/Santiago", "Australia/Lord_Howe", "Asia/Kolkata", "America/Sao_Paulo",
    "Pacific/Apia",
)  # fmt: skip
MOMENTS = (
    # Around changes of clocks of these zones, one of them a whole day that was skipped, and elsewhere.
    datetime(2026, 3, 28, 20, tzinfo=UTC), datetime(2026, 10, 24, 20, tzinfo=UTC), datetime(2026, 4, 4, 6, tzinfo=UTC),
    datetime(2026, 9, 5, 20, tzinfo=UTC), datetime(2018, 11, 3, 20, tzinfo=UTC), datetime(2011, 12, 29, 5, tzinfo=UTC),
    datetime(2026, 7, 1, 0, 0, tzinfo=UTC), datetime(2026, 10, 3, 9, 30, tzinfo=UTC),
)  # fmt: skip
DAYS = 2


def fired(cron: Cron, start: datetime, end: datetime) -> list[datetime]:
    first = start.replace(second=0, microsecond=0)
    minutes = (first + number * MINUTE for number in range((end - start) // MINUTE + 2))
    return [minute for minute in minutes if start <= minute <= end and cron.fires_at(minute)]


@pytest.mark.parametrize("zone", ZONES)
@settings(deadline=None, max_examples=25)
@given(cron=st.sampled_from(CRONS), start=st.sampled_from(MOMENTS), shift=st.integers(0, 2 * 24 * 60))
def test_the_next_and_the_last_ticks_are_those_of_each_minute(
    zone: str, cron: str, start: datetime, shift: int
) -> None:
    asked, moment = Cron(cron, zone), start + shift * MINUTE
    end = moment + timedelta(days=DAYS)
    expected = fired(asked, moment + timedelta(microseconds=1), end)
    assert [each for each in ticks_after(asked, moment, len(expected) + 1) if each <= end] == expected
    before = fired(asked, moment, end - timedelta(microseconds=1))
    assert ticks_before(asked, end, len(before) + 5, since=moment) == before[::-1]
    assert ticks_before(asked, end, 2, since=moment) == before[::-1][:2]


@pytest.mark.parametrize(
    ("cron", "count"), [("0 0 29 2 *", 3), ("0 0 1 1 *", 3), ("* * * * *", 300), ("0 2 31 * *", 12)]
)
def test_seldom_ticks_are_found_too(cron: str, count: int) -> None:
    found = ticks_after(Cron(cron, "Europe/Paris"), datetime(2026, 1, 1, tzinfo=UTC), count)
    assert len(found) == count
    assert all(Cron(cron, "Europe/Paris").fires_at(each) for each in found)
    assert all(earlier < later for earlier, later in pairwise(found))


def test_a_cron_with_a_problem_has_no_ticks() -> None:
    for cron in (Cron("0 5 1-31 * 1"), Cron("0 5 * * *", "Nowhere/Else")):
        assert ticks_after(cron, MOMENTS[0], 3) == []
        assert ticks_before(cron, MOMENTS[0], 3, since=MOMENTS[0] - timedelta(days=9)) == []


def test_ends_of_the_calendar_are_no_error() -> None:
    daily, day = Cron("0 0 * * *"), timedelta(days=1)
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
    assert ticks_after(daily, last - 2 * day, 5) == [last - day]
    assert ticks_before(daily, first + 3 * day, 9, since=first) == [first + 2 * day, first + day]
