"""Nobody adopts an execution of another piece of work, and each retry finds its own again.

Strangers are placed at the very moments of a piece of work: two runs with one given moment do meet, and two Airflows
with one DAG always do.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_mics.api.errors import MicsConnectionError
from airflow_provider_mics.api.field_types import milliseconds
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity, TaskTry, identity_of
from airflow_provider_mics.core.exactly_once.submission import submit_execution
from tests.simulated_platform import (
    START,
    Killed,
    SimulatedPlatform,
    killed_after,
    killed_before,
    lost_answer,
    lost_request,
    status,
)

TRY = TaskTry("nightly", "run", "import", -1, "manual", START, START)
CHOSEN = START + timedelta(days=1)
AT_ONCE = identity_of(TRY, "42")
GIVEN = identity_of(TRY, "42", expected_start_date=CHOSEN)
EITHER = pytest.mark.parametrize("identity", [AT_ONCE, GIVEN], ids=["at once", "given"])


def moments(platform):
    return [each["parameters"]["expected_start_date"] for each in platform.executions]


def stranger(platform, identity, attempt=0, *, age=timedelta(0), state="SUCCEEDED"):
    """An execution of another run at a moment of this one, created ``age`` before this run."""
    now, platform.now = platform.now, platform.now - age
    created = platform.create(
        {"execution_type": "MANUAL", "expected_start_date": milliseconds(identity.moments.at(attempt))}, state
    )
    platform.now = now
    return created["id"]


@EITHER
@pytest.mark.parametrize("age", [timedelta(0), timedelta(minutes=2), timedelta(days=3)])
@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELED"])
def test_a_first_try_takes_the_next_moment_whatever_it_finds(identity, age, state):
    platform = SimulatedPlatform()
    other = stranger(platform, identity, age=age, state=state)
    submission = platform.run(submit_execution(identity))
    assert (submission.outcome, submission.execution.id) == ("created", "2")
    assert moments(platform)[1] == milliseconds(identity.moments.at(1))
    assert platform.execution(other)["status"] == state
    assert "it is not of this run: taking the next moment" in platform.lines


@EITHER
def test_a_first_try_passes_as_many_strangers_as_there_are(identity):
    platform = SimulatedPlatform()
    for attempt in range(4):
        stranger(platform, identity, attempt)
    submission = platform.run(submit_execution(identity))
    assert submission.outcome == "created"
    assert milliseconds(submission.execution.expected_start_date) == milliseconds(identity.moments.at(4))


def test_a_full_second_is_left_for_the_next_one():
    late = identity_of(TRY, "42", expected_start_date=CHOSEN + timedelta(milliseconds=997))
    platform = SimulatedPlatform()
    for attempt in range(3):
        stranger(platform, late, attempt)
    sent = platform.run(submit_execution(late)).execution.expected_start_date
    assert CHOSEN + timedelta(milliseconds=1997) <= sent < CHOSEN + timedelta(seconds=2)


@EITHER
@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "SUCCEEDED"])
def test_a_retry_finds_its_own_behind_older_strangers(identity, state):
    platform = SimulatedPlatform()
    for attempt in range(2):
        stranger(platform, identity, attempt, age=timedelta(hours=2), state="FAILED")
    own = platform.run(submit_execution(identity)).execution
    platform.execution(own.id)["status"] = state
    again = platform.run(submit_execution(identity, is_retry=True))
    assert (again.outcome, again.execution.id) == ("found", own.id)


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "SUCCEEDED", "FAILED"])
def test_a_retry_finds_its_own_behind_a_stranger_of_this_very_minute(state):
    """Two Airflows with one DAG: their first moments are the same each day."""
    platform = SimulatedPlatform()
    stranger(platform, AT_ONCE, state=state)
    own = platform.run(submit_execution(AT_ONCE)).execution
    again = platform.run(submit_execution(AT_ONCE, is_retry=True))
    assert (again.outcome, again.execution.id) == ("found", own.id)
    platform.execution(own.id)["status"] = "FAILED"
    assert platform.run(submit_execution(AT_ONCE, is_retry=True)).execution.id == "3"
    assert platform.run(submit_execution(AT_ONCE, is_retry=True)).execution.id == "3"


def test_of_two_runs_that_meet_each_finds_its_own_again():
    """The same names and the same date, as in two Airflows: only their starts differ."""
    first = replace(TRY, run_type="scheduled", logical_date=START)
    second = replace(first, run_started=START + timedelta(milliseconds=1300))
    platform = SimulatedPlatform()
    identities = [identity_of(each, "42") for each in (first, second)]
    created = [platform.run(submit_execution(each)).execution.id for each in identities]
    assert created == ["1", "2"]
    found = [platform.run(submit_execution(each, is_retry=True)).execution.id for each in identities]
    assert found == created


def test_a_retry_goes_to_the_moment_that_the_earlier_try_left():
    """Where Airflow keeps it: of strangers of this very minute, and of an edited DAG, nothing has to be inferred."""
    platform = SimulatedPlatform()
    stranger(platform, GIVEN)
    left = []
    own = platform.run(submit_execution(GIVEN, on_identified=left.append)).execution
    assert [each.expected_start_date for each in left] == [own.expected_start_date]
    edited = replace(GIVEN, expected_start_date=CHOSEN).settled_at(own.expected_start_date)
    again = platform.run(submit_execution(edited, is_retry=True))
    assert (again.outcome, again.execution.id) == ("found", own.id)


@EITHER
@pytest.mark.parametrize("strangers", [0, 1, 3])
@pytest.mark.parametrize("fault", [lost_answer, lost_request, killed_before, killed_after])
def test_a_lost_answer_and_a_dead_worker_leave_one_execution_to_the_retry(identity, strangers, fault):
    platform = SimulatedPlatform()
    for attempt in range(strangers):
        stranger(platform, identity, attempt, age=timedelta(hours=2))

    def dies_at_the_post(platform, call):
        return fault(platform, call) if call.method == "POST" else None

    def dies_after_it(platform, call):
        if any(each.method == "POST" for each in platform.requests[:-1]):
            raise Killed
        return dies_at_the_post(platform, call)

    platform.faults = itertools.repeat(dies_after_it)
    with pytest.raises(Killed):
        platform.run(submit_execution(identity))
    platform.faults = itertools.repeat(None)
    own = platform.run(submit_execution(identity, is_retry=True)).execution
    assert len(platform.executions) == strangers + 1
    assert int(own.id) > strangers


@pytest.mark.parametrize("seed", range(60))
def test_any_mix_of_runs_faults_and_kills_gives_each_run_an_execution_of_its_own(seed):
    """Runs of one given moment, one after another, as few moments of the second as there are runs."""
    chance = random.Random(seed)
    chosen = CHOSEN + timedelta(milliseconds=chance.choice([900, 990, 994]))
    kinds = [lost_answer, lost_request, killed_before, killed_after, status(502)]

    def fault(platform, call):
        return chance.choice(kinds)(platform, call) if chance.random() < 0.2 else None

    platform = SimulatedPlatform(newest_first=chance.random() < 0.5, faults=itertools.repeat(fault))
    owners = {}
    for number in range(5):
        platform.now += timedelta(hours=2)
        work = replace(TRY, run_id=f"run {number}", run_moment=platform.now, run_started=platform.now)
        identity = identity_of(work, "42", expected_start_date=chosen)
        for attempt in range(100):
            try:
                owners[number] = platform.run(submit_execution(identity, is_retry=attempt > 0)).execution.id
                break
            except (Killed, MicsConnectionError):
                platform.now += timedelta(seconds=1)
    assert len(set(owners.values())) == 5
    assert len(platform.executions) == len(set(moments(platform))) == 5


def test_what_is_found_is_not_taken_for_a_twin_of_the_own_execution():
    """A stranger at the own moment, older than the run, beside the own execution: it is not canceled."""
    platform = SimulatedPlatform()
    own = platform.run(submit_execution(GIVEN)).execution
    old = stranger(platform, GIVEN, age=timedelta(hours=2), state="PENDING")
    again = platform.run(submit_execution(GIVEN, is_retry=True))
    assert again.execution.id == own.id
    assert platform.execution(old)["status"] == "PENDING"


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"execution_type": "MANUAL"},
        {"execution_type": "CRON", "expected_start_date": milliseconds(CHOSEN)},
        {"execution_type": "MANUAL", "expected_start_date": milliseconds(CHOSEN) // 1000 * 1000},
        {"execution_type": "MANUAL", "expected_start_date": "tomorrow"},
    ],
)
def test_an_answer_that_does_not_show_what_was_sent_is_one_warning(parameters):
    identity = ExecutionIdentity("42", GIVEN.execution_type, CHOSEN + timedelta(milliseconds=7))
    platform = SimulatedPlatform()
    platform.fields = {"parameters": parameters}

    def respond_in_its_own_way(platform, call):
        if call.method != "POST":
            return None
        platform.create(dict(call.body["parameters"]))
        return platform.respond(replace(call, method="GET", path=call.path + "/1"))

    platform.faults = itertools.repeat(respond_in_its_own_way)
    submission = platform.run(submit_execution(identity))
    assert (submission.outcome, submission.execution.id) == ("created", "1")
    [warning] = platform.driver.warnings
    assert warning.startswith("The platform answered that execution 1 has the type ")
    assert "a retry may not recognise the execution" in warning


def test_an_answer_that_shows_what_was_sent_is_no_warning():
    platform = SimulatedPlatform()
    platform.run(submit_execution(AT_ONCE))
    assert platform.driver.warnings == []


def test_a_platform_without_dates_of_creation_shares_nothing_either():
    platform = SimulatedPlatform()
    stranger(platform, AT_ONCE)
    for each in platform.executions:
        del each["creation_date"]
    own = platform.run(submit_execution(AT_ONCE)).execution
    assert own.id == "2"
    assert platform.run(submit_execution(AT_ONCE, is_retry=True)).execution.id == "2"


def test_a_clock_that_is_wrong_by_minutes_hides_no_own_execution():
    platform = SimulatedPlatform(now=START - timedelta(minutes=20))
    identity = identity_of(
        replace(TRY, try_started=datetime(2026, 3, 2, 5, 31, tzinfo=UTC)), "42", expected_start_date=CHOSEN
    )
    own = platform.run(submit_execution(identity)).execution
    assert platform.run(submit_execution(identity, is_retry=True)).execution.id == own.id
