"""When a request is sent again, and after how long. Pure: the client sends and sleeps.

GET, PUT and DELETE are idempotent, so they are sent again after a lost connection, 429, 502, 503 and 504. A POST
creates something, so it is sent again only if the platform certainly did not carry it out: the connection was refused,
or the platform said when to come back (429, 503 with ``Retry-After``).

A DELETE that is retried and gets a 404 has succeeded: an earlier attempt was carried out, and its response was lost.
"""

from __future__ import annotations

import logging
import random
from typing import TypeVar, cast

from airflow_provider_mics.api.calls import Call, Log, Sleep, Steps
from airflow_provider_mics.api.errors import (
    MicsApiError,
    MicsConnectionError,
    MicsNotFoundError,
    MicsRateLimitError,
)

T = TypeVar("T")
MAX_RETRY_AFTER = 60.0
"""Seconds. A request is not retried if the platform asks for a longer pause."""
FIRST_BACKOFF = 0.5
"""Seconds: the longest pause before the second attempt. It doubles with each further one."""
MAX_BACKOFF = 20.0
"""Seconds: the longest pause between two attempts, unless ``Retry-After`` is longer."""


def can_be_retried(method: str, error: BaseException) -> bool:
    """Whether a request of this method may be sent again after ``error`` without doing anything twice."""
    if isinstance(error, MicsConnectionError):
        return error.retriable and (method != "POST" or error.certainly_not_sent)
    if not isinstance(error, MicsApiError) or (error.retry_after or 0) > MAX_RETRY_AFTER:
        return False
    if method == "POST":
        asked_to_come_back = error.status_code == 503 and error.retry_after is not None
        return isinstance(error, MicsRateLimitError) or asked_to_come_back
    return error.status_code in (429, 502, 503, 504)


def may_have_been_done(error: BaseException) -> bool:
    """Whether the platform may have carried out a request that failed with ``error``."""
    if isinstance(error, MicsConnectionError):
        return not error.certainly_not_sent
    return isinstance(error, MicsApiError) and error.status_code in (502, 504)


def pause_after(attempt: int, error: BaseException) -> float:
    """Seconds to wait after a failed attempt, counted from 1: exponential backoff with full jitter.

    Never shorter than ``Retry-After``.
    """
    longest = min(MAX_BACKOFF, FIRST_BACKOFF * 2.0 ** min(attempt - 1, 10))
    retry_after = getattr(error, "retry_after", None) or 0.0
    return max(float(retry_after), random.uniform(0.0, longest))  # noqa: S311 - jitter is no secret


def attempts(call: Call[T], max_retries: int) -> Steps[T]:
    """The steps of one request with its retries: the call, repeated as needed, with pauses between."""
    attempt, may_be_done = 0, False
    while True:
        attempt += 1
        try:
            result: T = yield call
        except Exception as error:
            if may_be_done and call.method == "DELETE" and isinstance(error, MicsNotFoundError):
                return cast("T", None)
            if attempt > max_retries or not can_be_retried(call.method, error):
                raise
            may_be_done = may_be_done or may_have_been_done(error)
            failure, pause = str(error), pause_after(attempt, error)
        else:
            return result
        retry = f"retry in {pause:.1f} s (attempt {attempt + 1} of {max_retries + 1})"
        yield Log(f"{failure}; {retry}", logging.WARNING)
        yield Sleep(pause)
