"""Files of the inventory: replaced whole, for one user or a group of users, written by one process at a time."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol


class SnapshotStorage(Protocol):
    """Where a snapshot is kept: a `LocalFile`, or a path of an object store."""

    def read_bytes(self) -> bytes:
        """All of it; FileNotFoundError where there is none."""
        ...

    def write_bytes(self, data: bytes) -> Any:
        """Replace it by ``data``: a reader sees the old one or the new one, and nothing between."""
        ...


OWN = 0o600
"""The mode of a file for one user."""
SHARED = 0o640
"""The mode of a new file that the users of a group share."""


class LocalFile:
    """A file that is replaced whole. A symbolic link to it stays one.

    :param is_shared: whether its mode and group are whatever somebody gave it; otherwise only its owner can read it
    """

    def __init__(self, path: Path, *, is_shared: bool = False) -> None:
        self.path = path
        self._is_shared = is_shared

    def __str__(self) -> str:
        return str(self.path)

    def read_bytes(self) -> bytes:
        return self.path.read_bytes()

    def write_bytes(self, data: bytes) -> None:
        path = self.path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        # mkstemp makes it 0600, and in the same folder, so that the replacement is one step of the file system.
        number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(number, "wb") as file:
                file.write(data)
                file.flush()
                self._give_access(number, path)
                os.fsync(number)
            Path(temporary).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise

    def _give_access(self, number: int, path: Path) -> None:
        """Give a new file the mode and group of the one that it replaces, where several users share it."""
        if not self._is_shared:
            os.fchmod(number, OWN)
            return
        try:
            status = path.stat()
        except OSError:
            os.fchmod(number, SHARED)
            return
        if status.st_gid != os.fstat(number).st_gid:
            # Only a member of the group may do that; the mode still tells whom the file is for.
            with suppress(OSError):
                os.fchown(number, -1, status.st_gid)
        os.fchmod(number, stat.S_IMODE(status.st_mode))


@contextmanager
def try_lock(lock: Path) -> Iterator[bool]:
    """Whether this process alone holds the lock; another's hold ends with that process, however it ends.

    Where a file cannot be locked, everybody holds it: the worst of it is work done twice.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("ab")
    except OSError:
        yield True
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:
            pass
        yield True


@dataclass(frozen=True)
class LastFailure:
    """The last failure of something that many processes try, so that not each of them tries it at once again."""

    path: Path

    def within(self, period: timedelta, now: datetime) -> str | None:
        """What went wrong, where that was less than ``period`` ago."""
        try:
            moment, reason = self.path.read_text(encoding="utf-8").split(" ", 1)
            return reason if abs(now - datetime.fromisoformat(moment)) < period else None
        except (OSError, ValueError, TypeError):
            return None

    def remember(self, reason: str, now: datetime) -> None:
        with suppress(OSError):
            LocalFile(self.path).write_bytes(f"{now.isoformat()} {reason}".encode("utf-8", "replace"))

    def forget(self) -> None:
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
