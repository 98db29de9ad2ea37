"""One examination: the questions through both clients, within a time limit, and the report."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from datetime import timedelta
from typing import Any

from airflow_provider_mics.api.calls import Job, Log
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.network import resolve_network
from airflow_provider_mics.api.text import redact_cut
from airflow_provider_mics.doctor.checks import transfers, writes
from airflow_provider_mics.doctor.checks.access import Access, access_rows, ask_access, may_ask_more
from airflow_provider_mics.doctor.checks.platform_readings import CHECKS, PlatformReadings
from airflow_provider_mics.doctor.checks.rows import Result, Row
from airflow_provider_mics.doctor.checks.trial import Trial
from airflow_provider_mics.doctor.observing import Exchanges, ObservedAsyncClient, ObservedClient
from airflow_provider_mics.doctor.plugin import plugin_row
from airflow_provider_mics.doctor.report import Report
from airflow_provider_mics.doctor.settings import settings_row, unusable
from airflow_provider_mics.doctor.snapshot import snapshot_row
from airflow_provider_mics.doctor.time_limit import TimeLimit
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
            sys.stderr.write(f"{redact_cut(message % args, self._secret)}\n")


def _clean_up(client: ObservedClient, trial: Trial) -> None:
    """Cancel what an interrupted examination has created, and say what may be left of it."""
    client.perform(Log("Interrupted: canceling what was created.", logging.WARNING))
    try:
        client.run(trial.clean_up())
    finally:
        row = writes.cancel_row(trial)
        client.perform(Log(" ".join(filter(None, (row.found, row.means, row.set))), logging.WARNING))


class Examination:
    """Asks everything once.

    :param settings: of the connection or of the environment
    :param conn_id: the id of Airflow's connection, or None for settings of the environment
    :param snapshot: path or URL of the factory's snapshot, or None for the default place
    :param write_to: the instance of which one execution is created and canceled, or None to change nothing
    :param time_limit: seconds after which nothing more is asked
    """

    _limit: TimeLimit

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
        self._limit = TimeLimit(self._time_limit.total_seconds())
        arguments = self._settings.client_arguments(None, logging.getLogger(__name__))
        secret = str(arguments["token"]).strip()
        arguments |= {"log": _StandardError(secret), "max_retries": MAX_RETRIES}
        with self._client(arguments) as client:
            blocking, deferred = self._access(client, arguments)
            access = access_rows(client.organisation_id, blocking, deferred)
            if may_ask_more(client.organisation_id, blocking, deferred):
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

    def _client(self, arguments: dict[str, Any]) -> ObservedClient:
        try:
            return ObservedClient(self._exchanges, self._limit, **arguments)
        except MicsError as error:
            raise unusable(self._settings, self._conn_id, error) from None

    def _access(self, client: ObservedClient, arguments: dict[str, Any]) -> tuple[Access, Access | None]:
        """Ask for token and organisation through both clients; not through the second if the first gets nowhere."""
        job = ask_access(client.organisation_id)
        blocking = client.run(job)
        is_worth_more = blocking.problem is None
        return blocking, asyncio.run(self._deferred(job, arguments)) if is_worth_more else None

    async def _deferred(self, job: Job[Access], arguments: dict[str, Any]) -> Access:
        try:
            async with ObservedAsyncClient(self._exchanges, self._limit, **arguments) as client:
                return await client.run(job)
        except MicsError as error:
            return Access(problem=error)

    def _asked(self, client: ObservedClient) -> list[Row]:
        readings = PlatformReadings(self._settings.timezone, self._settings.size_fields)
        client.run(readings.steps(self._time_limit))
        if self._write_to is None:
            return readings.rows
        trial = Trial(self._write_to)
        try:
            written = client.run(writes.write_checks(self._write_to, client.organisation_id, trial))
        except KeyboardInterrupt:
            if trial.is_sent:
                _clean_up(client, trial)
            raise
        return [*readings.rows, *written]

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
