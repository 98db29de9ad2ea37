"""The two drivers of calls and flows: a blocking one on ``requests``, an async one on ``httpx``.

Both send a request, wait, tell the time and log, as the steps of a job ask; they differ only in ``await``. Each
imports its HTTP library when the first client is made: DAG files import this package without making one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from airflow_provider_mics.api.calls import Call, Job, Log, Now, Sleep, Step
from airflow_provider_mics.api.retries import attempts
from airflow_provider_mics.api.settings import ClientSettings

T = TypeVar("T")


class MicsClient(ClientSettings):
    """A blocking client of the mediarithmics API: ``client.run(get_instance("42"))``. Close it, or use ``with``."""

    def __init__(self, *args: Any, sleep: Callable[[float], None] = time.sleep, **kwargs: Any) -> None:
        from airflow_provider_mics.api.transport_requests import RequestsTransport

        super().__init__(*args, **kwargs)
        self._sleep = sleep
        self._transport = RequestsTransport(self, self._token)

    __init__.__doc__ = ClientSettings.__init__.__doc__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def run(self, job: Job[T]) -> T:
        """Run a call or a flow and return its value.

        :raises MicsError: whatever went wrong, on one line
        """
        return _drive(iter(job), self._perform)

    def _perform(self, step: Step) -> Any:
        match step:
            case Call():
                return _drive(attempts(step, self.max_retries), self._perform_attempt)
            case Sleep(seconds):
                self._sleep(seconds)
            case Now():
                return datetime.now(UTC)
            case Log(message, level):
                self.log.log(level, "%s", message)
        return None

    def _perform_attempt(self, step: Step) -> Any:
        if isinstance(step, Call):
            return self.read(step, self._transport.send(step))
        return self._perform(step)


class AsyncMicsClient(ClientSettings):
    """An async client of the mediarithmics API: ``await client.run(get_instance("42"))``. Use it in one event loop."""

    def __init__(
        self, *args: Any, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, **kwargs: Any
    ) -> None:
        from airflow_provider_mics.api.transport_httpx import HttpxTransport

        super().__init__(*args, **kwargs)
        self._sleep = sleep
        self._transport = HttpxTransport(self, self._token)

    __init__.__doc__ = ClientSettings.__init__.__doc__

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._transport.close()

    async def run(self, job: Job[T]) -> T:
        """Run a call or a flow and return its value.

        :raises MicsError: whatever went wrong, on one line
        """
        return await _adrive(iter(job), self._perform)

    async def _perform(self, step: Step) -> Any:
        match step:
            case Call():
                return await _adrive(attempts(step, self.max_retries), self._perform_attempt)
            case Sleep(seconds):
                await self._sleep(seconds)
            case Now():
                return datetime.now(UTC)
            case Log(message, level):
                self.log.log(level, "%s", message)
        return None

    async def _perform_attempt(self, step: Step) -> Any:
        if isinstance(step, Call):
            return self.read(step, await self._transport.send(step))
        return await self._perform(step)


def _drive(steps: Generator[Step, Any, T], perform: Callable[[Step], Any]) -> T:
    resume = partial(next, steps)
    while True:
        try:
            step = resume()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        try:
            result = perform(step)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the flow
            resume = partial(steps.throw, error)
        else:
            resume = partial(steps.send, result)


async def _adrive(steps: Generator[Step, Any, T], perform: Callable[[Step], Awaitable[Any]]) -> T:
    resume = partial(next, steps)
    while True:
        try:
            step = resume()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        try:
            result = await perform(step)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the flow
            resume = partial(steps.throw, error)
        else:
            resume = partial(steps.send, result)
