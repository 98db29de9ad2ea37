"""An execution is created exactly once, whatever responses are lost and whichever process is killed."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from datetime import timedelta

import pytest

from airflow_provider_mics.api.errors import MicsAuthError, MicsConnectionError
from airflow_provider_mics.api.eventual_consistency import SETTLING_TIME
from airflow_provider_mics.api.field_types import ExecutionType
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity, TaskTry, identity_of
from airflow_provider_mics.core.exactly_once.submission import get_recorded_execution, submit_execution
from tests.simulated_platform import (
    START,
    Killed,
    SimulatedPlatform,
    delivered_twice,
    killed_after,
    killed_before,
    lost_answer,
    lost_request,
    status,
)

TRY = TaskTry("nightly", "run", "import", -1, "manual", START, START)
IDENTITY = identity_of(TRY, "42")


def faults_on_post(*faults):
    """Faults for the requests that create, in turn; everything else goes through."""
    queue = list(faults)

    def fault(platform, call):
        wanted = (
            queue.pop(0) if call.method == "POST" and call.path.endswith("/executions") and queue else None
        )
        return wanted(platform, call) if wanted else None

    return itertools.repeat(fault)


def test_a_first_try_creates_one_execution_with_its_identity():
    platform = SimulatedPlatform()
    submission = platform.run(submit_execution(IDENTITY))
    assert submission.outcome == "created"
    assert len(platform.executions) == 1
    assert IDENTITY.matches(submission.execution)
    assert platform.now == START, "nothing had to be waited for"


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "SUCCEEDED", "SOMETHING_NEW"])
def test_an_existing_execution_is_adopted(state):
    platform = SimulatedPlatform()
    first = platform.run(submit_execution(IDENTITY)).execution
    platform.executions[0]["status"] = state
    again = platform.run(submit_execution(IDENTITY, is_retry=True))
    assert (again.outcome, again.execution.id) == ("found", first.id)
    assert len(platform.executions) == 1


@pytest.mark.parametrize("identity", [IDENTITY, ExecutionIdentity("42", ExecutionType.CRON, START)])
@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "LOST"])
def test_a_retry_of_a_failed_execution_creates_a_new_one(state, identity):
    platform = SimulatedPlatform()
    platform.run(submit_execution(identity))
    platform.executions[0]["status"] = state
    retried = platform.run(submit_execution(identity, is_retry=True))
    assert (retried.outcome, retried.execution.id) == ("created", "2")
    once_more = platform.run(submit_execution(identity, is_retry=True))
    assert (once_more.outcome, once_more.execution.id) == ("found", "2")


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "LOST"])
def test_a_first_try_adopts_a_tick_that_failed(state):
    platform = SimulatedPlatform()
    platform.fire(START, state)
    submission = platform.run(submit_execution(ExecutionIdentity("42", ExecutionType.CRON, START)))
    assert (submission.outcome, submission.execution.id) == ("found", "1")


@pytest.mark.parametrize("newest_first", [True, False])
def test_after_a_lost_response_the_execution_is_searched_for_and_not_created_again(newest_first):
    platform = SimulatedPlatform(newest_first=newest_first, faults=faults_on_post(lost_answer))
    submission = platform.run(submit_execution(IDENTITY))
    assert IDENTITY.matches(submission.execution)
    assert len(platform.executions) == 1


def test_a_lost_request_is_repeated_once_the_platform_would_have_shown_it():
    platform = SimulatedPlatform(faults=faults_on_post(lost_request, lost_request))
    platform.run(submit_execution(IDENTITY))
    assert len(platform.executions) == 1
    assert platform.now - START >= timedelta(seconds=20)


@pytest.mark.parametrize("stale", [0, 1, 5, 9])
@pytest.mark.parametrize("lost", [lost_answer, lost_request])
def test_a_list_that_lags_behind_leads_to_no_second_execution(stale, lost):
    platform = SimulatedPlatform(stale_for=timedelta(seconds=stale), faults=faults_on_post(lost))
    platform.run(submit_execution(IDENTITY))
    assert len(platform.executions) == 1


@pytest.mark.parametrize("stale", [0, 5])
@pytest.mark.parametrize("killed", [killed_before, killed_after])
@pytest.mark.parametrize("failed_before", [False, True])
def test_a_process_killed_around_the_post_leaves_one_execution_to_its_retry(stale, killed, failed_before):
    platform = SimulatedPlatform(stale_for=timedelta(seconds=stale))
    if failed_before:
        platform.run(submit_execution(IDENTITY))
        platform.executions[0]["status"] = "FAILED"
        platform.now += timedelta(minutes=1)
    platform.faults = faults_on_post(killed)
    with pytest.raises(Killed):
        platform.run(submit_execution(IDENTITY, is_retry=failed_before))
    platform.run(submit_execution(IDENTITY, is_retry=True))
    assert len(platform.executions) == 1 + failed_before


def test_an_execution_that_appears_before_another_request_is_adopted():
    """The platform's own scheduler recovers from the same outage before we ask again."""
    tick = ExecutionIdentity("42", ExecutionType.CRON, START)

    def fire_after_settling(_):
        has_searched = any(each.method == "GET" for each in platform.requests)
        if platform.now - START >= SETTLING_TIME and not platform.executions and has_searched:
            platform.fire(START, "RUNNING")

    platform = SimulatedPlatform(faults=faults_on_post(status(503)))
    platform.driver.asleep = fire_after_settling
    submission = platform.run(submit_execution(tick))
    assert (submission.execution.id, len(platform.executions)) == ("1", 1)
    assert [each for each in platform.requests if each.method == "POST"] == [platform.requests[1]]


def test_the_caller_gets_the_id_before_the_check_for_duplicates():
    platform = SimulatedPlatform(stale_for=timedelta(seconds=5))
    created = []
    platform.run(submit_execution(IDENTITY, on_created=lambda each: created.append((each.id, platform.now))))
    assert created == [("1", START)]
    assert platform.now - START >= timedelta(seconds=5)


def test_a_request_delivered_twice_leaves_one_execution_to_run():
    platform = SimulatedPlatform(faults=faults_on_post(delivered_twice))
    kept = platform.run(submit_execution(IDENTITY)).execution
    states = {each["id"]: each["status"] for each in platform.executions}
    assert len(states) == 2
    assert states.pop(kept.id) == "PENDING"
    assert set(states.values()) == {"CANCELED"}


def pending(platform):
    return [each["id"] for each in platform.executions if each["status"] == "PENDING"]


@pytest.mark.parametrize("stale", [1, 5, 9])
def test_a_request_delivered_twice_leaves_one_execution_though_the_list_lags_behind(stale):
    platform = SimulatedPlatform(stale_for=timedelta(seconds=stale), faults=faults_on_post(delivered_twice))
    kept = platform.run(submit_execution(IDENTITY)).execution
    assert (len(platform.executions), pending(platform)) == (2, [kept.id])


def test_a_request_delivered_twice_leaves_one_execution_though_canceling_meets_an_outage():
    outage = [status(502), lost_request, status(500), lost_answer] * 2
    faults = itertools.chain([None, delivered_twice], [None, *outage], itertools.repeat(None))
    platform = SimulatedPlatform(faults=faults)
    kept = platform.run(submit_execution(IDENTITY)).execution
    assert (len(platform.executions), pending(platform)) == (2, [kept.id])


def test_a_process_killed_after_a_request_delivered_twice_leaves_one_execution_to_its_retry():
    def delivered_twice_and_killed(platform, call):
        platform.respond(call)
        return killed_after(platform, call)

    platform = SimulatedPlatform(faults=faults_on_post(delivered_twice_and_killed))
    with pytest.raises(Killed):
        platform.run(submit_execution(IDENTITY))
    kept = platform.run(submit_execution(IDENTITY, is_retry=True)).execution
    assert (len(platform.executions), pending(platform)) == (2, [kept.id])


def test_an_old_list_that_comes_late_is_not_taken_for_the_present_one():
    def comes_late(platform, call):
        answer = platform.respond(call)
        platform.now += timedelta(seconds=9)
        return answer

    platform = SimulatedPlatform(
        stale_for=timedelta(seconds=8),
        faults=itertools.chain([None, lost_answer, comes_late], itertools.repeat(None)),
    )
    platform.run(submit_execution(IDENTITY))
    assert len(platform.executions) == 1


def test_an_execution_that_failed_before_it_was_found_again_is_not_taken_for_an_earlier_one():
    def lost_and_failed(platform, call):
        platform.respond(call)
        platform.executions[-1]["status"] = "FAILED"
        raise MicsConnectionError("reset")

    platform = SimulatedPlatform(faults=faults_on_post(None, lost_and_failed))
    platform.run(submit_execution(IDENTITY))
    platform.executions[0]["status"] = "FAILED"
    submission = platform.run(submit_execution(IDENTITY, is_retry=True))
    assert submission.execution.id == "2"
    assert len(platform.executions) == 2


def test_an_outage_is_tolerated_for_the_submission_timeout_and_then_raised():
    platform = SimulatedPlatform(faults=itertools.repeat(status(503)))
    with pytest.raises(Exception, match="503"):
        platform.run(submit_execution(IDENTITY, submission_timeout=timedelta(minutes=3)))
    assert timedelta(minutes=1) < platform.now - START <= timedelta(minutes=3)
    platform.faults = itertools.chain([status(502)] * 3, itertools.repeat(None))
    assert platform.run(submit_execution(IDENTITY, is_retry=True)).execution.id == "1"
    assert "Platform unreachable" in platform.lines
    assert "Platform reachable again" in platform.lines


def test_a_wrong_token_fails_at_once():
    platform = SimulatedPlatform(
        faults=itertools.repeat(status(401, b'{"status":"error","error":"bad token","error_id":"e-1"}'))
    )
    with pytest.raises(MicsAuthError, match="e-1"):
        platform.run(submit_execution(IDENTITY))
    assert len(platform.requests) == 1


def test_of_two_executions_the_newest_is_used_with_a_warning():
    platform = SimulatedPlatform()
    platform.run(submit_execution(IDENTITY))
    platform.create(platform.executions[0]["parameters"])
    submission = platform.run(submit_execution(IDENTITY, is_retry=True))
    assert submission.execution.id == "2"
    assert "Found 2 duplicate executions for this run (2, 1): using 2." in platform.lines


@pytest.mark.parametrize("seed", range(200))
def test_any_mix_of_faults_and_kills_ends_in_one_execution(seed):
    chance = random.Random(seed)
    kinds = [lost_answer, lost_request, killed_before, killed_after, status(500), status(502), status(504)]

    def fault(platform, call):
        return chance.choice(kinds)(platform, call) if chance.random() < 0.3 else None

    platform = SimulatedPlatform(
        stale_for=timedelta(seconds=chance.choice([0, 2, 5])),
        newest_first=chance.random() < 0.5,
        faults=itertools.repeat(fault),
    )
    for attempt in range(100):
        try:
            platform.run(submit_execution(IDENTITY, is_retry=attempt > 0))
            break
        except (Killed, MicsConnectionError):
            platform.now += timedelta(seconds=1)
    assert len(platform.executions) == 1


def test_a_tick_is_the_same_within_its_tolerance_and_another_beyond_it():
    tick = ExecutionIdentity("42", ExecutionType.CRON, START, timedelta(seconds=60))
    platform = SimulatedPlatform()
    platform.fire(START + timedelta(seconds=45))
    assert platform.run(submit_execution(tick)).outcome == "found"
    assert platform.run(submit_execution(replace(tick, tolerance=timedelta(seconds=10)))).outcome == "created"


@pytest.mark.parametrize(
    ("state", "is_returned"),
    [("PENDING", True), ("RUNNING", True), ("SUCCEEDED", True), ("FAILED", False), ("CANCELED", False)],
)
def test_a_recorded_execution_is_returned_unless_a_new_one_is_due(state, is_returned):
    platform = SimulatedPlatform()
    platform.run(submit_execution(IDENTITY))
    platform.executions[0]["status"] = state
    assert (platform.run(get_recorded_execution("42", "1")) is not None) == is_returned
    assert platform.run(get_recorded_execution("42", "999")) is None
