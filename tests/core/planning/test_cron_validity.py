"""Which crons can be scheduled, and which time zone fits the moments at which one fired."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mics.core.planning.cron_ticks import Cron, infer_timezone
from tests.core.planning.crond_reading import Crond
from tests.core.planning.wall_clock_oracle import utc


def ticks_of(cron: Cron) -> Iterator[datetime]:
    start = utc(2026, 1, 1).replace(tzinfo=None) - timedelta(minutes=1)
    return (tick.replace(tzinfo=UTC) for tick in Crond(cron.expression).ticks_after(start))


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
def test_a_standard_cron_is_valid(expression):
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
def test_an_invalid_cron_says_why_and_never_fires(expression, problem):
    cron = Cron(expression)
    assert problem in (cron.problem or "")
    assert not cron.is_tick(utc(2026, 1, 1))
    assert not cron.could_fire_at(utc(2026, 1, 1))
    assert cron.tolerance == timedelta(0)
    with pytest.raises(ValueError, match="cron"):
        cron.fires_at(utc(2026, 1, 1))
    with pytest.raises(ValueError, match="cron"):
        cron.candidate_times(utc(2026, 1, 1))


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "", "../passwd", "Europe"])
def test_an_unknown_time_zone_is_named(zone):
    assert f"time zone {zone!r}" in (Cron("0 5 * * *", zone).problem or "")


@given(st.text(max_size=30))
def test_no_text_breaks_the_parser(expression):
    cron = Cron(expression)
    if cron.problem is None:
        assert cron.fires_at(next(ticks_of(cron)))
    else:
        assert "\n" not in cron.problem.replace(expression, "")


@given(st.lists(st.text(alphabet="0123456789*/,-lLwW#?janmosu ", max_size=6), min_size=5, max_size=5))
def test_a_valid_cron_has_ticks(fields):
    cron = Cron(" ".join(fields))
    if cron.problem is None:
        assert cron.is_tick(next(ticks_of(cron)))


def test_a_cron_of_every_minute_has_a_warning():
    assert "probably not meant" in (Cron("*  * * * *").warning or "")
    assert Cron("*/5 * * * *").warning is None
    assert Cron("nonsense").warning is None


def test_a_range_of_one_value_is_that_value():
    # croniter parses 1-1 as a star, which would run a batch every minute.
    assert Cron("1-1 * * * *").normalised == "1 * * * *"
    assert Cron("1-1 5-5/2 * * mon-mon").normalised == "1 5 * * mon"
    assert Cron("1-11 21-23 * * *").normalised == "1-11 21-23 * * *"
    assert Cron("1-1 * * * *").tolerance == timedelta(seconds=60)
    assert not Cron("1-1 * * * *").fires_at(utc(2026, 1, 1, 0, 2))


class TestInferTimezone:
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
    def test_moments_over_a_year_give_their_zone(self, zone):
        fired = self.fired(zone)
        inferred = infer_timezone("30 5 * * *", fired)
        assert inferred is not None
        # Some zones have two names.
        assert self.fired(inferred) == fired

    def test_utc_is_tried_first_then_the_candidates(self):
        winter = self.fired("Europe/London")[:1]
        assert infer_timezone("30 5 * * *", winter, ["Europe/London"]) == "UTC"
        winter = self.fired("Europe/Paris")[:1]
        assert infer_timezone("30 5 * * *", winter, ["Europe/Berlin"]) == "Europe/Berlin"
        assert infer_timezone("30 5 * * *", winter) == "Europe/Paris"

    def test_moments_of_another_cron_have_no_zone(self):
        assert infer_timezone("30 5 * * *", self.fired("UTC", minute=47)) is None

    def test_there_is_no_zone_without_moments_or_a_valid_cron(self):
        assert infer_timezone("30 5 * * *", []) is None
        assert infer_timezone("nonsense", self.fired("UTC")) is None
        assert infer_timezone("30 5 * * *", self.fired("Europe/Paris"), ["Europe/Atlantis"]) == "Europe/Paris"


@pytest.mark.parametrize(
    ("cron", "instead"),
    [
        ("59/15 * * * *", "; write 59"),
        ("50/15 * * * *", "; write 50"),
        ("44/15 * * * *", "; write 44-59/15 or 44"),
        ("0 23/1 * * *", "; write 23"),
        ("0 5 * * 7/2", "; write 7"),
        ("0 5 * * 6/2", "; write 6"),
        ("0 5 31/5 * *", "; write 31"),
        ("0 5 * dec/1 *", "; write dec"),
    ],
)
def test_a_step_that_leads_nowhere_is_told_with_the_one_value_that_it_means(cron, instead):
    problem = Cron(cron).problem
    assert problem is not None
    assert problem.endswith(instead)
