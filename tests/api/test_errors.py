"""Errors as values: a task, a trigger and a pool of processes hand them on."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from airflow_provider_mics import api

FACTS = {
    "status_code": 429,
    "request": "GET /v1/x",
    "error_code": "C",
    "error_id": "id-7",
    "retry_after": 1.5,
}
ERRORS = [
    *(
        kind("no", **FACTS)
        for kind in (api.MicsApiError, api.MicsAuthError, api.MicsNotFoundError, api.MicsRateLimitError)
    ),
    api.MicsConnectionError("reset", certainly_not_sent=True, retriable=False),
    api.MicsError("wrong"),
    api.MicsResponseError("not JSON"),
    api.MicsTimeoutError("too late"),
]


def pickled(error: api.MicsError) -> api.MicsError:
    arrived: api.MicsError = pickle.loads(pickle.dumps(error))  # noqa: S301 - it is our own
    return arrived


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("handed_on", [pickled, copy.copy, copy.deepcopy])
def test_an_error_arrives_as_it_was(
    error: api.MicsError, handed_on: Callable[[api.MicsError], api.MicsError]
) -> None:
    error.add_note("seen by a worker")
    arrived = handed_on(error)
    assert type(arrived) is type(error)
    assert (str(arrived), arrived.args, vars(arrived)) == (str(error), error.args, vars(error))


def test_these_are_all_the_errors_there_are() -> None:
    named = {name for name in api.__all__ if name.endswith("Error")}
    assert {type(error).__name__ for error in ERRORS} == named
