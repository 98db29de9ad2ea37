"""Flows that stop where a process would die: at the laboratory's choice, before or after any step."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from airflow_provider_mics.api.calls import Now, PlatformNow, Sleep, Step


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


def observed(
    perform: Callable[[Step], Any], lab: Time, before: Callable[[Step], None], after: Callable[[Step], None]
) -> Callable[[Step], Any]:
    """``perform`` in another time, with something to do before and after each step."""

    def observe(step: Step) -> Any:
        before(step)
        match step:
            case Now() | PlatformNow():
                result: Any = lab.now()
            case Sleep(seconds):
                result = lab.sleep(seconds)
            case _:
                result = perform(step)
        after(step)
        return result

    return observe
