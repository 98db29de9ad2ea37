"""Clients that keep what was answered to each request, for the checks of headers and durations."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from airflow_provider_mics.api import AsyncMicsClient, AsyncTransport, Call, MicsClient, Response, Transport
from airflow_provider_mics.doctor.checks.transfers import Exchange

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
    def __init__(self, transport: Transport, exchanges: Exchanges) -> None:
        self._transport, self._exchanges = transport, exchanges

    def send(self, call: Call[Any]) -> Response:
        stopwatch, response = _Stopwatch(self._exchanges, "blocking", call), None
        try:
            response = self._transport.send(call)
            return response
        finally:
            stopwatch.stop(response)

    def close(self) -> None:
        self._transport.close()


class _ObservedAsyncTransport:
    def __init__(self, transport: AsyncTransport, exchanges: Exchanges) -> None:
        self._transport, self._exchanges = transport, exchanges

    async def send(self, call: Call[Any]) -> Response:
        stopwatch, response = _Stopwatch(self._exchanges, "async", call), None
        try:
            response = await self._transport.send(call)
            return response
        finally:
            stopwatch.stop(response)

    async def aclose(self) -> None:
        await self._transport.aclose()


class ObservedClient(MicsClient):
    """A `MicsClient` that adds each of its requests to ``exchanges``."""

    def __init__(self, exchanges: Exchanges, **arguments: Any) -> None:
        self._exchanges = exchanges
        super().__init__(**arguments)

    def _default_transport(self) -> Transport:
        return _ObservedTransport(super()._default_transport(), self._exchanges)


class ObservedAsyncClient(AsyncMicsClient):
    """An `AsyncMicsClient` that adds each of its requests to ``exchanges``."""

    def __init__(self, exchanges: Exchanges, **arguments: Any) -> None:
        self._exchanges = exchanges
        super().__init__(**arguments)

    def _default_transport(self) -> AsyncTransport:
        return _ObservedAsyncTransport(super()._default_transport(), self._exchanges)
