"""The connection of a poller: its client, and when to read the connection again."""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import suppress
from typing import TYPE_CHECKING

from airflow_provider_mics.api.calls import Log
from airflow_provider_mics.api.errors import MicsConnectionError, MicsError
from airflow_provider_mics.api.text import one_line

if TYPE_CHECKING:
    from airflow_provider_mics.api.clients import AsyncMicsClient
    from airflow_provider_mics.core.polling.subscriptions import Subscriptions

BAD_SETTINGS_SECONDS = 300.0
"""How long a connection with settings that cannot be used is read again before all its waits fail."""
REREAD_SECONDS = 300.0
"""How often the connection is read again, since its host or its token may have changed."""
UNREADABLE_LOG_SECONDS = 300.0
"""How often a wait logs that its connection still cannot be read."""


class SharedConnection:
    """The poller's client, and when to read its connection again."""

    def __init__(self) -> None:
        self.is_new = False
        """Whether the client was made at the last call of `client`."""
        self._client: AsyncMicsClient | None = None
        self._read_at = -math.inf
        self._failing_since: float | None = None
        self._logged_at = -math.inf

    def may_have_changed(self) -> None:
        """Read the connection again at the next call of `client`."""
        self._read_at = -math.inf

    async def client(self, subscriptions: Subscriptions) -> AsyncMicsClient | MicsError:
        """Return a client, or an outage if the connection cannot be read.

        :raises MicsError: the settings cannot be used, for `BAD_SETTINGS_SECONDS`
        """
        now = asyncio.get_running_loop().time()
        self.is_new = False
        if self._client is not None and now - self._read_at < REREAD_SECONDS:
            return self._client
        try:
            # The latest subscription: the connection may have been read by it a moment ago.
            client = await subscriptions[-1].make_client()
        except Exception as error:  # noqa: BLE001 - Airflow may fail to read a connection for a while
            self._read_at = now
            return self._client or self._failed(error, subscriptions, now)
        self._read_at, self._failing_since, self._logged_at = now, None, -math.inf
        if self._client is not None and client.has_settings_of(self._client):
            await _close(client)
            return self._client
        await self.close()
        self._client, self.is_new = client, True
        return client

    async def close(self) -> None:
        """Close the client; the next call of `client` makes another."""
        client, self._client = self._client, None
        if client is not None:
            await _close(client)

    def _failed(self, error: Exception, subscriptions: Subscriptions, now: float) -> MicsError:
        if self._failing_since is None:
            self._failing_since = now
        is_unreadable = isinstance(error, MicsConnectionError) or not isinstance(error, MicsError)
        if not is_unreadable and now - self._failing_since >= BAD_SETTINGS_SECONDS:
            raise error
        if now - self._logged_at >= UNREADABLE_LOG_SECONDS:
            self._logged_at = now
            line = Log(f"Could not read the connection: {one_line(str(error))}. Retrying.", logging.WARNING)
            for subscription in subscriptions:
                subscription.log([line])
        return MicsConnectionError(str(error), certainly_not_sent=True)


async def _close(client: AsyncMicsClient) -> None:
    with suppress(Exception):
        await client.aclose()
