"""A job is cut short once its time is over, and is otherwise as it was."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_mics.api.calls import Call, flow
from airflow_provider_mics.api.errors import MicsConnectionError, MicsTimeoutError
from airflow_provider_mics.core.planning.listing import within
from tests.flow_driver import FlowDriver

PAGE: Call[int] = Call("GET", "pages", len)
SECOND = timedelta(seconds=1)


@flow
def pages(number):
    total = 0
    for _ in range(number):
        try:
            total += yield from PAGE
        except MicsConnectionError:
            total += 100
    return total


def run(job: Any, answer: Callable[[int], int]) -> tuple[int, int]:
    """The job's value and how many calls it made, on a clock that only calls move."""

    def server(_: Call[Any]) -> bytes:
        driver.now += SECOND
        return b"x" * answer(len(driver.calls))

    driver = FlowDriver(server)
    return driver.run(job), len(driver.calls)


def test_a_job_that_ends_in_time_gives_its_value():
    assert run(within(pages(5), 10 * SECOND), lambda _: 7) == (35, 5)


def test_a_job_goes_on_no_more_when_its_time_is_over():
    with pytest.raises(MicsTimeoutError, match="GET /v1/pages: timed out: not done within 3 s"):
        run(within(pages(100), 3 * SECOND), lambda _: 7)


def test_a_job_deals_with_its_errors_as_before():
    def fail_at_first(number: int) -> int:
        if number == 1:
            raise MicsConnectionError("no answer")
        return 1

    assert run(within(pages(3), 10 * SECOND), fail_at_first) == (102, 3)


def test_a_single_call_is_a_job_too():
    assert run(within(PAGE, SECOND), lambda _: 7) == (7, 1)
