"""The connection of a poller: its client, and when to read the connection again."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Hashable
from contextlib import suppress
from typing import TYPE_CHECKING

from airflow_provider_mics.api.calls import Log
from airflow_provider_mics.api.errors import MicsConnectionError, MicsError
from airflow_provider_mics.api.text import one_line

if TYPE_CHECKING:
    from airflow_provider_mics.api.clients import AsyncMicsClient
    from airflow_provider_mics.core.polling.subscriptions import Subscription, Subscriptions

BAD_SETTINGS_SECONDS = 300.0
"""How long a connection with settings that cannot be used is read again before all its waits fail."""
REREAD_SECONDS = 300.0
"""How often the connection is read again, since its host or its token may have changed."""
UNREADABLE_LOG_SECONDS = 300.0
"""How often a wait logs that its connection still cannot be read."""


class SharedConnection:
    """The poller's client, and when to read again the connections of the waits that share it."""

    def __init__(self) -> None:
        self.is_new = False
        """Whether the client was made at the last call of `client`."""
        self.strangers: list[Subscription] = []
        """The waits whose connection turned out to have other settings at the last call of `client`."""
        self._client: AsyncMicsClient | None = None
        self._read_at: dict[Hashable, float] = {}
        self._failing_since: float | None = None
        self._logged_at = -math.inf

    def may_have_changed(self, key: Hashable) -> None:
        """Read a connection again at the next call of `client`."""
        self._read_at.pop(key, None)

    def has_settings_of(self, client: AsyncMicsClient) -> bool:
        """Whether there is a client, of the same settings."""
        return self._client is not None and client.has_settings_of(self._client)

    async def client(self, subscriptions: Subscriptions) -> AsyncMicsClient | MicsError:
        """Return a client, or an outage if no connection can be read.

        :raises MicsError: the settings cannot be used, for `BAD_SETTINGS_SECONDS`
        """
        now = asyncio.get_running_loop().time()
        self.is_new, self.strangers = False, []
        groups: dict[Hashable, list[Subscription]] = {}
        for subscription in subscriptions:
            groups.setdefault(subscription.connection_key, []).append(subscription)
        outage: MicsError | None = None
        for key, group in groups.items():
            if self._client is not None and now - self._read_at.get(key, -math.inf) < REREAD_SECONDS:
                continue
            try:
                # The latest subscription: the connection may have been read by it a moment ago.
                client = await group[-1].make_client()
            except Exception as error:  # noqa: BLE001 - Airflow may fail to read a connection for a while
                if self._client is None:
                    outage = self._failed(error, group, now)
            else:
                self._failing_since, self._logged_at = None, -math.inf
                await self._use(client, group, is_alone=len(groups) == 1)
            self._read_at[key] = now
        return self._client or outage or MicsConnectionError("no connection", certainly_not_sent=True)

    async def _use(self, client: AsyncMicsClient, group: list[Subscription], *, is_alone: bool) -> None:
        if self.has_settings_of(client):
            await _close(client)
        elif self._client is None or is_alone:
            await self._replace(client)
            self.is_new = True
        else:
            await _close(client)
            self.strangers += group

    async def close(self) -> None:
        """Close the client; the next call of `client` makes another."""
        self._read_at.clear()
        await self._replace(None)

    async def _replace(self, client: AsyncMicsClient | None) -> None:
        before, self._client = self._client, client
        if before is not None:
            await _close(before)

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
