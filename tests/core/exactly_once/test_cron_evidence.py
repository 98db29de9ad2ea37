"""A history is judged by the cron that was in force then, and a tick is never skipped without a reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.field_types import ExecutionType, milliseconds
from airflow_provider_mics.core.exactly_once.handover import CreateNow, Skip, TickContext, decide_tick
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.core.planning.cron_ticks import CronPeriod
from tests.simulated_platform import SimulatedPlatform

TICK = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CRON = "30 5 * * *"
MODIFIED = TICK - 6 * HOUR


def platform(**fields):
    instance = {"id": "42", "name": "Nightly import", "cron": CRON, "cron_status": "ACTIVE"}
    instance["last_modified_ts"] = milliseconds(MODIFIED)
    return SimulatedPlatform(now=TICK + 5 * timedelta(minutes=1), instance=instance | fields)


def fire(platform, moment, status="SUCCEEDED", created=None, started=None):
    execution = platform.fire(moment, status)
    execution["creation_date"] = milliseconds(created or moment)
    if started is not None:
        execution["start_date"] = milliseconds(started)
    return execution


def decide(platform, *, tick=TICK, cron=CRON, timezone="UTC", is_retry=False, since=None, periods=()):
    context = TickContext(cron, timezone, since, cron_periods=periods)
    identity = ExecutionIdentity("42", ExecutionType.CRON, tick)
    give_up_at = platform.now + timedelta(minutes=10)
    return platform.run(decide_tick(identity, context, give_up_at=give_up_at, is_retry=is_retry))


@pytest.mark.parametrize("hours", [-3, -2, -1, 1, 2, 3, 12])
@pytest.mark.parametrize("known", ["nothing", "the present cron", "both crons"])
def test_a_cron_that_was_moved_is_no_wrong_time_zone(hours, known):
    before = TICK - hours * HOUR
    earlier = CronPeriod(f"{before.minute} {before.hour} * * *", TICK - 20 * DAY, MODIFIED - HOUR)
    periods = {
        "nothing": (),
        "the present cron": (CronPeriod(CRON, MODIFIED),),
        "both crons": (earlier, CronPeriod(CRON, MODIFIED)),
    }[known]
    moved = platform()
    for days in range(1, 6):
        fire(moved, before - days * DAY)
    assert isinstance(decide(moved, periods=periods), CreateNow)


def test_the_history_of_the_cron_before_shows_a_wrong_time_zone_too():
    paris = platform(cron="30 7 * * *")
    for days in range(1, 6):
        fire(paris, TICK - HOUR - days * DAY)  # 05:30 in Paris
    tick = TICK + 2 * HOUR
    paris.now = tick + timedelta(minutes=5)
    periods = (CronPeriod(CRON, TICK - 20 * DAY, MODIFIED - HOUR), CronPeriod("30 7 * * *", MODIFIED))
    with pytest.raises(MicsError, match=r"'30 5 \* \* \*', its cron then.*04:30:00 UTC.*'Europe/Paris'"):
        decide(paris, tick=tick, cron="30 7 * * *", periods=periods)


def test_what_was_planned_with_the_cron_before_is_judged_by_none():
    planned_ahead = platform()
    fire(planned_ahead, MODIFIED + HOUR, created=MODIFIED - HOUR)
    assert isinstance(decide(planned_ahead, since=MODIFIED), CreateNow)


def test_other_edits_of_the_instance_do_not_take_its_history_away():
    edited = platform()
    for days in range(1, 4):
        fire(edited, TICK - HOUR - days * DAY)
    with pytest.raises(MicsError, match="'Europe/Paris'"):
        decide(edited, periods=(CronPeriod(CRON, TICK - 20 * DAY),))


def test_one_execution_created_by_hand_among_many_is_no_evidence():
    by_hand = platform()
    for days in range(1, 6):
        fire(by_hand, TICK - days * DAY)
    fire(by_hand, TICK - 2 * DAY + timedelta(hours=9, minutes=7, seconds=11))
    assert isinstance(decide(by_hand, since=TICK - 20 * DAY), CreateNow)


def test_airflows_own_executions_do_not_outvote_the_platforms():
    both = platform()
    for days in range(1, 6):
        fire(both, TICK - days * DAY)
        fire(both, TICK - HOUR - days * DAY)
    with pytest.raises(MicsError, match="compare the connection's timezone"):
        decide(both, since=TICK - 20 * DAY)


@pytest.mark.parametrize(
    "change",
    [
        {"cron_status": "PAUSED"},
        {"archived": True},
        {"cron": "0 7 * * *"},
        {"cron": None, "cron_status": None},
    ],
)
@pytest.mark.parametrize("status", ["FAILED", "CANCELED"])
def test_a_retry_is_skipped_if_the_schedule_has_changed_since(change, status):
    changed = platform(**change)
    fire(changed, TICK, status, started=TICK)
    decision = decide(changed, is_retry=True)
    assert isinstance(decision, Skip)
    assert "nothing to run" in decision.reason


def test_a_retry_goes_on_with_what_still_runs_after_a_pause():
    paused = platform(cron_status="PAUSED")
    fire(paused, TICK, "RUNNING", started=TICK)
    assert isinstance(decide(paused, is_retry=True), CreateNow)


def test_a_first_try_shows_the_failure_that_came_before_the_pause():
    paused = platform(cron_status="PAUSED")
    fire(paused, TICK, "FAILED", started=TICK)
    assert len(decide(paused).existing) == 1


@pytest.mark.parametrize("zone", ["Europe/Paris", "Asia/Tokyo", "America/Sao_Paulo"])
def test_another_time_zone_than_the_schedulers_is_an_error_and_no_silent_skip(zone):
    with pytest.raises(MicsError, match=rf"no tick of its cron '30 5 \* \* \*' in {zone}.*Nothing was run"):
        decide(platform(), timezone=zone)


def test_a_tick_that_the_platform_has_created_is_run_whatever_our_time_zone():
    fired = platform()
    fire(fired, TICK, "RUNNING")
    assert len(decide(fired, timezone="Asia/Tokyo").existing) == 1


@pytest.mark.parametrize(
    ("cron", "periods"),
    [
        (CRON, ()),
        ("0 7 * * *", (CronPeriod(CRON, TICK - 20 * DAY, TICK), CronPeriod("0 7 * * *", TICK + HOUR))),
        ("0 7 * * *", (CronPeriod("0 7 * * *", TICK + HOUR),)),
    ],
)
def test_a_tick_of_a_cron_that_has_been_replaced_is_skipped_with_the_reason(cron, periods):
    decision = decide(platform(cron="0 7 * * *"), cron=cron, periods=periods)
    assert isinstance(decision, Skip)
    assert "has the cron '0 7 * * *'" in decision.reason


def planned_and_canceled(**instance):
    taken_back = platform(**instance)
    fire(taken_back, TICK, "CANCELED", created=TICK - HOUR)
    return taken_back


def test_a_tick_canceled_by_a_pause_that_was_taken_back_is_run():
    taken_back = planned_and_canceled(last_modified_ts=milliseconds(TICK - HOUR / 2))
    decision = decide(taken_back)
    assert isinstance(decision, CreateNow)
    assert decision.replaces_existing


def test_the_platform_has_its_grace_for_such_a_tick_too():
    taken_back = planned_and_canceled(last_modified_ts=milliseconds(TICK - HOUR / 2))
    taken_back.now = TICK + timedelta(seconds=5)
    decision = decide(taken_back)
    assert decision.until == TICK + timedelta(minutes=2)
    assert decision.ignored_ids == ("1",)


def test_what_a_person_canceled_alone_stays_canceled():
    decision = decide(planned_and_canceled())
    assert not decision.replaces_existing
    assert [each.status for each in decision.existing] == ["CANCELED"]
