"""Requests while a DAG file is parsed: they may take a limited time, which all factories of a process share."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.configuration import conf

from airflow_provider_mics.api.clients import MicsClient
from airflow_provider_mics.api.errors import MicsConnectionError, MicsError, MicsTimeoutError
from airflow_provider_mics.api.instances import get_instance
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.core.planning.inventory import Inventory
from airflow_provider_mics.core.planning.inventory_updates import Listing
from airflow_provider_mics.core.planning.listing import ListingPass, within

if TYPE_CHECKING:
    from airflow_provider_mics.api.calls import Job
    from airflow_provider_mics.hooks import MicsHook

T = TypeVar("T")
MAX_CONNECT_TIMEOUT = 5.0
"""Seconds."""
SHARE_OF_IMPORT_TIMEOUT = 1 / 3
"""The part of ``[core] dagbag_import_timeout`` that requests may take."""
DEFAULT_IMPORT_TIMEOUT = 90.0
"""Seconds: taken where Airflow sets no limit to the import of a DAG file."""
SHORTEST_TIME = 0.1
"""Seconds: with less time left, no request is sent."""
UNREACHABLE_FOR = 60.0
"""Seconds for which this process sends no request to a host that did not answer."""
logger = logging.getLogger(__name__)


class NoTimeLeftError(MicsError):
    """Other requests of this process took the time that parsing has for requests."""


class TimeBudget:
    """The seconds that requests may take in this process, within any period as long as the import timeout."""

    def __init__(self) -> None:
        self._spent: list[tuple[float, float]] = []

    def left(self) -> float:
        """Return the seconds that are left."""
        now, period = time.monotonic(), _import_timeout()
        self._spent = [(end, seconds) for end, seconds in self._spent if now - end < period]
        return period * SHARE_OF_IMPORT_TIMEOUT - sum(seconds for _, seconds in self._spent)

    def spend(self, seconds: float) -> None:
        self._spent.append((time.monotonic(), seconds))


budget = TimeBudget()
unreachable_since: dict[str, float] = {}
"""By host, on the monotonic clock: the factories of one DAG file do not each wait for the same unreachable host."""


class ParseTimeClient:
    """The platform behind a connection, with a time limit, so that a slow platform cannot stall DAG parsing.

    Each property and method can raise MicsError, and errors of Airflow.

    :param mics_conn_id: the Airflow connection, which is only read when a property or method needs it
    :param organisation_id: the organisation's id; by default the connection's
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

    def listing(self, previous: Inventory | None, *, is_urgent: bool) -> Listing:
        """List the organisation's instances, or a part of them if there is no time for all.

        Unless it is urgent, fail at once if the host was unreachable just now.

        :param previous: the last inventory, which may hold a part of the list
        :raises MicsError: the platform gave nothing new
        """
        since = unreachable_since.get(self.host)
        if not is_urgent and since is not None and time.monotonic() - since < UNREACHABLE_FOR:
            raise MicsConnectionError(f"{self.host} was unreachable a moment ago")
        if previous is not None and not previous.is_of(self.host, self.organisation_id):
            previous = None
        listing_pass = ListingPass(previous, datetime.now(UTC))
        try:
            self._run(listing_pass.steps)
        except MicsError as error:
            if not listing_pass.is_worth_keeping:
                raise
            return listing_pass.listing(error)
        return listing_pass.listing()

    def instance(self, instance_id: str) -> Instance:
        return self._run(lambda limit: within(get_instance(instance_id), limit))

    @cached_property
    def _hook(self) -> MicsHook:
        from airflow_provider_mics.hooks import MicsHook

        return MicsHook(self._mics_conn_id, self._organisation_id)

    def _run(self, job_within: Callable[[timedelta], Job[T]]) -> T:
        """Run a flow that is given the time limit."""
        settings, limit = self._hook.settings, budget.left()
        if limit < SHORTEST_TIME:
            raise NoTimeLeftError(
                f"no request is sent to {settings.host}: other requests took the time that one parse has for them"
            )
        arguments: dict[str, Any] = settings.client_arguments(self._organisation_id, logger)
        connect, read = arguments["timeout"]
        arguments |= {"timeout": (min(connect, MAX_CONNECT_TIMEOUT), min(read, limit)), "max_retries": 0}

        def run() -> T:
            with MicsClient(**arguments) as client:
                return client.run(job_within(timedelta(seconds=limit)))

        began = time.monotonic()
        try:
            result = _with_deadline(run, limit, settings.host)
        except (MicsConnectionError, MicsTimeoutError):
            unreachable_since[settings.host] = time.monotonic()
            raise
        finally:
            budget.spend(time.monotonic() - began)
        unreachable_since.pop(settings.host, None)
        return result


def _with_deadline(function: Callable[[], T], seconds: float, host: str) -> T:
    """Run a function in a thread and leave it there when its time is over.

    No timeout of an HTTP client covers the look-up of the host's name, or a body that arrives byte by byte.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            errors.append(error)

    thread = threading.Thread(target=run, name="mics-parse-time-request", daemon=True)
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    if errors:
        raise errors[0]
    raise MicsTimeoutError(f"{host} was not reached or did not answer within {seconds:.3g} s")


def _import_timeout() -> float:
    """Return the seconds that the import of a DAG file may take."""
    import_timeout = conf.getfloat("core", "dagbag_import_timeout", fallback=30.0)
    return import_timeout if import_timeout > 0 else DEFAULT_IMPORT_TIMEOUT
