"""Clients that keep what was answered to each request, for the checks of headers and durations, within a time limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from airflow_provider_mics.api import (
    AsyncMicsClient,
    AsyncTransport,
    Call,
    MicsClient,
    MicsError,
    Response,
    Sleep,
    Step,
    Transport,
)
from airflow_provider_mics.doctor.checks.transfers import Exchange
from airflow_provider_mics.doctor.time_limit import TimeLimit

Exchanges = list[Exchange]


class _Stopwatch:
    """Measures one request."""

    def __init__(self, exchanges: Exchanges, client: str, call: Call[Any]) -> None:
        self._keep: Callable[[Exchange], None] = exchanges.append
        self._client, self._call = client, call
        self._sent_at, self._began = datetime.now(UTC), time.monotonic()

    def stop(self, response: Response | None) -> None:
        status = None if response is None else response.status_code
        headers = {} if response is None else response.headers
        date = None if response is None else response.date
        seconds = time.monotonic() - self._began
        self._keep(Exchange(self._client, str(self._call), self._sent_at, seconds, status, headers, date))


class _ObservedTransport:
    def __init__(self, transport: Transport, client: ObservedClient) -> None:
        self._transport, self._client = transport, client

    def send(self, call: Call[Any]) -> Response:
        with self._client.limit.of_request(call, self._client):
            stopwatch, response = _Stopwatch(self._client.exchanges, "blocking", call), None
            try:
                response = self._transport.send(call)
                return response
            finally:
                stopwatch.stop(response)

    def close(self) -> None:
        self._transport.close()


class _ObservedAsyncTransport:
    def __init__(self, transport: AsyncTransport, client: ObservedAsyncClient) -> None:
        self._transport, self._client = transport, client

    async def send(self, call: Call[Any]) -> Response:
        with self._client.limit.of_request(call, self._client) as left:
            stopwatch, response = _Stopwatch(self._client.exchanges, "async", call), None
            try:
                async with asyncio.timeout(left):
                    response = await self._transport.send(call)
                return response
            finally:
                stopwatch.stop(response)

    async def aclose(self) -> None:
        await self._transport.aclose()


class ObservedClient(MicsClient):
    """A `MicsClient` that adds each of its requests to ``exchanges``.

    No pause before a retry exceeds ``limit``: the request fails with what it would have been sent again for.
    """

    def __init__(self, exchanges: Exchanges, limit: TimeLimit, **arguments: Any) -> None:
        self.exchanges, self.limit = exchanges, limit
        self._failure: Exception | None = None
        super().__init__(**arguments)

    def _default_transport(self) -> Transport:
        return _ObservedTransport(super()._default_transport(), self)

    def _perform_attempt(self, step: Step) -> Any:
        if isinstance(step, Sleep) and self._failure is not None and self.limit.is_shorter_than(step.seconds):
            raise self._failure
        try:
            return super()._perform_attempt(step)
        except MicsError as error:
            self._failure = error
            raise


class ObservedAsyncClient(AsyncMicsClient):
    """An `AsyncMicsClient` that does the same."""

    def __init__(self, exchanges: Exchanges, limit: TimeLimit, **arguments: Any) -> None:
        self.exchanges, self.limit = exchanges, limit
        self._failure: Exception | None = None
        super().__init__(**arguments)

    def _default_transport(self) -> AsyncTransport:
        return _ObservedAsyncTransport(super()._default_transport(), self)

    async def _perform_attempt(self, step: Step) -> Any:
        if isinstance(step, Sleep) and self._failure is not None and self.limit.is_shorter_than(step.seconds):
            raise self._failure
        try:
            return await super()._perform_attempt(step)
        except MicsError as error:
            self._failure = error
            raise
