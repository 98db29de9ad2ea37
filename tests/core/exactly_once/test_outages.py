"""An answer that is not the platform's ends no submission and starts nothing twice; nor does a deferral in between."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta

import pytest

from airflow_provider_mics.api.errors import MicsAuthError, MicsConnectionError, MicsError
from airflow_provider_mics.api.field_types import milliseconds
from airflow_provider_mics.api.outages import is_outage
from airflow_provider_mics.api.progress import wait_for_execution
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity, TaskTry, identity_of
from airflow_provider_mics.core.exactly_once.submission import Interruption, submit_execution
from tests.foreign_answers import SHAPES, STATUSES, foreign_until
from tests.simulated_platform import (
    START,
    SimulatedPlatform,
    always,
    lost_answer,
    lost_request,
    not_sent,
    refused,
)

TRY = TaskTry("nightly", "run", "import", -1, "manual", START, START)
IDENTITY = identity_of(TRY, "42")
GIVEN = identity_of(TRY, "42", expected_start_date=START + timedelta(days=1))
each_answer = pytest.mark.parametrize(
    ("status", "shape"), [(status, shape) for status in STATUSES for shape in SHAPES]
)
NOWHERE = timedelta(0)


@each_answer
@pytest.mark.parametrize("method", ["", "GET", "POST"])
def test_a_foreign_answer_for_a_minute_ends_no_submission(status: int, shape: str, method: str) -> None:
    platform = SimulatedPlatform(faults=always(foreign_until(60, status, shape, method=method)))
    submission = platform.run(submit_execution(IDENTITY))
    assert platform.ids == [submission.execution.id]
    assert (platform.now - START).total_seconds() >= 60


@each_answer
def test_a_foreign_answer_without_end_is_a_failure_that_can_be_retried(status: int, shape: str) -> None:
    platform = SimulatedPlatform(faults=always(foreign_until(1e9, status, shape)))
    with pytest.raises(MicsError) as raised:
        platform.run(submit_execution(IDENTITY, submission_timeout=timedelta(minutes=10)))
    assert is_outage(raised.value)
    assert 300 <= (platform.now - START).total_seconds() <= 600
    assert platform.ids == []


@each_answer
@pytest.mark.parametrize("path", ["", "/executions", "/executions/1"])
def test_a_foreign_answer_for_an_hour_ends_no_wait(status: int, shape: str, path: str) -> None:
    platform = SimulatedPlatform(faults=always(foreign_until(3600, status, shape, path=path)))
    platform.add("1")

    def end(seconds: float) -> None:
        if (platform.now - START).total_seconds() > 1800:
            platform.end_all()

    platform.driver.asleep = end
    assert platform.run(wait_for_execution("42", "1")).succeeded


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_never_worked_ends_a_submission_at_once(status: int) -> None:
    platform = SimulatedPlatform(faults=always(refused(status)))
    with pytest.raises(MicsAuthError):
        platform.run(submit_execution(IDENTITY))
    assert len(platform.requests) == 1


def test_a_token_that_has_worked_may_be_refused_for_a_moment() -> None:
    platform = SimulatedPlatform(faults=iter([None, refused(401), refused(401), None]))
    assert platform.run(submit_execution(IDENTITY)).outcome == "created"
    assert len(platform.ids) == 1


def resumed(
    platform: SimulatedPlatform,
    seconds: float,
    *,
    is_retry: bool = False,
    identity: ExecutionIdentity = IDENTITY,
) -> tuple[int, str]:
    """Submit without patience, as a worker does, and go on in another process after each outage."""
    interruption, cuts = Interruption(), 0
    while cuts < 100:
        interruption = Interruption(**json.loads(json.dumps(asdict(interruption))))
        job = submit_execution(
            identity, is_retry=is_retry, submission_timeout=NOWHERE, interruption=interruption
        )
        try:
            return cuts, platform.run(job).execution.id
        except MicsError as error:
            if not is_outage(error):
                raise
            cuts += 1
            platform.now += timedelta(seconds=seconds)
    raise AssertionError("the submission does not end")


FAULTS = {"not sent": not_sent, "request lost": lost_request, "answer lost": lost_answer}


@pytest.mark.parametrize("is_retry", [False, True])
@pytest.mark.parametrize("first", range(8))
@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_submission_that_goes_on_in_another_process_creates_one_execution(
    fault: object, length: int, first: int, *, is_retry: bool
) -> None:
    platform = SimulatedPlatform(stale_for=timedelta(seconds=3))
    platform.faults = iter([*[None] * first, *[fault] * length])  # type: ignore[list-item]
    _, execution_id = resumed(platform, 5, is_retry=is_retry)
    assert platform.ids == [execution_id]


@pytest.mark.parametrize("strangers", [1, 3])
@pytest.mark.parametrize("is_retry", [False, True])
@pytest.mark.parametrize("first", range(9))
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("identity", [IDENTITY, GIVEN], ids=["at once", "given"])
def test_a_submission_that_goes_on_finds_its_own_behind_strangers(
    identity: ExecutionIdentity, fault: object, first: int, strangers: int, *, is_retry: bool
) -> None:
    """A resumed first try must neither take its own execution for a stranger's nor adopt a stranger's."""
    moments = identity.moments
    assert moments is not None
    platform = SimulatedPlatform(stale_for=timedelta(seconds=3))
    platform.now -= timedelta(hours=2)
    for attempt in range(strangers):
        platform.create(
            {"execution_type": "MANUAL", "expected_start_date": milliseconds(moments.at(attempt))}, "FAILED"
        )
    platform.now = START
    others = platform.ids
    platform.faults = iter([*[None] * first, fault, fault])  # type: ignore[list-item]
    _, execution_id = resumed(platform, 5, is_retry=is_retry, identity=identity)
    assert platform.ids == [*others, execution_id]
    sent = platform.execution(execution_id)["parameters"]["expected_start_date"]
    assert sent == milliseconds(moments.at(strangers))


def test_an_execution_that_failed_during_the_outage_is_not_created_again() -> None:
    """The request was lost, the batch ran and failed: that is this try's result, of a retry too."""
    platform = SimulatedPlatform()
    platform.run(submit_execution(IDENTITY))
    platform.end_all("FAILED")

    def create_and_fail(platform: SimulatedPlatform, call: object) -> None:
        platform.faults = iter([unreachable, unreachable])
        lost_answer(platform, call)  # type: ignore[arg-type]

    def unreachable(platform: SimulatedPlatform, call: object) -> None:
        platform.end_all("FAILED")
        raise MicsConnectionError("connection refused", certainly_not_sent=True)

    def on_post(platform: SimulatedPlatform, call: object) -> None:
        if getattr(call, "method", "") == "POST":
            create_and_fail(platform, call)

    platform.faults = always(on_post)  # type: ignore[arg-type]
    cuts, execution_id = resumed(platform, 30, is_retry=True)
    assert cuts > 0
    assert platform.ids == ["1", "2"]
    assert execution_id == "2"


def test_duplicates_are_looked_for_after_the_outage_too() -> None:
    platform = SimulatedPlatform()

    def twice(platform: SimulatedPlatform, call: object) -> object:
        if getattr(call, "method", "") != "POST":
            return None
        platform.respond(call)  # type: ignore[arg-type]
        platform.faults = iter([not_sent] * 6)
        return platform.respond(call)  # type: ignore[arg-type]

    platform.faults = always(twice)  # type: ignore[arg-type]
    cuts, execution_id = resumed(platform, 30)
    assert cuts > 0
    assert {each["id"]: each["status"] for each in platform.executions} == {
        execution_id: "PENDING",
        ({"1", "2"} - {execution_id}).pop(): "CANCELED",
    }
