"""The platform as a parse may ask it: seldom, and within the time that Airflow gives a DAG file."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeVar

from airflow.configuration import conf

from airflow_provider_mics.api.calls import Job
from airflow_provider_mics.api.clients import MicsClient
from airflow_provider_mics.api.errors import MicsConnectionError, MicsTimeoutError
from airflow_provider_mics.api.instances import get_instance
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.hooks import MicsHook
from airflow_provider_mics.planning.deadlines import within
from airflow_provider_mics.planning.listings import Listing, listed_within

T = TypeVar("T")
LONGEST_CONNECTING = 5.0
LONGEST_ASKING = 30.0
"""Seconds, where Airflow sets no limit to the import of a DAG file."""
SHARE_OF_PARSING = 1 / 3
SILENCE_LASTS = 60.0

logger = logging.getLogger(__name__)
_silent_since: dict[str, float] = {}
"""By host: when it gave no answer to this process. A file with several factories must not wait for each."""


class Platform:
    """The platform behind an Airflow connection. Every property and method can raise MicsError, and Airflow's errors.

    :param mics_conn_id: the connection, which is only read when something is asked
    :param organisation_id: instead of the connection's
    """

    def __init__(self, mics_conn_id: str, organisation_id: str | None = None) -> None:
        self._mics_conn_id = mics_conn_id
        self._organisation_id = organisation_id

    @property
    def organisation_id(self) -> str | None:
        return self._hook.organisation_id

    @property
    def host(self) -> str:
        return self._hook.settings.host

    @property
    def timezone(self) -> str:
        return self._hook.timezone

    @property
    def console_url(self) -> str:
        return self._hook.console_url

    def listing(self, *, is_urgent: bool) -> Listing:
        """The organisation's instances. What is not urgent is not asked of a host that was silent just now."""
        since = _silent_since.get(self.host)
        if not is_urgent and since is not None and time.monotonic() - since < SILENCE_LASTS:
            raise MicsConnectionError(f"{self.host} gave no answer a moment ago")
        return self._run(listed_within)

    def instance(self, instance_id: str) -> Instance:
        return self._run(lambda limit: within(get_instance(instance_id), limit))

    @cached_property
    def _hook(self) -> MicsHook:
        return MicsHook(self._mics_conn_id, self._organisation_id)

    def _run(self, job_within: Callable[[timedelta], Job[T]]) -> T:
        settings = self._hook.settings
        limit = _seconds_for_asking()
        arguments: dict[str, Any] = settings.client_arguments(self._organisation_id, logger)
        connect, read = arguments["timeout"]
        arguments |= {"timeout": (min(connect, LONGEST_CONNECTING), min(read, limit)), "max_retries": 0}
        with MicsClient(**arguments) as client:
            try:
                result = client.run(job_within(timedelta(seconds=limit)))
            except (MicsConnectionError, MicsTimeoutError):
                _silent_since[settings.host] = time.monotonic()
                raise
        _silent_since.pop(settings.host, None)
        return result


def _seconds_for_asking() -> float:
    for_parsing = conf.getfloat("core", "dagbag_import_timeout", fallback=30.0)
    return for_parsing * SHARE_OF_PARSING if for_parsing > 0 else LONGEST_ASKING
