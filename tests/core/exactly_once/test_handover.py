"""Two schedulers and one tick: one execution whichever fires, and none with a wrong time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_mics.api.errors import MicsError, MicsTimeoutError
from airflow_provider_mics.api.field_types import ExecutionType, milliseconds
from airflow_provider_mics.core.exactly_once.handover import (
    CreateNow,
    Skip,
    TickContext,
    WaitForPlatform,
    decide_tick,
)
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from tests.simulated_platform import SimulatedPlatform

TICK = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)
DAY = timedelta(days=1)
CRON = "30 5 * * *"


def identity(tick=TICK):
    return ExecutionIdentity("42", ExecutionType.CRON, tick)


def platform_at(now, **fields):
    instance = {"id": "42", "name": "Nightly import", "cron": CRON, "cron_status": "ACTIVE"}
    instance["last_modified_ts"] = milliseconds(TICK - 100 * DAY)
    return SimulatedPlatform(now=now, instance=instance | fields)


def decide(
    platform,
    tick=TICK,
    *,
    platform_grace=timedelta(minutes=2),
    timezone="UTC",
    cron=CRON,
    grace_is_over=False,
    since=None,
):
    context = TickContext(cron=cron, timezone=timezone, schedule_since=since, platform_grace=platform_grace)
    give_up_at = platform.now + timedelta(minutes=10)
    return platform.run(
        decide_tick(identity(tick), context, give_up_at=give_up_at, grace_is_over=grace_is_over)
    )


def test_the_platform_has_its_grace_before_airflow_creates():
    decision = decide(platform_at(TICK + timedelta(seconds=1)))
    assert isinstance(decision, WaitForPlatform)
    assert decision.until == TICK + timedelta(minutes=2)


def test_an_execution_that_the_platform_made_is_taken_up_at_any_time():
    for now in (TICK - timedelta(hours=3), TICK + timedelta(seconds=1), TICK + timedelta(hours=1)):
        platform = platform_at(now)
        fired = platform.fire(TICK)
        decision = decide(platform)
        assert isinstance(decision, CreateNow)
        assert [each.id for each in decision.existing] == [fired["id"]]


@pytest.mark.parametrize("apart", [-60, -30, 30, 60])
def test_clocks_a_minute_apart_are_the_same_tick(apart):
    platform = platform_at(TICK + timedelta(seconds=1))
    platform.fire(TICK + timedelta(seconds=apart))
    assert len(decide(platform).existing) == 1


def test_a_tick_of_every_minute_is_not_taken_for_its_neighbour():
    platform = platform_at(TICK + timedelta(seconds=1), cron="* * * * *")
    platform.fire(TICK - timedelta(minutes=1))
    assert isinstance(decide(platform, cron="* * * * *"), WaitForPlatform)


def test_airflow_may_create_once_the_platform_stayed_silent():
    decision = decide(platform_at(TICK + timedelta(minutes=2)))
    assert decision == CreateNow(decision.identity, ())
    assert decide(platform_at(TICK), grace_is_over=True).existing == ()


def test_no_grace_creates_at_once():
    assert isinstance(decide(platform_at(TICK), platform_grace=timedelta(0)), CreateNow)


def test_grace_none_never_creates_and_says_what_did_not_happen():
    assert isinstance(decide(platform_at(TICK), platform_grace=None), WaitForPlatform)
    with pytest.raises(
        MicsTimeoutError, match=r"Nightly import.*did not fire the tick of 2026-03-02 05:30:00 UTC"
    ):
        decide(platform_at(TICK + timedelta(minutes=3)), platform_grace=None)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"cron_status": "PAUSED"}, "PAUSED"),
        ({"archived": True}, "archived"),
        ({"cron": None, "cron_status": None}, "no longer has a cron"),
        ({"cron": "0 7 * * *"}, "has the cron '0 7 * * *'"),
    ],
)
def test_a_tick_that_the_platform_no_longer_has_runs_nothing(fields, reason):
    decision = decide(platform_at(TICK + timedelta(minutes=5), **fields))
    assert isinstance(decision, Skip)
    assert reason in decision.reason


def test_what_was_fired_before_the_pause_is_still_taken_up():
    platform = platform_at(TICK + timedelta(minutes=5), cron_status="PAUSED")
    platform.fire(TICK)
    assert isinstance(decide(platform), CreateNow)


def test_what_the_platform_planned_ahead_and_canceled_on_pausing_is_no_failure():
    platform = platform_at(TICK + timedelta(seconds=1), cron_status="PAUSED")
    platform.fire(TICK, "CANCELED")
    assert isinstance(decide(platform), Skip)
    platform.instance["cron_status"] = "ACTIVE"
    assert isinstance(decide(platform), CreateNow), "a person canceled it"


def test_a_hand_written_dag_may_run_a_paused_instance_as_cron_at_once():
    assert isinstance(decide(platform_at(TICK, cron_status="PAUSED"), cron=None), CreateNow)


def history(platform, hour, days=range(1, 5), minute=30):
    for day in reversed(days):
        platform.fire((TICK - day * DAY).replace(hour=hour, minute=minute), "SUCCEEDED")


def test_a_history_beside_our_ticks_creates_nothing_and_names_the_zone_that_agrees():
    tick = datetime(2026, 3, 2, 4, 30, tzinfo=UTC)  # 05:30 in Paris
    platform = platform_at(tick + timedelta(minutes=5))
    history(platform, hour=5)
    with pytest.raises(MicsError) as refused:
        decide(platform, tick, timezone="Europe/Paris")
    line = str(refused.value)
    assert "2026-03-02 04:30:00 UTC" in line
    assert "2026-03-01 05:30:00 UTC" in line
    assert "'UTC'" in line
    assert [each["status"] for each in platform.executions] == ["SUCCEEDED"] * 4


def test_a_history_on_our_ticks_or_none_at_all_contradicts_nothing():
    platform = platform_at(TICK + timedelta(minutes=5))
    assert isinstance(decide(platform), CreateNow)
    history(platform, hour=5)
    assert isinstance(decide(platform), CreateNow)


def test_a_history_of_an_earlier_cron_contradicts_nothing():
    platform = platform_at(
        TICK + timedelta(minutes=5), last_modified_ts=milliseconds(TICK - timedelta(hours=1))
    )
    history(platform, hour=9, minute=7)
    assert isinstance(decide(platform), CreateNow)


def test_a_history_in_force_that_no_zone_explains_contradicts():
    platform = platform_at(TICK + timedelta(minutes=5))
    history(platform, hour=9, minute=7)
    with pytest.raises(MicsError, match="09:07:00 UTC"):
        decide(platform)


@pytest.mark.parametrize(
    ("tick", "fired"),
    [
        # Autumn shows 02:30 twice in Paris: 00:30 and 01:30 UTC.
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        # Spring leaves 02:30 out: later by an hour, or at the moment of the change.
        (datetime(2026, 3, 29, 1, 30, tzinfo=UTC), datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
    ],
)
def test_the_hours_in_which_clocks_change_are_one_tick_however_the_platform_reads_them(tick, fired):
    platform = platform_at(tick + timedelta(minutes=5), cron="30 2 * * *")
    platform.fire(fired)
    assert len(decide(platform, tick, timezone="Europe/Paris", cron="30 2 * * *").existing) == 1


def test_a_run_that_airflow_makes_beside_the_cron_where_clocks_change_runs_nothing():
    sunday = datetime(2026, 10, 25, 22, 0, tzinfo=UTC)
    platform = platform_at(sunday + timedelta(minutes=5), cron="0 * * * 1-5")
    decision = decide(platform, sunday, timezone="Europe/Paris", cron="0 * * * 1-5")
    assert isinstance(decision, Skip)
