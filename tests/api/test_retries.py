"""What is sent again, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from airflow_provider_mics.api import (
    MicsApiError,
    MicsAuthError,
    MicsConnectionError,
    MicsError,
    MicsNotFoundError,
    MicsRateLimitError,
    MicsResponseError,
)
from airflow_provider_mics.api.calls import Call, Log, Sleep, drive
from airflow_provider_mics.api.responses import ignore_body
from airflow_provider_mics.api.retries import MAX_RETRY_AFTER, attempts, can_be_retried

METHODS = ("GET", "PUT", "DELETE", "POST")
REPEATABLE = ("GET", "PUT", "DELETE")
NEVER: tuple[str, ...] = ()


def refused(
    status: int, retry_after: float | None = None, kind: type[MicsApiError] = MicsApiError
) -> MicsError:
    return kind("no", status_code=status, request="X", retry_after=retry_after)


LOST = MicsConnectionError("reset by peer")
TABLE: list[tuple[str, MicsError, tuple[str, ...]]] = [
    ("connection refused", MicsConnectionError("refused", certainly_not_sent=True), METHODS),
    ("connection lost, or no answer in time", LOST, REPEATABLE),
    ("certificate not trusted", MicsConnectionError("x", certainly_not_sent=True, retriable=False), NEVER),
    ("429", refused(429, kind=MicsRateLimitError), METHODS),
    ("429, come back in 3 s", refused(429, 3, MicsRateLimitError), METHODS),
    ("429, come back in an hour", refused(429, 3600, MicsRateLimitError), NEVER),
    ("502", refused(502), REPEATABLE),
    ("502, come back in 3 s", refused(502, 3), REPEATABLE),
    ("503", refused(503), REPEATABLE),
    ("503, come back now", refused(503, 0), METHODS),
    ("503, come back in 3 s", refused(503, 3), METHODS),
    ("503, come back in a minute", refused(503, MAX_RETRY_AFTER), METHODS),
    ("503, come back in two minutes", refused(503, 120), NEVER),
    ("504", refused(504), REPEATABLE),
    ("500", refused(500), NEVER),
    ("500, come back in 3 s", refused(500, 3), NEVER),
    ("501", refused(501), NEVER),
    ("200 with an error", refused(200), NEVER),
    ("302", refused(302), NEVER),
    ("400", refused(400), NEVER),
    ("401", refused(401, kind=MicsAuthError), NEVER),
    ("403", refused(403, kind=MicsAuthError), NEVER),
    ("404", refused(404, kind=MicsNotFoundError), NEVER),
    ("405", refused(405), NEVER),
    ("409", refused(409), NEVER),
    ("an answer that makes no sense", MicsResponseError("not JSON"), NEVER),
    ("an argument that cannot be sent", MicsError("no"), NEVER),
]


@pytest.mark.parametrize(("what", "error", "repeated"), TABLE, ids=[row[0] for row in TABLE])
@pytest.mark.parametrize("method", METHODS)
def test_a_request_is_repeated_only_where_that_cannot_do_it_twice(method, what, error, repeated):
    assert can_be_retried(method, error) is (method in repeated)


def test_an_error_that_is_not_the_platforms_is_never_retried():
    assert not can_be_retried("GET", RuntimeError("a bug"))


class Sent:
    """Runs the attempts of one call; each is met by the next of ``outcomes``."""

    def __init__(self, method: str, outcomes: Sequence[Any], max_retries: int = 4) -> None:
        self.count = 0
        self.pauses: list[float] = []
        self.lines: list[str] = []
        self._outcomes: Iterator[Any] = iter(outcomes)
        call = Call(method, "plugins", ignore_body)
        self._steps = attempts(call, max_retries)
        self.value = self._run()

    def _run(self) -> Any:
        try:
            return drive(self._steps, self._perform)
        except MicsError as error:
            return error

    def _perform(self, step: Any) -> Any:
        if isinstance(step, Sleep):
            self.pauses.append(step.seconds)
        elif isinstance(step, Log):
            self.lines.append(step.message)
        else:
            self.count += 1
            outcome = next(self._outcomes)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        return None


def test_a_good_answer_is_given_back_at_once():
    sent = Sent("GET", ["value"])
    assert (sent.value, sent.count, sent.pauses, sent.lines) == ("value", 1, [], [])


def test_a_request_is_sent_until_it_is_answered():
    sent = Sent("GET", [LOST, refused(503), refused(429), "value"])
    assert sent.value == "value"
    assert sent.count == 4
    assert len(sent.pauses) == 3


@pytest.mark.parametrize("max_retries", [0, 1, 4])
def test_the_last_error_comes_out_when_the_retries_are_used_up(max_retries):
    errors = [refused(502) for _ in range(max_retries)] + [LOST]
    sent = Sent("GET", errors, max_retries)
    assert sent.value is LOST
    assert sent.count == max_retries + 1


def test_each_retry_is_one_line_that_says_why_and_when():
    sent = Sent("GET", [refused(503, 7), "value"])
    assert sent.lines == ["X: no (HTTP 503); retry in 7.0 s (attempt 2 of 5)"]


def test_a_pause_is_never_shorter_than_the_platform_asked_for():
    for seconds in (1, 30, 60):
        assert Sent("POST", [refused(503, seconds), "value"]).pauses[0] >= seconds


def test_pauses_grow_with_chance_in_them_and_stay_bounded():
    pauses = [Sent("GET", [LOST] * 8, max_retries=7).pauses for _ in range(200)]
    longest = [max(each[turn] for each in pauses) for turn in range(7)]
    assert longest[0] <= 0.5
    assert longest[0] < longest[2] < longest[4]
    assert max(longest) <= 20
    assert len({each[3] for each in pauses}) > 190


@pytest.mark.parametrize("first", [LOST, refused(502), refused(504)], ids=["lost", "502", "504"])
def test_a_delete_whose_answer_was_lost_is_done_when_there_is_nothing_left(first):
    assert Sent("DELETE", [first, refused(404, kind=MicsNotFoundError)]).value is None


@pytest.mark.parametrize(
    ("method", "outcomes"),
    [
        ("DELETE", [refused(404, kind=MicsNotFoundError)]),
        ("DELETE", [refused(429), refused(404, kind=MicsNotFoundError)]),
        ("DELETE", [MicsConnectionError("x", certainly_not_sent=True), refused(404, kind=MicsNotFoundError)]),
        ("GET", [LOST, refused(404, kind=MicsNotFoundError)]),
        ("PUT", [LOST, refused(404, kind=MicsNotFoundError)]),
    ],
)
def test_what_never_was_there_is_not_found(method, outcomes):
    assert isinstance(Sent(method, outcomes).value, MicsNotFoundError)


def test_a_bug_comes_out_as_it_is():
    with pytest.raises(ZeroDivisionError):
        Sent("GET", [ZeroDivisionError()])
