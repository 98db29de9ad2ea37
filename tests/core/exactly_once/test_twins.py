"""A platform that comes later than its grace, or whose clock is behind: no tick runs twice unnoticed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from airflow_provider_mics.api.field_types import ExecutionType, milliseconds
from airflow_provider_mics.api.progress import wait_for_execution
from airflow_provider_mics.core.exactly_once.handover import (
    CreateNow,
    TickContext,
    WaitForPlatform,
    decide_tick,
    wait_for_tick_execution,
)
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.core.exactly_once.twins import check_for_twins, with_twin_checks
from tests.flow_driver import refusal
from tests.simulated_platform import SimulatedPlatform, always, status

TICK = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
CRON = "30 5 * * *"
IDENTITY = ExecutionIdentity("42", ExecutionType.CRON, TICK, timedelta(seconds=60))


def seconds(number):
    return timedelta(seconds=number)


def platform_at(now, **more):
    instance = {"id": "42", "name": "Nightly import", "cron": CRON, "cron_status": "ACTIVE"}
    instance["last_modified_ts"] = milliseconds(TICK - 100 * DAY)
    return SimulatedPlatform(now=now, instance=instance, **more)


def fire(platform, tick, late=timedelta(0), status="SUCCEEDED", runs=MINUTE):
    execution = platform.fire(tick, status)
    execution["creation_date"] = milliseconds(tick + late)
    if status != "PENDING" and runs is not None:
        execution |= {"start_date": milliseconds(tick + late), "duration": runs / timedelta(milliseconds=1)}
        platform.executions[-1] = execution
    return execution


def decide(platform, grace=2 * MINUTE, **more):
    context = TickContext(CRON, "UTC", None, grace)
    identity = ExecutionIdentity("42", ExecutionType.CRON, TICK)
    return platform.run(decide_tick(identity, context, give_up_at=platform.now + 10 * MINUTE, **more))


def test_the_grace_is_reckoned_on_the_platforms_clock():
    behind = platform_at(TICK + seconds(130))
    behind.clock_offset = -seconds(150)
    decision = decide(behind)
    assert isinstance(decision, WaitForPlatform)
    assert seconds(269) <= decision.until - TICK <= seconds(271)
    assert "clock is 2 min 30 s behind" in behind.lines
    ahead = platform_at(TICK + seconds(130))
    ahead.clock_offset = seconds(150)
    assert isinstance(decide(ahead), CreateNow)


@pytest.mark.parametrize("date", ["", "yesterday", format_datetime(TICK - 30 * DAY, usegmt=False), "\x00"])
def test_a_date_that_tells_nothing_leaves_our_own_clock(date):
    platform = platform_at(TICK + seconds(121))
    platform.date = date
    assert isinstance(decide(platform), CreateNow)


@pytest.mark.parametrize(
    ("grace", "late", "learned"),
    [(2 * MINUTE, seconds(130), seconds(195)), (timedelta(0), seconds(6), seconds(16))],
)
def test_how_late_the_platform_was_lengthens_the_grace(grace, late, learned):
    platform = platform_at(TICK + seconds(1))
    fire(platform, TICK - DAY, grace)
    fire(platform, TICK - DAY, late)
    decision = decide(platform, grace)
    assert isinstance(decision, WaitForPlatform)
    assert decision.until == TICK + learned


@pytest.mark.parametrize("earlier", ["FAILED", "CANCELED"])
def test_a_retry_after_a_failure_is_no_lateness(earlier):
    platform = platform_at(TICK + seconds(121))
    fire(platform, TICK - DAY, seconds(1), earlier)
    fire(platform, TICK - DAY, seconds(900))
    assert isinstance(decide(platform), CreateNow)


def test_a_silent_platform_does_not_make_the_grace_grow():
    platform = platform_at(TICK + seconds(121))
    for days in range(1, 30):
        fire(platform, TICK - days * DAY, seconds(122))
    assert isinstance(decide(platform), CreateNow)


def test_after_an_outage_the_grace_begins_anew():
    down = platform_at(TICK + seconds(100), faults=[status(503)] * 6)
    decision = decide(down, grace_is_over=True)
    assert isinstance(decision, WaitForPlatform)
    assert decision.until == down.now + 2 * MINUTE


def test_an_outage_within_the_grace_begins_it_anew():
    platform = platform_at(TICK + seconds(1))
    decision = decide(platform)
    platform.faults = iter([None, *[status(503)] * 2])
    assert platform.run(wait_for_tick_execution(decision, 20)) is None
    assert platform.now > TICK + 3 * MINUTE


def noticed_while_waiting(platform, own, grace=2 * MINUTE):
    noticed = set()
    check = check_for_twins(IDENTITY, own["id"], noticed, grace)
    job = with_twin_checks(wait_for_execution("42", own["id"], poll_interval=30), check)
    platform.run(job)
    platform.run(check_for_twins(IDENTITY, own["id"], noticed, grace))


def at_pause(platform, number, action):
    """Do something in the n-th pause of the flow."""

    def asleep(_):
        if len(platform.driver.pauses) == number:
            action()

    platform.driver.asleep = asleep


@pytest.mark.parametrize(
    ("twin_status", "left"), [("PENDING", "CANCELED"), ("RUNNING", "RUNNING"), ("SUCCEEDED", "SUCCEEDED")]
)
@pytest.mark.parametrize("appears_at", [2, 3])
def test_a_twin_is_canceled_before_it_starts_or_named_once(twin_status, left, appears_at):
    platform = platform_at(TICK + 2 * MINUTE)
    own = fire(platform, TICK, seconds(120), "RUNNING", runs=None)

    def appear():
        twin = platform.fire(TICK, twin_status)
        twin["creation_date"] = milliseconds(TICK + seconds(130))

    def end():
        own["status"] = "SUCCEEDED"

    at_pause(platform, appears_at, lambda: (appear(), appears_at == 3 and end()))
    platform.driver.before = lambda _: len(platform.driver.pauses) >= 4 and end()
    noticed_while_waiting(platform, own)
    assert platform.execution("2")["status"] == left
    [warning] = platform.driver.warnings
    assert "execution 2" in warning
    assert "2 min 10 s after its tick" in warning
    assert "Set platform_grace to more than 2 min 10 s (it is 2 min)" in warning


def test_the_execution_of_an_earlier_try_is_no_twin():
    platform = platform_at(TICK + 10 * MINUTE)
    fire(platform, TICK, seconds(1), "FAILED")
    fire(platform, TICK, seconds(1), "CANCELED", runs=None)
    own = fire(platform, TICK, seconds(300))
    noticed_while_waiting(platform, own)
    assert platform.driver.warnings == []


def test_a_platform_that_cannot_be_asked_does_not_fail_the_task():
    platform = platform_at(TICK + 10 * MINUTE, faults=[status(503)])
    own = fire(platform, TICK)
    platform.run(check_for_twins(IDENTITY, own["id"], set(), None))
    assert "Could not check for a second execution" in platform.lines


@pytest.mark.parametrize(("ran_for", "warnings"), [(seconds(2), 1), (MINUTE, 0)])
def test_a_twin_that_came_after_the_end_is_named_by_the_next_tick(ran_for, warnings):
    platform = platform_at(TICK + seconds(1))
    fire(platform, TICK - DAY, timedelta(0), runs=ran_for)
    fire(platform, TICK - DAY, seconds(6))
    decide(platform, timedelta(0))
    assert len(platform.driver.warnings) == warnings


@pytest.mark.parametrize("lost", [1, 3])
def test_a_cancel_that_meets_an_outage_is_repeated_at_the_next_look(lost):
    platform = platform_at(TICK + 4 * MINUTE)
    own = fire(platform, TICK, seconds(120), "RUNNING", runs=None)
    twin = platform.fire(TICK, "PENDING")
    noticed = set()
    left = [lost]

    def fail_to_cancel(_, call):
        if call.method == "GET" or not left[0]:
            return None
        left[0] -= 1
        return refusal(503)

    platform.faults = always(fail_to_cancel)
    for number in range(lost + 2):
        platform.run(check_for_twins(IDENTITY, own["id"], noticed, 2 * MINUTE))
        assert (twin["id"] in noticed) == (number >= lost)
    assert platform.execution(twin["id"])["status"] == "CANCELED"
    assert platform.lines.count("Could not cancel execution 2") == lost
