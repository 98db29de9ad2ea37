"""Requests and flows as values, and the loops that run them. Nothing here does I/O or reads a clock.

A `Call` is one request and how to read its response. A `Flow` is a sequence of steps, written as a generator: it
yields a step and is sent the result. ``yield from`` reads like ``await``:

    execution = yield from get_execution("42", "7")   # a Call or a Flow, and its result
    now = yield Now()                                 # a step, and its result

`drive` and `adrive` run a call or a flow; their caller performs the steps. Both clients (`clients.py`) use them, so
paging, waiting and find-or-create are written once, with the same types in both modes.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
P = ParamSpec("P")


@dataclass(frozen=True)
class Sleep:
    """A pause of ``seconds``; its result is None."""

    seconds: float


@dataclass(frozen=True)
class Now:
    """The current time; its result is an aware datetime in UTC."""


@dataclass(frozen=True)
class PlatformNow:
    """The current time (UTC) by the platform's clock, as shown by the ``Date`` of its latest answer.

    The client's own time where the platform has not answered yet, or where its ``Date`` tells nothing.
    """


@dataclass(frozen=True)
class KnownLists:
    """What the process has learned of the platform's lists; its result is the client's `ListHistory`."""


@dataclass(frozen=True)
class Log:
    """One line to log, at a level of the ``logging`` module; its result is None."""

    message: str
    level: int = logging.INFO


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and ``read``, which turns the body of a successful response into a value.

    ``path`` follows ``/v1/``. An ``organisation_id`` of None in ``query`` or ``body`` means the client's own
    organisation; every other None in ``query`` is left out.
    """

    method: str
    path: str
    read: Callable[[bytes], T]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None

    def __iter__(self) -> Steps[T]:
        value: T = yield self
        return value

    def __str__(self) -> str:
        return f"{self.method} /v1/{self.path}"


Step = Call[Any] | Sleep | Now | PlatformNow | KnownLists | Log
Steps = Generator[Step, Any, T]


class Job(Protocol[T_co]):
    """What `drive` and the clients can run: a `Call` or a `Flow`."""

    def __iter__(self) -> Generator[Step, Any, T_co]: ...


@dataclass(frozen=True)
class Flow(Generic[T]):
    """Several steps that return a T. A flow can be run more than once; each run starts from the first step."""

    steps: Callable[[], Steps[T]]

    def __iter__(self) -> Steps[T]:
        return self.steps()


def flow(steps: Callable[P, Steps[T]]) -> Callable[P, Flow[T]]:
    """Turn a generator function into one that returns a `Flow`."""

    @wraps(steps)
    def make(*args: P.args, **kwargs: P.kwargs) -> Flow[T]:
        return Flow(lambda: steps(*args, **kwargs))

    return make


def _nothing(_: Step) -> Steps[None]:
    yield from ()


def forwarded(
    job: Job[T],
    *,
    before: Callable[[Step], Steps[None]] = _nothing,
    after: Callable[[Step], Steps[None]] = _nothing,
) -> Steps[T]:
    """Run a call or a flow within another flow, with more steps around each of its own.

    :param before: what precedes a step; what it raises ends both flows
    :param after: what follows a step; what it raises is raised inside the job, as if the step had failed
    :returns: the value of the job
    """
    steps = iter(job)
    resume: Callable[[], Step] = partial(next, steps)
    while True:
        try:
            step = resume()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        yield from before(step)
        try:
            result: Any = yield step
            yield from after(step)
        except Exception as error:  # noqa: BLE001 - the job decides which errors it handles
            resume = partial(steps.throw, error)
        else:
            resume = partial(steps.send, result)


def drive(job: Job[T], perform: Callable[[Step], Any]) -> T:
    """Run a call or a flow; ``perform`` does each step.

    :param job: what to run
    :param perform: return the result of one `Call`, `Sleep`, `Now`, `PlatformNow`, `KnownLists` or `Log`; for
        `KnownLists` it may be None. An `Exception` that it raises is raised inside the flow, at the step, where the
        flow may handle it.
    :returns: the value of the call or flow
    :raises Exception: what the flow raises or does not handle
    """
    steps = iter(job)
    resume: Callable[[], Step] = partial(next, steps)
    while True:
        try:
            step = resume()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        try:
            result = perform(step)
        except Exception as error:  # noqa: BLE001 - the flow decides which errors it handles
            resume = partial(steps.throw, error)
        else:
            resume = partial(steps.send, result)


async def adrive(job: Job[T], perform: Callable[[Step], Awaitable[Any]]) -> T:
    """Run a call or a flow as `drive` does, with an async ``perform``.

    :param job: what to run
    :param perform: as for `drive`, and awaited
    :returns: the value of the call or flow
    :raises Exception: what the flow raises or does not handle
    """
    steps = iter(job)
    resume: Callable[[], Step] = partial(next, steps)
    while True:
        try:
            step = resume()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        try:
            result = await perform(step)
        except Exception as error:  # noqa: BLE001 - the flow decides which errors it handles
            resume = partial(steps.throw, error)
        else:
            resume = partial(steps.send, result)
