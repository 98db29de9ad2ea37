"""Flows that stop where a process would die: at the laboratory's choice, before or after any step."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeVar

from airflow_provider_mics.api.calls import Job, Now, Sleep, Step, Steps, flow

T = TypeVar("T")


class Crash(BaseException):
    """The process dies here: nothing catches it."""


class CrashPlan:
    """Dies at the given point, counted from 1; None lives on."""

    def __init__(self, at: int | None) -> None:
        self._at = at
        self._passed = 0

    def point(self, _: object = None) -> None:
        self._passed += 1
        if self._passed == self._at:
            raise Crash


class Time(Protocol):
    """A clock, and how to wait by it."""

    def now(self) -> datetime: ...

    def sleep(self, seconds: float) -> None: ...


@flow
def observed(
    job: Job[T], lab: Time, before: Callable[[Step], None], after: Callable[[Step], None]
) -> Steps[T]:
    """``job`` in another time, with something to do before and after each of its steps."""
    steps = iter(job)
    resume: Callable[[], Step] = partial(next, steps)
    while True:
        try:
            step = resume()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        before(step)
        try:
            result: Any = None
            if isinstance(step, Now):
                result = lab.now()
            elif isinstance(step, Sleep):
                lab.sleep(step.seconds)
            else:
                result = yield step
        except Exception as error:
            resume = partial(steps.throw, error)
        else:
            after(step)
            resume = partial(steps.send, result)
