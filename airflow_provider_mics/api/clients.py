"""The blocking client, on ``requests``, and the async client, on ``httpx``.

Both perform the steps of a call or a flow; they differ only in ``await``. The HTTP library is imported when the first
client is made: every DAG file imports this package, and few make a client. A client with a ``transport=`` of your own
imports none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from airflow_provider_mics.api.calls import (
    Call,
    Job,
    KnownLists,
    Log,
    Now,
    PlatformNow,
    Sleep,
    Step,
    adrive,
    drive,
)
from airflow_provider_mics.api.retries import attempts
from airflow_provider_mics.api.settings import ClientOptions, ClientSettings
from airflow_provider_mics.api.transport import AsyncTransport, Transport

T = TypeVar("T")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MicsClient(ClientSettings):
    """A blocking client of the mediarithmics API: ``client.run(get_instance("42"))``. Close it, or use ``with``."""

    def __init__(
        self,
        base_url: str,
        token: str,
        organisation_id: str | None = None,
        *,
        transport: Transport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], datetime] = _utc_now,
        **options: Unpack[ClientOptions],
    ) -> None:
        """Check the settings. No request is sent.

        :param base_url: scheme and host, such as ``https://api.mediarithmics.com``; a trailing ``/v1`` is ignored
        :param token: the API token, sent in the ``Authorization`` header as it is
        :param organisation_id: for calls that name no organisation
        :param transport: sends the requests in place of ``requests``; the client closes it
        :param sleep: waits for a number of seconds, between attempts and for the `Sleep` steps of a flow
        :param clock: the current time (UTC), for the `Now` steps of a flow
        :param options: ``timeout``, ``max_retries``, ``size_fields``, ``verify``, ``proxies``, ``log``,
            ``token_history``, ``list_history`` and ``environ``, as for `ClientSettings`
        :raises MicsError: an argument is invalid
        """
        super().__init__(base_url, token, organisation_id, **options)
        self._sleep = sleep
        self._clock = clock
        self._transport = self._default_transport() if transport is None else transport

    def _default_transport(self) -> Transport:
        from airflow_provider_mics.api.transport_requests import RequestsTransport

        return RequestsTransport(self, self._token, self._resolved_network)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the transport and its connections."""
        self._transport.close()

    def run(self, job: Job[T]) -> T:
        """Run a call or a flow.

        :param job: such as ``get_instance("42")``
        :returns: the value of the call or flow
        :raises MicsError: the request or the flow failed; the message is one line
        """
        return drive(job, self.perform)

    def perform(self, step: Step) -> Any:
        """Perform one step: what `run` passes to `drive`.

        :param step: a `Call` is sent, with retries; a `Sleep` waits; a `Log` goes to ``log``
        :returns: the value of a `Call`, the time (UTC) of a `Now` or `PlatformNow`, the ``list_history`` of a
            `KnownLists`, else None
        :raises MicsError: the request failed
        """
        match step:
            case Call():
                return drive(attempts(self.complete(step), self.max_retries), self._perform_attempt)
            case Sleep(seconds):
                self._sleep(seconds)
            case Now():
                return self._clock()
            case PlatformNow():
                return self.platform_time(self._clock())
            case KnownLists():
                return self.list_history
            case Log(message, level):
                self.log.log(level, "%s", message)
        return None

    def _perform_attempt(self, step: Step) -> Any:
        if isinstance(step, Call):
            return self.read(step, self._transport.send(step), self._clock())
        return self.perform(step)


class AsyncMicsClient(ClientSettings):
    """An async client of the mediarithmics API: ``await client.run(get_instance("42"))``. Use it in one event loop."""

    def __init__(
        self,
        base_url: str,
        token: str,
        organisation_id: str | None = None,
        *,
        transport: AsyncTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], datetime] = _utc_now,
        **options: Unpack[ClientOptions],
    ) -> None:
        """Check the settings. No request is sent.

        :param base_url: scheme and host, such as ``https://api.mediarithmics.com``; a trailing ``/v1`` is ignored
        :param token: the API token, sent in the ``Authorization`` header as it is
        :param organisation_id: for calls that name no organisation
        :param transport: sends the requests in place of ``httpx``; the client closes it
        :param sleep: waits for a number of seconds, between attempts and for the `Sleep` steps of a flow
        :param clock: the current time (UTC), for the `Now` steps of a flow
        :param options: ``timeout``, ``max_retries``, ``size_fields``, ``verify``, ``proxies``, ``log``,
            ``token_history``, ``list_history`` and ``environ``, as for `ClientSettings`
        :raises MicsError: an argument is invalid
        """
        super().__init__(base_url, token, organisation_id, **options)
        self._sleep = sleep
        self._clock = clock
        self._transport = self._default_transport() if transport is None else transport

    def _default_transport(self) -> AsyncTransport:
        from airflow_provider_mics.api.transport_httpx import HttpxTransport

        return HttpxTransport(self, self._token, self._resolved_network)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the transport and its connections."""
        await self._transport.aclose()

    async def run(self, job: Job[T]) -> T:
        """Run a call or a flow.

        :param job: such as ``get_instance("42")``
        :returns: the value of the call or flow
        :raises MicsError: the request or the flow failed; the message is one line
        """
        return await adrive(job, self.perform)

    async def perform(self, step: Step) -> Any:
        """Perform one step: what `run` passes to `adrive`.

        :param step: a `Call` is sent, with retries; a `Sleep` waits; a `Log` goes to ``log``
        :returns: the value of a `Call`, the time (UTC) of a `Now` or `PlatformNow`, the ``list_history`` of a
            `KnownLists`, else None
        :raises MicsError: the request failed
        """
        match step:
            case Call():
                return await adrive(attempts(self.complete(step), self.max_retries), self._perform_attempt)
            case Sleep(seconds):
                await self._sleep(seconds)
            case Now():
                return self._clock()
            case PlatformNow():
                return self.platform_time(self._clock())
            case KnownLists():
                return self.list_history
            case Log(message, level):
                self.log.log(level, "%s", message)
        return None

    async def _perform_attempt(self, step: Step) -> Any:
        if isinstance(step, Call):
            return self.read(step, await self._transport.send(step), self._clock())
        return await self.perform(step)
