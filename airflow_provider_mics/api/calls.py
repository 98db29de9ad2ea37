"""What a conversation with the platform is made of, as values. Nothing here sends, waits or reads a clock.

A `Call` is one request and how to read its answer. A `Flow` is a conversation of several steps, written as a
generator: it yields a step and is sent what came of it. ``yield from`` reads like ``await``:

    execution = yield from get_execution("42", "7")   # a Call or a Flow, and its result
    now = yield Now()                                 # a step, and the driver's answer

The blocking and the async client (`clients.py`) are the two drivers, so paging, waiting and looking before
creating are written once, with the same types in both modes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
P = ParamSpec("P")


@dataclass(frozen=True)
class Sleep:
    """Ask the driver to wait ``seconds``."""

    seconds: float


@dataclass(frozen=True)
class Now:
    """Ask the driver for the time: an aware datetime in UTC."""


@dataclass(frozen=True)
class Log:
    """Ask the driver to log one line; ``level`` is one of ``logging``'s."""

    message: str
    level: int = logging.INFO


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and ``read``, which turns the bytes of a good answer into a value.

    ``path`` follows ``/v1/``. An ``organisation_id`` of None in ``query`` or ``body`` stands for the client's own
    organisation; every other None in ``query`` is left out.
    """

    method: str
    path: str
    read: Callable[[bytes], T]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None

    def __iter__(self) -> Steps[T]:
        answer: T = yield self
        return answer

    def __str__(self) -> str:
        return f"{self.method} /v1/{self.path}"


Step = Call[Any] | Sleep | Now | Log
Steps = Generator[Step, Any, T]


class Job(Protocol[T_co]):
    """What a client can run: a `Call` or a `Flow`."""

    def __iter__(self) -> Generator[Step, Any, T_co]: ...


@dataclass(frozen=True)
class Flow(Generic[T]):
    """A conversation of several steps that gives a T; it can be run again, each run starts anew."""

    steps: Callable[[], Steps[T]]
    name: str

    def __iter__(self) -> Steps[T]:
        return self.steps()


def flow(steps: Callable[P, Steps[T]]) -> Callable[P, Flow[T]]:
    """Make a generator function into one that returns a `Flow`, which can be run more than once."""

    @wraps(steps)
    def make(*args: P.args, **kwargs: P.kwargs) -> Flow[T]:
        return Flow(lambda: steps(*args, **kwargs), steps.__name__)

    return make
