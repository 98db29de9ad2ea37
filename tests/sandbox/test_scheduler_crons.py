from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_mics.sandbox.scheduler import is_valid_cron, next_tick_ms

PARIS = ZoneInfo("Europe/Paris")
ZONES = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Casablanca",
]


def ticks(cron: str, zone: ZoneInfo, start: datetime, count: int, **how: Any) -> list[datetime]:
    moment_ms: int | None = int(start.timestamp() * 1000)
    found = []
    for _ in range(count):
        assert moment_ms is not None
        moment_ms = next_tick_ms(cron, zone, moment_ms, **how)
        assert moment_ms is not None
        found.append(datetime.fromtimestamp(moment_ms / 1000, zone))
    return found


@pytest.mark.parametrize(
    "cron", ["* * * 7 *", "30 5 * * 1,6", "*/15 0-6 1 JAN-MAR mon", "0 0 29 2 *", "5/10 * * * *"]
)
def test_a_five_field_unix_cron_can_be_read(cron: str) -> None:
    assert is_valid_cron(cron)


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "* * * *",
        "* * * * * *",
        "@daily",
        "61 * * * *",
        "0 0 30 2 *",
        "R R * * *",
        "H * * * *",
        "0 0 L * *",
        "a b c d e",
    ],
)
def test_what_is_not_a_five_field_unix_cron_cannot(cron: str) -> None:
    assert not is_valid_cron(cron)
    assert next_tick_ms(cron, PARIS, 0) is None


def test_a_fixed_hour_left_out_in_spring_fires_later_by_as_much() -> None:
    found = ticks("30 2 * * *", PARIS, datetime(2025, 3, 29, 12, tzinfo=PARIS), 2)
    assert [f"{tick:%d %H:%M %z}" for tick in found] == ["30 03:30 +0200", "31 02:30 +0200"]


@pytest.mark.parametrize(("which", "offset"), [("first", "+0200"), ("second", "+0100")])
def test_a_fixed_hour_that_comes_twice_in_autumn_fires_once(which: str, offset: str) -> None:
    found = ticks("30 2 * * *", PARIS, datetime(2025, 10, 25, 12, tzinfo=PARIS), 2, repeated_hour=which)
    assert [f"{tick:%d %H:%M %z}" for tick in found] == [f"26 02:30 {offset}", "27 02:30 +0100"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("cron", ["*/30 * * * *", "10 * * * 0", "7 */2 * 3,4,10,11 *"])
def test_a_starred_hour_fires_exactly_when_the_clock_on_the_wall_matches(cron: str, zone: str) -> None:
    there = ZoneInfo(zone)
    for month in (3, 10, 11):
        start = datetime(2025, month, 1, tzinfo=UTC)
        end = start + timedelta(days=10)
        expected = [
            minute
            for number in range(1, int((end - start).total_seconds() // 60))
            if matches(cron, (minute := start + timedelta(minutes=number)).astimezone(there))
        ]
        found = [tick.astimezone(UTC) for tick in ticks(cron, there, start, len(expected))]
        assert found == expected


@pytest.mark.parametrize("zone", ZONES)
def test_a_fixed_hour_fires_once_on_each_day_of_a_year(zone: str) -> None:
    there = ZoneInfo(zone)
    for cron in ("30 2 * * *", "0 0 * * *", "15 1 * * *"):
        found = ticks(cron, there, datetime(2024, 1, 1, tzinfo=there) - timedelta(minutes=1), 366)
        days = [tick.date() for tick in found]
        assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(days))


def matches(cron: str, wall: datetime) -> bool:
    minute, hour, _, month, weekday = cron.split()
    return (
        _matches(minute, wall.minute)
        and _matches(hour, wall.hour)
        and _matches(month, wall.month)
        and _matches(weekday, wall.isoweekday() % 7)
    )


def _matches(field: str, value: int) -> bool:
    if field.startswith("*"):
        return value % int(field.partition("/")[2] or 1) == 0
    return value in {int(each) for each in field.split(",")}
