"""Asking the platform within a time that ends: whoever parses DAG files is not to be kept waiting."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from airflow_provider_mics.api.calls import Call, Job, Now, Step, Steps, flow
from airflow_provider_mics.api.errors import MicsError, MicsTimeoutError

T = TypeVar("T")


@flow
def within(job: Job[T], limit: timedelta, note: Callable[[Any], object] | None = None) -> Steps[T]:
    """What ``job`` gives, unless it still has something to ask when ``limit`` has passed.

    The last call may go on beyond the limit, by what the client's own timeouts allow it. ``note`` is told the answer
    of each call.

    :raises MicsTimeoutError: it did not come to its end in time
    """
    deadline: datetime = (yield Now()) + limit
    steps = iter(job)
    resume: Callable[[], Step] = partial(next, steps)
    while True:
        try:
            step = resume()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        if isinstance(step, Call) and (yield Now()) > deadline:
            raise MicsTimeoutError(f"{step}: not done within {limit.total_seconds():g} s")
        try:
            result: Any = yield step
        except MicsError as error:
            resume = partial(steps.throw, error)
        else:
            if note is not None and isinstance(step, Call):
                note(result)
            resume = partial(steps.send, result)
