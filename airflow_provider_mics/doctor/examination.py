"""One examination: the questions through both clients, within a time limit, and the report."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from datetime import timedelta
from typing import Any

from airflow_provider_mics.api.calls import Job
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.network import resolve_network
from airflow_provider_mics.api.text import redact
from airflow_provider_mics.doctor.checks import transfers, writes
from airflow_provider_mics.doctor.checks.access import Access, access_rows, ask_access
from airflow_provider_mics.doctor.checks.platform_readings import CHECKS, PlatformReadings
from airflow_provider_mics.doctor.checks.rows import Result, Row
from airflow_provider_mics.doctor.observing import Exchanges, ObservedAsyncClient, ObservedClient
from airflow_provider_mics.doctor.plugin import plugin_row
from airflow_provider_mics.doctor.report import Report
from airflow_provider_mics.doctor.settings import settings_row
from airflow_provider_mics.doctor.snapshot import snapshot_row
from airflow_provider_mics.runtime.connection import ConnectionSettings

DEFAULT_TIME_LIMIT = timedelta(minutes=2)
MAX_RETRIES = 2
"""Of each request: enough for a fault now and then, and few enough to report an outage soon."""


class _StandardError:
    """Prints the warnings of a client: retries, and lists that cannot be read in full."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def log(self, level: int, message: str, /, *args: object) -> None:
        if level >= logging.WARNING:
            sys.stderr.write(f"{redact(message % args, self._secret)}\n")


class Examination:
    """Asks everything once.

    :param settings: of the connection or of the environment
    :param conn_id: the id of Airflow's connection, or None for settings of the environment
    :param snapshot: path or URL of the factory's snapshot, or None for the default place
    :param write_to: the instance of which one execution is created and canceled, or None to change nothing
    :param time_limit: seconds after which nothing more is asked
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        conn_id: str | None,
        *,
        snapshot: str | None = None,
        write_to: str | None = None,
        time_limit: float = DEFAULT_TIME_LIMIT.total_seconds(),
    ) -> None:
        self._settings, self._conn_id = settings, conn_id
        self._snapshot, self._write_to = snapshot, write_to
        self._time_limit = timedelta(seconds=time_limit)
        self._exchanges: Exchanges = []

    def run(self) -> Report:
        """Ask, and return the report.

        :raises MicsError: no client can be made with these settings
        """
        arguments = self._settings.client_arguments(None, logging.getLogger(__name__))
        secret = str(arguments["token"]).strip()
        arguments |= {"log": _StandardError(secret), "max_retries": MAX_RETRIES}
        with ObservedClient(self._exchanges, **arguments) as client:
            access = self._access(client, arguments)
            if all(row.result in (Result.OK, Result.NOTE) for row in access):
                asked = self._asked(client)
            else:
                checks = [*CHECKS, *(writes.CHECKS if self._write_to is not None else ())]
                reason = "the token and the organisation come first"
                asked = [Row(check, Result.NOT_ASKED, reason) for check in checks]
        rows = [settings_row(self._settings), *access, *self._transfers(client), *asked]
        rows.append(snapshot_row(self._snapshot, self._conn_id))
        if self._conn_id is not None:
            rows.append(plugin_row())
        report = Report(
            client.base_url,
            client.organisation_id,
            self._settings.timezone,
            tuple(rows),
            len(self._exchanges),
        )
        return report.without(secret)

    def _access(self, client: ObservedClient, arguments: dict[str, Any]) -> list[Row]:
        """Ask for token and organisation through both clients."""
        job = ask_access(client.organisation_id)
        blocking = client.run(job)
        is_worth_more = blocking.problem is None
        deferred = asyncio.run(self._deferred(job, arguments)) if is_worth_more else None
        return access_rows(client.organisation_id, blocking, deferred)

    async def _deferred(self, job: Job[Access], arguments: dict[str, Any]) -> Access:
        try:
            async with ObservedAsyncClient(self._exchanges, **arguments) as client:
                return await client.run(job)
        except MicsError as error:
            return Access(problem=error)

    def _asked(self, client: ObservedClient) -> list[Row]:
        readings = PlatformReadings(self._settings.timezone, self._settings.size_fields)
        client.run(readings.steps(self._time_limit))
        if self._write_to is None:
            return readings.rows
        return [*readings.rows, *client.run(writes.write_checks(self._write_to, client.organisation_id))]

    def _transfers(self, client: ObservedClient) -> list[Row]:
        network = resolve_network(client.base_url, client.proxies, client.verify, os.environ)
        return [
            transfers.network_row(
                client.base_url, network, self._exchanges, is_from_settings=bool(client.proxies)
            ),
            transfers.clock_row(self._exchanges),
            transfers.latency_row(self._exchanges, client.read_timeout),
            transfers.rate_limit_row(self._exchanges),
        ]
