"""Waiting for an execution, with a clock that moves only when the flow sleeps."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_mics.api import (
    Execution,
    MicsApiError,
    MicsAuthError,
    MicsConnectionError,
    MicsError,
    MicsNotFoundError,
    MicsRateLimitError,
    MicsResponseError,
    MicsTimeoutError,
    wait_for_execution,
)
from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.outages import backoff, is_outage, readable
from airflow_provider_mics.api.progress import ending, progress
from airflow_provider_mics.api.responses import Response
from tests.flow_driver import NOON, FlowDriver, ok, refusal

NAME = "Execution 9 of instance 1"


def shown(status: str = "RUNNING", **fields: Any) -> dict[str, Any]:
    return ok({"id": "9", "status": status, **fields})


SUCCEEDED = shown("SUCCEEDED", duration=60_000)


class Script:
    """One answer for each look at the execution, the last for ever. The list has nothing."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.looks = 0

    def __call__(self, call: Call[Any]) -> Any:
        if call.path.endswith("executions"):
            return ok([], total=0)
        self.looks += 1
        given = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(given, Exception):
            raise given
        return given


def waited(*answers: Any, **options: Any) -> tuple[Execution, FlowDriver]:
    driver = FlowDriver(Script(*answers))
    return driver.run(wait_for_execution("1", "9", **options)), driver


def times(count: int, given: Any) -> Iterable[Any]:
    return [given] * count


LOST = MicsConnectionError("no answer")
OUTAGES: dict[str, Any] = {
    "no connection": MicsConnectionError("refused", certainly_not_sent=True),
    "a lost connection": LOST,
    "408": refusal(408),
    "425": refusal(425),
    "429": refusal(429),
    "500": refusal(500),
    "502 in HTML": Response(502, {}, b"<html>Bad Gateway</html>"),
    "503": refusal(503),
    "504": refusal(504),
    "a 200 with an error": refusal(200),
    "a 200 without sense": b"<html>maintenance</html>",
    "a 200 without data": {"status": "ok"},
}


class TestAnOutage:
    @pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES.keys())
    def test_of_any_kind_is_outlived(self, outage):
        execution, driver = waited(shown(), *times(50, outage), SUCCEEDED)
        assert execution.succeeded
        assert len(driver.warnings) == 1
        assert driver.warnings[0].startswith("Platform unreachable: ")
        assert any(line.startswith("Platform reachable again, after ") for line in driver.messages)

    def test_of_three_days_is_outlived(self):
        execution, driver = waited(shown(), *times(1000, LOST), SUCCEEDED)
        assert execution.succeeded
        assert driver.now - NOON > timedelta(days=3)

    def test_is_asked_about_ever_less_often(self):
        _, driver = waited(*times(12, LOST), SUCCEEDED, poll_interval=30)
        assert driver.pauses == [30, 60, 120, 240, *[300] * 8]

    def test_that_is_over_is_followed_at_the_usual_pace(self):
        _, driver = waited(*times(5, LOST), shown(), shown(), LOST, SUCCEEDED, poll_interval=30)
        assert driver.pauses[5:] == [30, 30, 30]

    def test_is_waited_for_as_long_as_the_platform_asks(self):
        _, driver = waited(refusal(503, **{"retry-after": "200"}), SUCCEEDED, poll_interval=30)
        assert driver.pauses == [200]

    def test_is_told_again_when_it_comes_again(self):
        _, driver = waited(LOST, LOST, shown(), LOST, SUCCEEDED)
        assert len(driver.warnings) == 2


class TestWhatEndsAWaitAtOnce:
    @pytest.mark.parametrize("status", [401, 403])
    def test_a_token_that_never_worked(self, status):
        driver = FlowDriver(Script(refusal(status)))
        with pytest.raises(MicsAuthError):
            driver.run(wait_for_execution("1", "9"))
        assert driver.pauses == []

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_token_that_worked_but_is_refused_for_five_minutes(self, status):
        driver = FlowDriver(Script(shown(), refusal(status)))
        with pytest.raises(MicsAuthError):
            driver.run(wait_for_execution("1", "9"))
        assert 300 <= sum(driver.pauses[1:]) < 600
        assert len(driver.warnings) == 1

    @pytest.mark.parametrize("status", [400, 409, 302])
    def test_a_request_that_is_refused(self, status):
        with pytest.raises(MicsApiError):
            waited(shown(), refusal(status))

    def test_a_certificate_that_is_not_trusted(self):
        with pytest.raises(MicsConnectionError):
            waited(MicsConnectionError("no", certainly_not_sent=True, retriable=False))

    def test_an_id_that_is_none(self):
        with pytest.raises(MicsError, match="is not an id"):
            FlowDriver(Script(SUCCEEDED)).run(wait_for_execution("1", "no id"))


class TestAnExecutionThatIsNotFound:
    def test_yet_is_looked_for_a_minute(self):
        execution, _ = waited(*times(5, refusal(404)), SUCCEEDED, poll_interval=5)
        assert execution.succeeded

    def test_is_given_up_after_a_minute(self):
        driver = FlowDriver(Script(refusal(404)))
        with pytest.raises(MicsNotFoundError, match="instance 1 has no execution 9"):
            driver.run(wait_for_execution("1", "9", poll_interval=5))
        assert timedelta(minutes=1) <= driver.now - NOON < timedelta(minutes=3)

    def test_for_a_moment_later_on_does_not_end_the_wait(self):
        execution, _ = waited(*times(20, shown()), refusal(404), shown(), refusal(404), SUCCEEDED)
        assert execution.succeeded

    def test_any_more_ends_the_wait(self):
        driver = FlowDriver(Script(*times(20, shown()), refusal(404)))
        with pytest.raises(MicsNotFoundError):
            driver.run(wait_for_execution("1", "9", poll_interval=30))
        assert len(driver.pauses) == 22, "a minute after it was seen last"


class TestTheDeadline:
    def test_ends_a_wait_to_the_second(self):
        driver = FlowDriver(Script(shown()))
        with pytest.raises(
            MicsTimeoutError, match=r"^execution 9 of instance 1 was not over at 2026-03-02 12:01:40 UTC$"
        ):
            driver.run(wait_for_execution("1", "9", poll_interval=30, deadline=NOON + timedelta(seconds=100)))
        assert driver.pauses == [30, 30, 30, 10]

    def test_ends_a_wait_in_an_outage(self):
        driver = FlowDriver(Script(LOST))
        with pytest.raises(MicsTimeoutError):
            driver.run(wait_for_execution("1", "9", deadline=NOON + timedelta(hours=1)))
        assert driver.now == NOON + timedelta(hours=1)

    def test_that_has_passed_lets_one_look_happen(self):
        execution, driver = waited(SUCCEEDED, deadline=NOON - timedelta(days=1))
        assert execution.succeeded
        assert driver.pauses == []

    def test_that_has_passed_ends_the_wait_after_that_look(self):
        driver = FlowDriver(Script(shown()))
        with pytest.raises(MicsTimeoutError):
            driver.run(wait_for_execution("1", "9", deadline=NOON - timedelta(days=1)))
        assert len(driver.calls) == 1


class TestTheStory:
    def test_tells_each_change_once(self):
        _, driver = waited(
            shown("PENDING", parameters={"expected_start_date": 1772452860000}),
            *times(3, shown("RUNNING", start_date=1772452800000, num_tasks=10, completed_tasks=0)),
            *times(3, shown("RUNNING", num_tasks=10, completed_tasks=7, erroneous_tasks=1)),
            shown("SUCCEEDED", duration=200_000, num_tasks=10, completed_tasks=10),
        )
        assert driver.messages == [
            f"{NAME} is PENDING, expected to start at 2026-03-02 12:01:00 UTC.",
            f"{NAME} is RUNNING since 2026-03-02 12:00:00 UTC: 0 of 10 tasks done.",
            f"{NAME}: 7 of 10 tasks done, 1 erroneous",
            f"{NAME} SUCCEEDED after 3 min 20 s.",
        ]

    def test_ends_with_the_platforms_own_words(self):
        _, driver = waited(shown("FAILED", duration=42_000, error={"message": "exit code 1"}))
        assert driver.log == [(logging.ERROR, f"{NAME} FAILED after 42 s: exit code 1.")]

    @pytest.mark.parametrize("status", ["LOST", "EXECUTOR_NOT_RESPONDING", "CANCELED", "CANCELLED"])
    def test_ends_with_each_end(self, status):
        execution, driver = waited(shown(), shown(status))
        assert execution.is_over
        assert driver.pauses == [30]

    def test_tells_an_unknown_status_once_and_takes_it_for_going_on(self):
        execution, driver = waited(*times(40, shown("PROVISIONING")), SUCCEEDED)
        assert execution.succeeded
        assert driver.warnings == [
            f"{NAME} is PROVISIONING: this version does not know the status, and treats it as running."
        ]

    def test_gives_a_sign_of_life_every_five_minutes(self):
        _, driver = waited(*times(60, shown(start_date=1772452800000)), SUCCEEDED, poll_interval=30)
        signs = [line for line in driver.messages if "is still RUNNING" in line]
        assert len(signs) == 5
        assert signs[0] == f"{NAME} is still RUNNING, 5 min after its start."

    def test_gives_a_sign_of_life_without_any_times_too(self):
        _, driver = waited(*times(15, shown()), SUCCEEDED)
        assert f"{NAME} is still RUNNING." in driver.messages


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (LOST, True),
        (MicsConnectionError("certificate", retriable=False), False),
        (MicsResponseError("not JSON"), True),
        (MicsRateLimitError("no", status_code=429), True),
        (MicsApiError("no", status_code=200), True),
        (MicsApiError("no", status_code=500), True),
        (MicsApiError("no", status_code=400), False),
        (MicsAuthError("no", status_code=401), False),
        (MicsNotFoundError("no", status_code=404), False),
        (MicsError("no"), False),
    ],
)
def test_what_says_nothing_of_the_execution(error, outage):
    assert is_outage(error) is outage


def test_a_pause_is_never_shorter_than_the_poll_interval_nor_longer_than_five_minutes_beyond_it():
    assert backoff(600, 20, None) == 600
    assert backoff(1, 10_000, None) == 300
    assert backoff(30, 1, MicsRateLimitError("no", status_code=429, retry_after=99999)) == 300


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0.4, "0 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (200_000, "55 h 33 min"),
    ],
)
def test_durations_are_for_people(seconds, text):
    assert readable(timedelta(seconds=seconds)) == text


def test_an_end_and_a_progress_without_figures_say_what_is_known():
    bare = Execution.model_validate({"id": "9", "status": "FAILED"})
    assert ending(bare) == "FAILED"
    assert progress(bare) is None
    assert progress(bare.model_copy(update={"num_tasks": 3})) == "0 of 3 tasks done"
    assert progress(bare.model_copy(update={"completed_tasks": 3})) == "3 tasks done"
