"""Where the snapshot of an inventory is kept: at its place, and once more on the machine.

The copy serves where the place cannot be read or written, is damaged, or holds the snapshot of another factory.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from zlib import crc32

from airflow.configuration import AIRFLOW_HOME

from airflow_provider_mics.core.planning.inventory import Inventory, UnreadableInventoryError
from airflow_provider_mics.core.planning.snapshots import LastFailure, LocalFile, SnapshotStorage, try_lock
from airflow_provider_mics.dag_factory.stored_object import StoredObject
from airflow_provider_mics.dag_factory.zone_change import newest_in_other_zone
from airflow_provider_mics.runtime.failures import one_line_of

FOLDER = "mics"
"""Folder of the local snapshots, below AIRFLOW_HOME."""
ABANDONED_AFTER = timedelta(hours=1)
"""A snapshot of other settings that was not refreshed for so long may be replaced."""
logger = logging.getLogger(__name__)
_warned: set[str] = set()


class SnapshotStore:
    """The snapshot of one source.

    :param snapshot: a path or a URL, or None for a file below AIRFLOW_HOME
    :param key: the source: the connection, the organisation and the time zone, as the factory was given them
    :param is_kept_for_us: whether another process refreshes the snapshot, whatever its connection is called
    """

    def __init__(self, snapshot: str | Path | None, *key: str | None, is_kept_for_us: bool = False) -> None:
        self._is_kept_for_us = is_kept_for_us
        self.source = "|".join(part or "" for part in key)
        self._key = (*key, None if snapshot is None else str(snapshot))
        self._snapshot = snapshot

    def __str__(self) -> str:
        return str(self.storage)

    @cached_property
    def storage(self) -> SnapshotStorage:
        return snapshot_storage(self._snapshot, self.local_path)

    @cached_property
    def local_path(self) -> Path:
        return local_path(*self._key)

    @property
    def last_failure(self) -> LastFailure:
        return LastFailure(self._writable_path(".failed"))

    def memory(self, name: str) -> Path:
        """Return the path of a file on this machine for what parses have to remember."""
        return self._writable_path(f".{name}")

    def lock(self) -> AbstractContextManager[bool]:
        """Return a context whose value is whether this process alone refreshes the snapshot."""
        return try_lock(self._writable_path(".lock"))

    def is_ours(self, inventory: Inventory) -> bool:
        """Whether an inventory was made with these settings; before it was kept, this was not known."""
        return self._is_kept_for_us or inventory.source in (None, self.source)

    def read(self, only: str | None = None, has: Callable[[str], bool] | None = None) -> Inventory | None:
        """Return the newest snapshot; None if there is none that can be read.

        Lines that cannot be read are filled in from the other one of snapshot and copy.

        :param only: the id of the only instance to read
        :param has: whether the instance with an id is to be read; by default all are
        """
        contents = [(self.storage, self._content_of(self.storage))]
        contents += [(copy, self._content_of(copy, is_copy=True)) for copy in self._copies()]
        headers = [each for each in (_with_header(*content) for content in contents) if each is not None]
        if not self._is_kept_for_us:  # or else the snapshot is the same for all, and a copy is not
            headers.sort(key=lambda each: (self.is_ours(each[0]), each[0].fetched_at), reverse=True)
        if not headers:
            return None
        if only is not None:
            readable = [Inventory.of_one(content, only) for _, content in headers]
            return next((each for each in readable if self.is_ours(each) and each.get(only)), readable[0])
        newest, *others = (content for _, content in headers)
        inventory = Inventory.from_bytes(newest, has)
        if inventory.unreadable_lines == 0:
            return inventory
        return self._mended(inventory, (Inventory.from_bytes(each, has) for each in others))

    def why_unreadable(self) -> str | None:
        """Return why the snapshot cannot be read, or None if it does not exist or can be read."""
        try:
            Inventory.of_header(self.storage.read_bytes())
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001 - whatever an object store raises
            return one_line_of(error)
        return None

    def goes_on_from(self, known: Inventory | None, patience: timedelta) -> Inventory | None:
        """Return what the next refresh goes on from: ``known``, or what was kept since in another time zone.

        Each time zone has a snapshot of its own, as two factories may use two. Where only the zone was changed, its
        ticks must not be those of before the change.

        :param known: the last snapshot of these settings
        :param patience: how much older it is where it is no longer kept
        """
        if known is not None and datetime.now(UTC) - known.fetched_at <= patience:
            return known
        other = self._newest_in_other_zone()
        if other is None:
            return known
        if known is not None:
            is_kept = other.fetched_at - known.fetched_at <= patience
            if is_kept or not other.is_of(known.host or "", known.organisation_id):
                return known
        return other

    def save(self, inventory: Inventory) -> None:
        """Write the snapshot and its copy. A failure is a warning, the first time in this process."""
        content = inventory.to_bytes()
        if not self._is_taken:
            try:
                self.storage.write_bytes(content)
            except Exception as error:  # noqa: BLE001
                self._warn_once(f"Could not write snapshot {self.storage}: {one_line_of(error)}.")
        self._write_copy(content)

    def write(self, inventory: Inventory) -> None:
        """Write the snapshot and no copy.

        :raises Exception: it cannot be written
        """
        self.storage.write_bytes(inventory.to_bytes())

    def keep_copy(self) -> None:
        """Make the copy the same as the snapshot, if all of that can be read."""
        content = self._content_of(self.storage, is_copy=True)
        if content is None or any(self._content_of(copy, is_copy=True) == content for copy in self._copies()):
            return
        with suppress(UnreadableInventoryError):
            if Inventory.from_bytes(content).unreadable_lines == 0:
                self._write_copy(content)

    def _write_copy(self, content: bytes) -> None:
        for copy in self._copies(is_to_write=True):
            try:
                copy.write_bytes(content)
            except OSError:
                continue
            return

    @property
    def _is_taken(self) -> bool:
        """Whether a factory with other settings keeps its snapshot at this place."""
        header = _with_header(self.storage, self._content_of(self.storage, is_copy=True), is_logged=False)
        if header is None or self.is_ours(header[0]):
            return False
        if abs(datetime.now(UTC) - header[0].fetched_at) > ABANDONED_AFTER:
            return False
        self._warn_once(
            f"Snapshot {self.storage} is of a factory with another connection, organisation or time zone. "
            f"This one keeps its own ({self._copies()[0]}). Give each factory its own snapshot=."
        )
        return True

    def _content_of(self, storage: SnapshotStorage, *, is_copy: bool = False) -> bytes | None:
        try:
            return storage.read_bytes()
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001
            if not is_copy:
                logger.warning("Could not read snapshot %s: %s.", storage, one_line_of(error))
            return None

    def _mended(self, inventory: Inventory, others: Iterable[Inventory]) -> Inventory:
        logger.warning(
            "Snapshot %s is damaged: %d of its lines cannot be read.",
            self.storage,
            inventory.unreadable_lines,
        )
        for other in others:
            if self.is_ours(other) and other.is_of(inventory.host or "", inventory.organisation_id):
                inventory = inventory.filled_in_from(other)
        return inventory

    def _warn_once(self, message: str) -> None:
        if message not in _warned:
            _warned.add(message)
            logger.warning("%s", message)

    def _newest_in_other_zone(self) -> Inventory | None:
        pattern = f"{self.local_path.name.rpartition('-')[0]}-*.jsonl*"
        folders = self.local_path.parent, _temporary_folder(is_to_write=False)
        paths = [path for folder in folders if folder is not None for path in sorted(folder.glob(pattern))]
        contents = ((path.name, self._content_of(LocalFile(path), is_copy=True)) for path in paths)
        *source, _, snapshot = self._key
        return newest_in_other_zone(
            self.source, contents, lambda zone: local_path(*source, zone, snapshot).name
        )

    def _copies(self, *, is_to_write: bool = False) -> list[LocalFile]:
        """Return where the copy can be: below AIRFLOW_HOME, or else in a folder for temporary files."""
        folders = self.local_path.parent, _temporary_folder(is_to_write=is_to_write)
        return [
            LocalFile(folder / f"{self.local_path.name}.copy") for folder in folders if folder is not None
        ]

    def _writable_path(self, suffix: str) -> Path:
        folder = self.local_path.parent
        if not _is_writable(folder):
            folder = _temporary_folder(is_to_write=True) or folder
        return (folder / self.local_path.name).with_suffix(suffix)


def _with_header(
    storage: SnapshotStorage, content: bytes | None, *, is_logged: bool = True
) -> tuple[Inventory, bytes] | None:
    """Return what the header of a snapshot says, and the snapshot; None, with a warning, if it cannot be read."""
    if content is None:
        return None
    try:
        return Inventory.of_header(content), content
    except UnreadableInventoryError as error:
        if is_logged:
            logger.warning("Ignoring snapshot %s: %s.", storage, error)
        return None


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _temporary_folder(*, is_to_write: bool) -> Path | None:
    """Return a folder for temporary files that nobody else can write to, or None if there is none."""
    folder = Path(tempfile.gettempdir(), f"airflow-{FOLDER}-{os.getuid()}")
    try:
        if is_to_write:
            folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return None
    is_private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    return folder if is_private else None


def snapshot_storage(snapshot: str | Path | None, default: Path) -> SnapshotStorage:
    """Return where a snapshot is kept: at a path or URL, or in the file ``default``."""
    if snapshot is None:
        return LocalFile(default)
    address = str(snapshot)
    if address.startswith("file://"):
        return LocalFile(Path(address.removeprefix("file://")), is_shared=True)
    if "://" not in address:
        return LocalFile(Path(address).expanduser(), is_shared=True)
    return StoredObject(address)


def local_path(*key: str | None) -> Path:
    """Return the file below AIRFLOW_HOME for a key: the connection, the organisation, and so on."""
    readable = "-".join(re.sub(r"[^A-Za-z0-9_.]+", "_", part)[:60] for part in key[:2] if part)
    exact = crc32("\0".join(part or "" for part in key).encode())
    return Path(AIRFLOW_HOME, FOLDER, f"inventory-{readable}-{exact:08x}.jsonl")
