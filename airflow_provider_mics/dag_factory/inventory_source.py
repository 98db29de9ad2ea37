"""Where the DAG factory gets its inventory from: a snapshot, which is refreshed from time to time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from airflow_provider_mics.api.errors import MicsError, MicsTimeoutError
from airflow_provider_mics.api.outages import is_outage
from airflow_provider_mics.core.planning.inventory import Inventory
from airflow_provider_mics.core.planning.inventory_updates import updated_inventory
from airflow_provider_mics.dag_factory.parse_time_client import NoTimeLeftError, ParseTimeClient
from airflow_provider_mics.dag_factory.snapshot_store import ABANDONED_AFTER, SnapshotStore
from airflow_provider_mics.runtime.failures import one_line_of

RETRY_DELAY = timedelta(seconds=60)
"""How long no parse sends a request after one has failed."""
OUTDATED_AFTER = timedelta(hours=1)
"""Age at which a snapshot that another process refreshes is warned of."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InventorySource:
    """The inventory of one connection.

    ``organisation_id`` and ``timezone`` replace those of the connection. ``snapshot`` is a path or a URL, or None for
    a file below AIRFLOW_HOME. A snapshot older than ``ttl`` is refreshed; if that is None, another process does it.
    """

    mics_conn_id: str
    organisation_id: str | None = None
    timezone: str | None = None
    snapshot: str | Path | None = None
    ttl: timedelta | None = timedelta(minutes=5)

    def current(self, has: Callable[[str], bool] | None = None) -> Inventory:
        """Return the snapshot, refreshed if it is too old; during an outage the last one, however old.

        :param has: whether the instance with an id is needed: others may be left out
        :raises MicsError: the instances cannot be listed, and there is no earlier snapshot
        """
        known = self.read(has=has)
        if self.ttl is None:
            return self._kept_for_us(known)
        if known is not None and self._is_fresh(known, self.ttl):
            return known
        patience = self.ttl + ABANDONED_AFTER
        known = self.store.goes_on_from(known if has is None else self.read(), patience)
        with self.store.lock() as has_lock:
            if known is None or known.is_empty_start:
                return self._fetch_first(known)
            if not has_lock:
                return self._in_our_timezone(known)
            known = self.store.goes_on_from(self.read(), patience) or known
            return known if self._is_fresh(known, self.ttl) else self._refresh(known)

    def read(self, only: str | None = None, has: Callable[[str], bool] | None = None) -> Inventory | None:
        """Return the snapshot, or None if there is no usable one.

        :param only: the id of the only instance to read
        :param has: whether the instance with an id is to be read; by default all are
        """
        inventory = self.store.read(only, has)
        if inventory is not None and self.organisation_id not in (None, inventory.organisation_id):
            logger.warning(
                "Ignoring snapshot %s: it is of organisation %s, not of %s.",
                self.store,
                inventory.organisation_id,
                self.organisation_id,
            )
            return None
        return inventory

    def fetched_for_worker(self) -> Inventory | None:
        """Return the platform's inventory without saving it, or None, with a warning, if it cannot be listed."""
        try:
            inventory, failure = self._fetch(None)
            if failure is not None:
                raise failure
        except Exception as error:  # noqa: BLE001
            logger.warning("%s: %s.", self._cannot_list, one_line_of(error))
            return None
        return inventory

    def _kept_for_us(self, known: Inventory | None) -> Inventory:
        """Return the snapshot, which another process refreshes, after it was copied for an outage of its store.

        :raises MicsError: there is none, or it was made in another time zone
        """
        if known is None:
            unreadable = self.store.why_unreadable()
            if unreadable is not None:
                raise MicsError(
                    f"Snapshot {self.store} cannot be read: {unreadable}. snapshot_ttl=None says that no parse asks "
                    f"the platform instead: let the user of this process read it, or have it written anew"
                )
            raise MicsError(
                f"There is no snapshot {self.store}, and snapshot_ttl=None says that no parse asks the platform: "
                f"inventory_refresh_dag(...), in a DAG file of its own, writes it"
            )
        if self.timezone not in (None, known.timezone):
            raise MicsError(
                f"Snapshot {self.store} is in the time zone {known.timezone}, not in {self.timezone}: give "
                f"inventory_refresh_dag(...) the same timezone="
            )
        self.store.keep_copy()
        age = datetime.now(UTC) - known.fetched_at
        if age > OUTDATED_AFTER:
            logger.warning(
                "Snapshot %s is of %s, %d minutes ago: see the runs of its refresh DAG.",
                self.store,
                known.fetched_at.isoformat(timespec="seconds"),
                age.total_seconds() // 60,
            )
        return known

    def _is_fresh(self, inventory: Inventory, ttl: timedelta) -> bool:
        return (
            self.store.is_ours(inventory)
            and self.timezone in (None, inventory.timezone)
            and inventory.unfinished is None
            and inventory.unreadable_lines == 0
            and abs(datetime.now(UTC) - inventory.fetched_at) < ttl
        )

    def _fetch_first(self, known: Inventory | None) -> Inventory:
        try:
            inventory = self._fetch_and_save(known)
        except Exception as error:  # noqa: BLE001
            raise self._no_inventory(one_line_of(error)) from None
        if inventory.is_empty_start:
            raise self._no_inventory(
                "a page of the list took too long; the next parse asks for a smaller one"
            )
        if inventory.unfinished is not None:
            logger.warning(
                "The list of connection %r is long: %d integration batches so far. The next parse reads on.",
                self.mics_conn_id,
                len(inventory.instances),
            )
        return inventory

    def _refresh(self, known: Inventory) -> Inventory:
        failure = self.store.last_failure.within(RETRY_DELAY, datetime.now(UTC))
        if failure is None:
            try:
                return self._fetch_and_save(known)
            except Exception as error:  # noqa: BLE001
                failure = one_line_of(error)
                if _delays_next_request(error):
                    now = datetime.now(UTC)
                    self.store.last_failure.remember(
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
        return self._in_our_timezone(known)

    def _in_our_timezone(self, known: Inventory) -> Inventory:
        """Return a snapshot that was made in another time zone: in ours, each schedule is in force since now."""
        timezone = self._timezone_for(known)
        if timezone == known.timezone:
            return known
        since = dict.fromkeys(known.schedule_since, datetime.now(UTC))
        source = self.store.source
        changed = replace(known, timezone=timezone, schedule_since=since, source=source)
        self.store.save(changed)
        return changed

    def _timezone_for(self, known: Inventory) -> str:
        """Return our time zone; that of the snapshot, if it was made with our settings, or if ours is not known."""
        if self.timezone is not None or self.store.is_ours(known):
            return self.timezone or known.timezone
        try:
            return self._client.timezone
        except Exception:  # noqa: BLE001 - a connection that cannot be read says nothing of its zone
            return known.timezone

    def _fetch_and_save(self, known: Inventory | None) -> Inventory:
        """List the instances, and save what came of it.

        :raises MicsError: nothing new was read
        """
        inventory, failure = self._fetch(known)
        self.store.save(inventory)
        if failure is not None:
            raise failure
        self.store.last_failure.forget()
        return inventory

    def _fetch(self, known: Inventory | None) -> tuple[Inventory, MicsError | None]:
        """List the instances, and carry over what only the snapshot knows; also return why nothing new was read."""
        client = self._client
        listing = client.listing(known, is_urgent=known is None or known.is_empty_start)
        inventory = updated_inventory(
            known,
            listing,
            host=client.host,
            organisation_id=client.organisation_id,
            timezone=self.timezone or client.timezone,
            console_url=client.console_url,
            fetched_at=datetime.now(UTC),
            source=self.store.source,
        )
        return inventory, listing.failure

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
        return MicsError(f"{self._cannot_list}, and there is no earlier snapshot ({self.store}): {failure}")

    @property
    def _client(self) -> ParseTimeClient:
        return ParseTimeClient(self.mics_conn_id, self.organisation_id)

    @cached_property
    def store(self) -> SnapshotStore:
        key = self.mics_conn_id, self.organisation_id, self.timezone
        return SnapshotStore(self.snapshot, *key, is_kept_for_us=self.ttl is None)


def _delays_next_request(error: Exception) -> bool:
    """Whether the next parses send no request. After a refusal they do: it is quick, and a user may be fixing it."""
    if isinstance(error, NoTimeLeftError):
        return False
    return not isinstance(error, MicsError) or is_outage(error) or isinstance(error, MicsTimeoutError)
