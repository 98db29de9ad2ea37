"""When a request is sent again, and after how long: a pure decision, the loop is tenacity's.

GET, PUT and DELETE can be repeated, so they are after a lost connection, 429, 502, 503 and 504. A POST creates
something, so it is repeated only where the platform certainly did not do it: the connection was refused, or the
platform itself said to come back later (429, 503 with ``Retry-After``).

A DELETE that is repeated and finds nothing has done its work: the first one did it, and its answer was lost.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, TypeVar, cast

from tenacity import (
    DoAttempt,
    DoSleep,
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from airflow_provider_mics.api.calls import Call, Log, Sleep, Steps
from airflow_provider_mics.api.errors import (
    MicsApiError,
    MicsConnectionError,
    MicsNotFoundError,
    MicsRateLimitError,
)

T = TypeVar("T")
LONGEST_PAUSE = 60.0
"""Seconds. A platform that asks for a longer pause is not waited for inside one request."""

_backoff = wait_random_exponential(multiplier=0.5, max=20)


def can_be_retried(method: str, error: BaseException) -> bool:
    """Whether the same request may be sent again after ``error`` without any risk of doing something twice."""
    if isinstance(error, MicsConnectionError):
        return error.retriable and (method != "POST" or error.certainly_not_sent)
    if not isinstance(error, MicsApiError) or (error.retry_after or 0) > LONGEST_PAUSE:
        return False
    if method == "POST":
        asked_to_come_back = error.status_code == 503 and error.retry_after is not None
        return isinstance(error, MicsRateLimitError) or asked_to_come_back
    return error.status_code in (429, 502, 503, 504)


def may_have_been_done(error: BaseException | None) -> bool:
    """Whether the platform may have carried out a request that ended in ``error``."""
    if isinstance(error, MicsConnectionError):
        return not error.certainly_not_sent
    return isinstance(error, MicsApiError) and error.status_code in (502, 504)


def _pause(state: RetryCallState) -> float:
    """Exponential with full jitter, and never shorter than the platform asked for."""
    error = state.outcome.exception() if state.outcome else None
    asked_for = getattr(error, "retry_after", None) or 0.0
    return max(float(asked_for), float(_backoff(state)))


def attempts(call: Call[T], max_retries: int) -> Steps[T]:
    """The steps of one request with its retries: the call itself, as often as needed, with pauses between.

    tenacity's loop is driven by hand, so that the client, blocking or not, does the sending and the sleeping.
    """
    retrying = Retrying(
        stop=stop_after_attempt(max_retries + 1),
        wait=_pause,
        retry=retry_if_exception(lambda error: can_be_retried(call.method, error)),
        reraise=True,
    )
    retrying.begin()
    state = RetryCallState(retrying, fn=None, args=(), kwargs={})
    may_be_done = False
    while True:
        action = retrying.iter(retry_state=state)
        if isinstance(action, DoAttempt):
            try:
                result: Any = yield call
            except Exception as error:  # noqa: BLE001 - tenacity decides
                if may_be_done and call.method == "DELETE" and isinstance(error, MicsNotFoundError):
                    return cast("T", None)
                may_be_done = may_be_done or may_have_been_done(error)
                state.set_exception(cast("Any", sys.exc_info()))
            else:
                state.set_result(result)
        elif isinstance(action, DoSleep):
            failure = state.outcome.exception() if state.outcome else None
            again = f"attempt {state.attempt_number + 1} of {max_retries + 1} in {float(action):.1f} s"
            yield Log(f"{failure}; {again}", logging.WARNING)
            state.prepare_for_next_attempt()
            yield Sleep(float(action))
        else:
            return cast("T", action)
