"""A snapshot in an object store, which DAG processors and workers on several machines share."""

from __future__ import annotations

from typing import Any


class StoredObject:
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
        from airflow_provider_mics.runtime.compat import ObjectStoragePath

        return ObjectStoragePath(self._url)
