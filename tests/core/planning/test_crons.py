"""Which crons can be scheduled on, and which time zone a history of them speaks for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mics.core.planning.cron_ticks import Cron, infer_timezone
from tests.core.planning.wall_clock_oracle import utc


@pytest.mark.parametrize(
    "expression",
    [
        "30 5 * * 1,6",
        "* * * 7 *",
        "*/15 9-17 * * mon-fri",
        "0 0 1 MAR *",
        "  0  5\t* * *  ",
        "0 0 29 2 *",
        "0 0 * * 7",
    ],
)
def test_a_cron_of_the_platforms_is_read(expression):
    assert Cron(expression, "Europe/Paris").problem is None


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("", "has 0 field(s)"),
        ("0 5 * *", "has 4 field(s)"),
        ("0 0 5 * * *", "has 6 field(s)"),
        ("@daily", "has 1 field(s)"),
        ("0 25 * * *", "cannot be read"),
        ("a b c d e", "cannot be read"),
        ("0 0 l * *", "standard Unix cron does not allow"),
        ("0 0 15w * *", "standard Unix cron does not allow"),
        ("0 0 * * 5#2", "standard Unix cron does not allow"),
        ("0 0 ? * *", "standard Unix cron does not allow"),
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
    ],
)
def test_a_cron_that_nobody_could_run_says_why(expression, problem):
    cron = Cron(expression)
    assert problem in (cron.problem or "")
    assert not cron.is_tick(utc(2026, 1, 1))
    assert not cron.could_fire_at(utc(2026, 1, 1))
    assert cron.tolerance == timedelta(0)
    with pytest.raises(ValueError, match="cron"):
        cron.next_after(utc(2026, 1, 1))


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "", "../passwd", "Europe"])
def test_a_time_zone_that_is_not_known_is_named(zone):
    assert f"time zone {zone!r}" in (Cron("0 5 * * *", zone).problem or "")


@given(st.text(max_size=30))
def test_no_text_breaks_the_reading(expression):
    cron = Cron(expression)
    if cron.problem is None:
        assert cron.next_after(utc(2026, 1, 1)) > utc(2026, 1, 1)
    else:
        assert "\n" not in cron.problem.replace(expression, "")


@given(st.lists(st.text(alphabet="0123456789*/,-lLwW#?janmosu ", max_size=6), min_size=5, max_size=5))
def test_what_is_read_has_ticks_and_what_has_none_is_not_read(fields):
    cron = Cron(" ".join(fields))
    if cron.problem is None:
        assert cron.is_tick(cron.next_after(utc(2026, 1, 1)))


def test_a_cron_of_every_minute_is_probably_not_meant():
    assert "probably not meant" in (Cron("*  * * * *").warning or "")
    assert Cron("*/5 * * * *").warning is None
    assert Cron("nonsense").warning is None


def test_a_range_of_one_value_is_that_value():
    # croniter reads 1-1 as a star, which would run a batch every minute.
    assert Cron("1-1 * * * *").normalised == "1 * * * *"
    assert Cron("1-1 5-5/2 * * mon-mon").normalised == "1 5 * * mon"
    assert Cron("1-11 21-1 * * *").normalised == "1-11 21-1 * * *"
    assert Cron("1-1 * * * *").shortest_period == timedelta(hours=1)


class TestReadings:
    def test_an_ordinary_tick_has_one(self):
        tick = utc(2026, 7, 1, 0, 30)
        assert Cron("30 2 * * *", "Europe/Paris").candidate_times(tick) == (tick,)

    def test_a_time_shown_twice_has_two(self):
        candidate_times = Cron("30 2 * * *", "Europe/Paris").candidate_times(utc(2026, 10, 25, 1, 30))
        assert candidate_times == (utc(2026, 10, 25, 1, 30), utc(2026, 10, 25, 0, 30))

    def test_a_time_left_out_may_also_be_fired_when_clocks_are_put_forward(self):
        candidate_times = Cron("30 2 * * *", "Europe/Paris").candidate_times(utc(2026, 3, 29, 1, 30))
        assert candidate_times == (utc(2026, 3, 29, 1, 30), utc(2026, 3, 29, 1))

    def test_a_cron_of_every_hour_ticks_in_each_pass_by_itself(self):
        tick = utc(2026, 10, 25, 1, 30)
        assert Cron("30 * * * *", "Europe/Paris").candidate_times(tick) == (tick,)

    def test_all_of_them_are_explained(self):
        cron = Cron("30 2 * * *", "Europe/Paris")
        for tick in (utc(2026, 10, 25, 1, 30), utc(2026, 3, 29, 1, 30)):
            assert all(cron.could_fire_at(reading) for reading in cron.candidate_times(tick))
        assert not cron.could_fire_at(utc(2026, 10, 25, 2, 30))
        assert not cron.could_fire_at(utc(2026, 10, 24, 1, 30))


class TestExplainingZone:
    def fired(self, zone: str, hour: int = 5, minute: int = 30) -> list[datetime]:
        return [
            datetime(2026, month, 10, hour, minute, 4, tzinfo=ZoneInfo(zone)).astimezone(UTC)
            for month in (1, 4, 7, 10)
        ]

    @pytest.mark.parametrize(
        "zone",
        [
            "UTC",
            "Europe/Paris",
            "America/New_York",
            "Asia/Kathmandu",
            "Australia/Lord_Howe",
            "Africa/Casablanca",
        ],
    )
    def test_a_history_over_a_year_names_its_zone(self, zone):
        fired = self.fired(zone)
        explained = infer_timezone("30 5 * * *", fired)
        assert explained is not None
        # Some zones have two names.
        assert self.fired(explained) == fired

    def test_utc_is_named_first_then_the_zones_one_suggests(self):
        winter = self.fired("Europe/London")[:1]
        assert infer_timezone("30 5 * * *", winter, ["Europe/London"]) == "UTC"
        winter = self.fired("Europe/Paris")[:1]
        assert infer_timezone("30 5 * * *", winter, ["Europe/Berlin"]) == "Europe/Berlin"
        assert infer_timezone("30 5 * * *", winter) == "Europe/Paris"

    def test_a_history_of_another_cron_has_no_zone(self):
        assert infer_timezone("30 5 * * *", self.fired("UTC", minute=47)) is None

    def test_nothing_explains_no_history_or_no_cron(self):
        assert infer_timezone("30 5 * * *", []) is None
        assert infer_timezone("nonsense", self.fired("UTC")) is None
        assert infer_timezone("30 5 * * *", self.fired("Europe/Paris"), ["Europe/Atlantis"]) == "Europe/Paris"
