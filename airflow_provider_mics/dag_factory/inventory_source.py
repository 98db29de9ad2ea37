"""The inventory that a parse goes by: from its snapshot, refreshed now and then, and never lost to an outage."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

from airflow.configuration import AIRFLOW_HOME, conf

from airflow_provider_mics.api.calls import Job
from airflow_provider_mics.api.clients import MicsClient
from airflow_provider_mics.api.console import DEFAULT_CONSOLE_URL
from airflow_provider_mics.api.errors import MicsApiError, MicsConnectionError, MicsError, MicsTimeoutError
from airflow_provider_mics.api.instances import get_instance
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.api.outages import is_outage
from airflow_provider_mics.core.planning.inventory import (
    Inventory,
    Listing,
    UnreadableInventory,
    listed_within,
    merged,
    within,
)
from airflow_provider_mics.core.planning.snapshots import LastFailure, LocalFile, SnapshotPlace, one_at_a_time
from airflow_provider_mics.hooks import MicsHook
from airflow_provider_mics.runtime.failures import one_line_of

PAUSE_AFTER_FAILURE = timedelta(seconds=60)

NOT_OURS = (403, 404)


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InventorySource:
    """Where the inventory of a connection comes from.

    ``organisation_id`` and ``timezone`` stand in for those of the connection. ``snapshot`` is a path or a URL, None
    for a file under AIRFLOW_HOME. A snapshot older than ``ttl`` is refreshed.
    """

    mics_conn_id: str
    organisation_id: str | None = None
    timezone: str | None = None
    snapshot: str | Path | None = None
    ttl: timedelta = timedelta(minutes=5)

    def current(self) -> Inventory:
        """The snapshot while it is fresh, else a new one; where none can be had, the last good one of any age.

        :raises MicsError: the platform cannot be asked, and there is no snapshot from before
        """
        known = self.read()
        if known is not None and self._is_fresh(known):
            return known
        with one_at_a_time(self._local.with_suffix(".lock")) as is_alone:
            if known is None:
                return self._first()
            if not is_alone:
                return known
            known = self.read() or known
            return known if self._is_fresh(known) else self._refreshed(known)

    def read(self, only: str | None = None) -> Inventory | None:
        """What the snapshot holds, or ``only`` this instance of it; None where there is none that can be used."""
        try:
            content = self._place.read_bytes()
            inventory = Inventory.from_bytes(content) if only is None else Inventory.of_one(content, only)
        except FileNotFoundError:
            return None
        except UnreadableInventory as error:
            logger.warning("The snapshot %s counts as none: %s.", self._place, error)
            return None
        except Exception as error:  # noqa: BLE001
            logger.warning("The snapshot %s cannot be read: %s.", self._place, one_line_of(error))
            return None
        if self.organisation_id not in (None, inventory.organisation_id):
            logger.warning(
                "The snapshot %s counts as none: it is of organisation %s, not of %s.",
                self._place,
                inventory.organisation_id,
                self.organisation_id,
            )
            return None
        return inventory

    def for_worker(self, instance_id: str) -> Inventory | None:
        """An inventory with this one instance, or None where the platform says that we have no such instance.

        From the snapshot, else from the platform; where both fail, of what is known without them: a task that is
        to run needs its DAG. Nothing is written.
        """
        known = self.read(only=instance_id)
        if known is not None and known.get(instance_id) is not None:
            return known
        platform = ParseTimeClient(self.mics_conn_id, self.organisation_id)
        organisation_id, timezone, console_url = (
            self.organisation_id,
            self.timezone or "",
            DEFAULT_CONSOLE_URL,
        )
        instance = Instance(id=instance_id)
        try:
            organisation_id, console_url = platform.organisation_id, platform.console_url
            timezone = self.timezone or platform.timezone
            instance = platform.instance(instance_id)
        except Exception as error:  # noqa: BLE001
            if isinstance(error, MicsApiError) and error.status_code in NOT_OURS:
                logger.debug("No DAG for instance %s: %s", instance_id, error)
                return None
            logger.warning("Only the id of instance %s is known: %s.", instance_id, one_line_of(error))
        if instance.organisation_id not in (None, organisation_id) and organisation_id is not None:
            return None
        since = {} if instance.last_modified_ts is None else {instance_id: instance.last_modified_ts}
        return Inventory(organisation_id, timezone, console_url, datetime.now(UTC), (instance,), since)

    def listed_for_worker(self) -> Inventory | None:
        """An inventory from the platform, which is not kept; None, with a warning, where it cannot be asked."""
        try:
            return self._listed(None)
        except Exception as error:  # noqa: BLE001
            logger.warning(
                "The integration batches of connection %r cannot be listed: %s.",
                self.mics_conn_id,
                one_line_of(error),
            )
            return None

    def _is_fresh(self, inventory: Inventory) -> bool:
        is_of_our_zone = self.timezone in (None, inventory.timezone)
        return is_of_our_zone and abs(datetime.now(UTC) - inventory.fetched_at) < self.ttl

    def _first(self) -> Inventory:
        try:
            return self._keep(self._listed(None))
        except Exception as error:  # noqa: BLE001
            raise self._nothing_known(one_line_of(error)) from None

    def _nothing_known(self, failure: str) -> MicsError:
        return MicsError(
            f"The integration batches of connection {self.mics_conn_id!r} cannot be listed, "
            f"and there is no snapshot of them from before ({self._place}): {failure}"
        )

    def _is_of_another_platform(self, known: Inventory) -> bool:
        """Whether the connection has become that of another platform or organisation since the snapshot."""
        platform = ParseTimeClient(self.mics_conn_id, self.organisation_id)
        try:
            return not known.is_of(platform.host, platform.organisation_id)
        except Exception:  # noqa: BLE001 - a connection that cannot be read says nothing
            return False

    def _refreshed(self, known: Inventory) -> Inventory:
        failure = self._last_failure.within(PAUSE_AFTER_FAILURE, datetime.now(UTC))
        if failure is None:
            try:
                return self._keep(self._listed(known))
            except Exception as error:  # noqa: BLE001
                failure = one_line_of(error)
                if _needs_a_rest(error):
                    now = datetime.now(UTC)
                    again = f"to be asked again after {now + PAUSE_AFTER_FAILURE:%H:%M:%S} UTC"
                    self._last_failure.remember(f"{failure} ({again})", now)
        if self._is_of_another_platform(known):
            raise self._nothing_known(failure)
        logger.warning(
            "The integration batches of connection %r cannot be listed: %s. Going on with the snapshot of %s.",
            self.mics_conn_id,
            failure,
            known.fetched_at.isoformat(timespec="seconds"),
        )
        return known

    def _listed(self, known: Inventory | None) -> Inventory:
        platform = ParseTimeClient(self.mics_conn_id, self.organisation_id)
        return merged(
            platform.listing(is_urgent=known is None),
            known,
            host=platform.host,
            organisation_id=platform.organisation_id,
            timezone=self.timezone or platform.timezone,
            console_url=platform.console_url,
            fetched_at=datetime.now(UTC),
        )

    def _keep(self, inventory: Inventory) -> Inventory:
        self._last_failure.forget()
        try:
            self._place.write_bytes(inventory.to_bytes())
        except Exception as error:  # noqa: BLE001
            logger.warning("The snapshot %s cannot be written: %s.", self._place, one_line_of(error))
        return inventory

    @property
    def _last_failure(self) -> LastFailure:
        return LastFailure(self._local.with_suffix(".failed"))

    @cached_property
    def _place(self) -> SnapshotPlace:
        return snapshot_place(self.snapshot, self._local)

    @cached_property
    def _local(self) -> Path:
        snapshot = None if self.snapshot is None else str(self.snapshot)
        return local_path(self.mics_conn_id, self.organisation_id, self.timezone, snapshot)


def is_id_only(instance: Instance) -> bool:
    """Whether nothing is known of an instance but its id."""
    return instance.model_fields_set == {"id"}


def _needs_a_rest(error: Exception) -> bool:
    """Whether not each parse is to try again: a refusal takes no time, and a person may be mending it right now."""
    return not isinstance(error, MicsError) or is_outage(error) or isinstance(error, MicsTimeoutError)


T = TypeVar("T")

LONGEST_CONNECTING = 5.0

LONGEST_ASKING = 30.0

"""Seconds, where Airflow sets no limit to the import of a DAG file."""

SHARE_OF_PARSING = 1 / 3

SILENCE_LASTS = 60.0


logger = logging.getLogger(__name__)

_silent_since: dict[str, float] = {}

"""By host: when it gave no answer to this process. A file with several factories must not wait for each."""


class ParseTimeClient:
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


FOLDER = "mics"


def snapshot_place(snapshot: str | Path | None, local: Path) -> SnapshotPlace:
    """The place a user chose (a path, or a URL of an object store), by default ``local``."""
    if snapshot is None:
        return LocalFile(local)
    address = str(snapshot)
    if address.startswith("file://"):
        return LocalFile(Path(address.removeprefix("file://")))
    if "://" not in address:
        return LocalFile(Path(address).expanduser())
    return _StoredObject(address)


def local_path(*key: str | None) -> Path:
    """The file under AIRFLOW_HOME for what has this key: a connection, an organisation and so on."""
    readable = "-".join(re.sub(r"[^A-Za-z0-9_.]+", "_", part)[:60] for part in key[:2] if part)
    exact = crc32("\0".join(part or "" for part in key).encode())
    return Path(AIRFLOW_HOME, FOLDER, f"inventory-{readable}-{exact:08x}.jsonl")


class _StoredObject:
    """An object in a store; the path object is made when it is needed, since that takes long to import."""

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
