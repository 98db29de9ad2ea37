"""Where the DAG factory gets its inventory from: a snapshot, which is refreshed from time to time."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from zlib import crc32

from airflow.configuration import AIRFLOW_HOME, conf

from airflow_provider_mics.api.clients import MicsClient
from airflow_provider_mics.api.console import DEFAULT_CONSOLE_URL
from airflow_provider_mics.api.errors import MicsApiError, MicsConnectionError, MicsError, MicsTimeoutError
from airflow_provider_mics.api.instances import get_instance
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.api.outages import is_outage
from airflow_provider_mics.core.planning.inventory import (
    Inventory,
    Listing,
    UnreadableInventoryError,
    listed_within,
    merged,
    within,
)
from airflow_provider_mics.core.planning.snapshots import LastFailure, LocalFile, SnapshotPlace, one_at_a_time
from airflow_provider_mics.runtime.failures import one_line_of

if TYPE_CHECKING:
    from airflow_provider_mics.api.calls import Job
    from airflow_provider_mics.hooks import MicsHook

T = TypeVar("T")
RETRY_DELAY = timedelta(seconds=60)
"""How long no parse sends a request after one has failed."""
NOT_OURS_STATUS_CODES = (403, 404)
"""HTTP status codes that say that our organisation has no such instance."""
MAX_CONNECT_TIMEOUT = 5.0
"""Seconds."""
SHARE_OF_IMPORT_TIMEOUT = 1 / 3
"""The part of ``[core] dagbag_import_timeout`` that requests may take."""
DEFAULT_TIME_LIMIT = 30.0
"""Seconds that requests may take where Airflow sets no limit to the import of a DAG file."""
UNREACHABLE_FOR = 60.0
"""Seconds for which this process sends no request to a host that did not answer."""
SNAPSHOT_FOLDER = "mics"
"""Folder of the local snapshots, below AIRFLOW_HOME."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InventorySource:
    """The inventory of one connection.

    ``organisation_id`` and ``timezone`` replace those of the connection. ``snapshot`` is a path or a URL, or None for
    a file below AIRFLOW_HOME. A snapshot older than ``ttl`` is refreshed.
    """

    mics_conn_id: str
    organisation_id: str | None = None
    timezone: str | None = None
    snapshot: str | Path | None = None
    ttl: timedelta = timedelta(minutes=5)

    def current(self) -> Inventory:
        """Return the snapshot, refreshed if it is too old; during an outage the last one, however old.

        :raises MicsError: the instances cannot be listed, and there is no earlier snapshot
        """
        known = self.read()
        if known is not None and self._is_fresh(known):
            return known
        with one_at_a_time(self._local_path.with_suffix(".lock")) as has_lock:
            if known is None:
                return self._fetch_first()
            if not has_lock:
                return known
            known = self.read() or known
            return known if self._is_fresh(known) else self._refresh(known)

    def read(self, only: str | None = None) -> Inventory | None:
        """Return the snapshot, or only the instance ``only`` of it; None if there is no usable snapshot."""
        try:
            content = self._place.read_bytes()
            inventory = Inventory.from_bytes(content) if only is None else Inventory.of_one(content, only)
        except FileNotFoundError:
            return None
        except UnreadableInventoryError as error:
            logger.warning("Ignoring snapshot %s: %s.", self._place, error)
            return None
        except Exception as error:  # noqa: BLE001
            logger.warning("Could not read snapshot %s: %s.", self._place, one_line_of(error))
            return None
        if self.organisation_id not in (None, inventory.organisation_id):
            logger.warning(
                "Ignoring snapshot %s: it is of organisation %s, not of %s.",
                self._place,
                inventory.organisation_id,
                self.organisation_id,
            )
            return None
        return inventory

    def for_worker(self, instance_id: str) -> Inventory | None:
        """Return an inventory of one instance, or None if the platform says that our organisation does not have it.

        The instance comes from the snapshot, or else from the platform. If both fail, only its id is known, which is
        enough to build the DAG of a task that is to run. Nothing is written.
        """
        known = self.read(only=instance_id)
        if known is not None and known.get(instance_id) is not None:
            return known
        client = self._client
        organisation_id, timezone = self.organisation_id, self.timezone or ""
        console_url, instance = DEFAULT_CONSOLE_URL, Instance(id=instance_id)
        try:
            organisation_id, console_url = client.organisation_id, client.console_url
            timezone = self.timezone or client.timezone
            instance = client.instance(instance_id)
        except Exception as error:  # noqa: BLE001
            if (
                isinstance(error, MicsApiError)
                and error.status_code in NOT_OURS_STATUS_CODES
                and not is_outage(error)
            ):
                logger.debug("No DAG for instance %s: %s", instance_id, error)
                return None
            logger.warning("Only the id of instance %s is known: %s.", instance_id, one_line_of(error))
        if instance.organisation_id not in (None, organisation_id) and organisation_id is not None:
            return None
        since = {} if instance.last_modified_ts is None else {instance_id: instance.last_modified_ts}
        return Inventory(organisation_id, timezone, console_url, datetime.now(UTC), (instance,), since)

    def fetched_for_worker(self) -> Inventory | None:
        """Return the platform's inventory without saving it, or None, with a warning, if it cannot be listed."""
        try:
            return self._fetch(None)
        except Exception as error:  # noqa: BLE001
            logger.warning("%s: %s.", self._cannot_list, one_line_of(error))
            return None

    def _is_fresh(self, inventory: Inventory) -> bool:
        has_our_timezone = self.timezone in (None, inventory.timezone)
        return has_our_timezone and abs(datetime.now(UTC) - inventory.fetched_at) < self.ttl

    def _fetch_first(self) -> Inventory:
        try:
            return self._save(self._fetch(None))
        except Exception as error:  # noqa: BLE001
            raise self._no_inventory(one_line_of(error)) from None

    def _refresh(self, known: Inventory) -> Inventory:
        failure = self._last_failure.within(RETRY_DELAY, datetime.now(UTC))
        if failure is None:
            try:
                return self._save(self._fetch(known))
            except Exception as error:  # noqa: BLE001
                failure = one_line_of(error)
                if _delays_next_request(error):
                    now = datetime.now(UTC)
                    self._last_failure.remember(
                        f"{failure} (next retry after {now + RETRY_DELAY:%H:%M:%S} UTC)", now
                    )
        if self._is_of_other_platform(known):
            raise self._no_inventory(failure)
        logger.warning(
            "%s: %s. Using the snapshot of %s.",
            self._cannot_list,
            failure,
            known.fetched_at.isoformat(timespec="seconds"),
        )
        return known

    def _fetch(self, known: Inventory | None) -> Inventory:
        """List the instances, and carry over what only the snapshot knows."""
        client = self._client
        return merged(
            client.listing(is_urgent=known is None),
            known,
            host=client.host,
            organisation_id=client.organisation_id,
            timezone=self.timezone or client.timezone,
            console_url=client.console_url,
            fetched_at=datetime.now(UTC),
        )

    def _save(self, inventory: Inventory) -> Inventory:
        self._last_failure.forget()
        try:
            self._place.write_bytes(inventory.to_bytes())
        except Exception as error:  # noqa: BLE001
            logger.warning("Could not write snapshot %s: %s.", self._place, one_line_of(error))
        return inventory

    def _is_of_other_platform(self, known: Inventory) -> bool:
        """Whether the connection now leads to another platform or organisation than that of the snapshot."""
        client = self._client
        try:
            return not known.is_of(client.host, client.organisation_id)
        except Exception:  # noqa: BLE001 - a connection that cannot be read proves nothing
            return False

    @property
    def _cannot_list(self) -> str:
        return f"The integration batches of connection {self.mics_conn_id!r} cannot be listed"

    def _no_inventory(self, failure: str) -> MicsError:
        return MicsError(f"{self._cannot_list}, and there is no earlier snapshot ({self._place}): {failure}")

    @property
    def _client(self) -> ParseTimeClient:
        return ParseTimeClient(self.mics_conn_id, self.organisation_id)

    @property
    def _last_failure(self) -> LastFailure:
        return LastFailure(self._local_path.with_suffix(".failed"))

    @cached_property
    def _place(self) -> SnapshotPlace:
        return snapshot_place(self.snapshot, self._local_path)

    @cached_property
    def _local_path(self) -> Path:
        snapshot = None if self.snapshot is None else str(self.snapshot)
        return local_path(self.mics_conn_id, self.organisation_id, self.timezone, snapshot)


def is_id_only(instance: Instance) -> bool:
    """Whether only the id of an instance is known."""
    return instance.model_fields_set == {"id"}


def _delays_next_request(error: Exception) -> bool:
    """Whether the next parses send no request. After a refusal they do: it is quick, and a user may be fixing it."""
    return not isinstance(error, MicsError) or is_outage(error) or isinstance(error, MicsTimeoutError)


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

    def listing(self, *, is_urgent: bool) -> Listing:
        """List the organisation's instances; unless it is urgent, fail at once if the host was unreachable just now."""
        since = _unreachable_since.get(self.host)
        if not is_urgent and since is not None and time.monotonic() - since < UNREACHABLE_FOR:
            raise MicsConnectionError(f"{self.host} was unreachable a moment ago")
        return self._run(listed_within)

    def instance(self, instance_id: str) -> Instance:
        return self._run(lambda limit: within(get_instance(instance_id), limit))

    @cached_property
    def _hook(self) -> MicsHook:
        from airflow_provider_mics.hooks import MicsHook

        return MicsHook(self._mics_conn_id, self._organisation_id)

    def _run(self, job_within: Callable[[timedelta], Job[T]]) -> T:
        """Run a flow that is given the time limit."""
        settings, limit = self._hook.settings, _time_limit()
        arguments: dict[str, Any] = settings.client_arguments(self._organisation_id, logger)
        connect, read = arguments["timeout"]
        arguments |= {"timeout": (min(connect, MAX_CONNECT_TIMEOUT), min(read, limit)), "max_retries": 0}
        with MicsClient(**arguments) as client:
            try:
                result = client.run(job_within(timedelta(seconds=limit)))
            except (MicsConnectionError, MicsTimeoutError):
                _unreachable_since[settings.host] = time.monotonic()
                raise
        _unreachable_since.pop(settings.host, None)
        return result


_unreachable_since: dict[str, float] = {}
"""By host, on the monotonic clock: the factories of one DAG file do not each wait for the same unreachable host."""


def _time_limit() -> float:
    """Return the seconds that requests may take during one parse."""
    import_timeout = conf.getfloat("core", "dagbag_import_timeout", fallback=30.0)
    return import_timeout * SHARE_OF_IMPORT_TIMEOUT if import_timeout > 0 else DEFAULT_TIME_LIMIT


def snapshot_place(snapshot: str | Path | None, default: Path) -> SnapshotPlace:
    """Return where a snapshot is kept: at a path or URL, or in the file ``default``."""
    if snapshot is None:
        return LocalFile(default)
    address = str(snapshot)
    if address.startswith("file://"):
        return LocalFile(Path(address.removeprefix("file://")))
    if "://" not in address:
        return LocalFile(Path(address).expanduser())
    return _StoredObject(address)


def local_path(*key: str | None) -> Path:
    """Return the file below AIRFLOW_HOME for a key: the connection, the organisation, and so on."""
    readable = "-".join(re.sub(r"[^A-Za-z0-9_.]+", "_", part)[:60] for part in key[:2] if part)
    exact = crc32("\0".join(part or "" for part in key).encode())
    return Path(AIRFLOW_HOME, SNAPSHOT_FOLDER, f"inventory-{readable}-{exact:08x}.jsonl")


class _StoredObject:
    """A snapshot in an object store. Its path is created on use, since ObjectStoragePath takes long to import."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __str__(self) -> str:
        return self._url

    def read_bytes(self) -> bytes:
        return bytes(self._path().read_bytes())

    def write_bytes(self, data: bytes) -> None:
        self._path().write_bytes(data)

    def _path(self) -> Any:
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        return ObjectStoragePath(self._url)
