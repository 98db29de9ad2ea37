"""Where snapshots of the inventory are: a file under AIRFLOW_HOME, or wherever a URL says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from zlib import crc32

from airflow.configuration import AIRFLOW_HOME

from airflow_provider_mics.planning.snapshots import LocalFile, SnapshotPlace

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
