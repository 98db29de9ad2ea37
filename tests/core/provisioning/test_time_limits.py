"""What becomes of an execution when the time of the one who waits for it is up."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.core.provisioning.executions import STOPS_WITHIN, TimeoutResult, cancel_on_timeout
from tests.simulated_platform import START, SimulatedPlatform, lost_answer, lost_request


def stopped(
    *faults: Any, status: str = "RUNNING", cancels: bool = True
) -> tuple[TimeoutResult, SimulatedPlatform]:
    platform = SimulatedPlatform(faults=iter(faults))
    platform.fire(START, status)
    return platform.run(cancel_on_timeout("42", "1", cancels=cancels)), platform


def test_what_goes_on_is_canceled_and_is_over_before_anybody_tries_again() -> None:
    end, platform = stopped()
    assert not end.ended_by_itself
    assert end.note == "; canceled it (cancel action)"
    assert end.execution.canceled
    assert platform.now - START <= STOPS_WITHIN


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED"])
@pytest.mark.parametrize("cancels", [True, False])
def test_what_ended_just_before_has_ended_by_itself(status: str, cancels: bool) -> None:
    end, platform = stopped(status=status, cancels=cancels)
    assert end.ended_by_itself
    assert platform.executions[0]["status"] == status


def test_what_is_to_outlive_its_task_is_left_alone() -> None:
    end, platform = stopped(cancels=False)
    assert (end.ended_by_itself, end.note) == (False, "; it goes on")
    assert platform.executions[0]["status"] == "RUNNING"


def test_a_cancellation_whose_answer_was_lost_is_not_taken_for_a_persons() -> None:
    end, platform = stopped(None, lost_answer)
    assert (end.ended_by_itself, end.note) == (False, "; it is canceled")
    assert platform.executions[0]["status"] == "CANCELED"


def test_an_outage_after_the_cancellation_does_not_undo_it() -> None:
    end, platform = stopped(None, None, *itertools.repeat(lost_request, 200))
    assert not end.ended_by_itself
    assert "canceled it (cancel action)" in end.note
    assert platform.executions[0]["status"] == "CANCELED"


def test_a_batch_that_ends_before_its_cancellation_takes_effect_has_ended_by_itself() -> None:
    def takes_it_too_late(platform: SimulatedPlatform, call: Any) -> Any:
        answer = platform.respond(call)
        platform.executions[0]["status"] = "SUCCEEDED"
        return answer

    end, _ = stopped(None, takes_it_too_late)
    assert end.ended_by_itself
    assert end.execution.succeeded


def test_a_platform_that_cannot_be_asked_is_an_error_after_a_while() -> None:
    with pytest.raises(MicsError):
        stopped(*itertools.repeat(lost_request, 500))
