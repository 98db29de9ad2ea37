"""Whether the place of the inventory's snapshot can be written, without touching the snapshot itself."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from airflow_provider_mics.api.text import one_line
from airflow_provider_mics.core.planning.inventory import Inventory, UnreadableInventoryError
from airflow_provider_mics.doctor.checks.rows import Result, Row

CHECK = "snapshot"
PROBE = b"airflow_provider_mics.doctor: this file can be deleted\n"
MEANS = "Parsing reads the instances from it. During an outage it is all that keeps the DAGs."
ADVICE = (
    "Give the factory snapshot= a path or URL that the DAG processor may write to and every worker may read."
)


def snapshot_row(snapshot: str | None, conn_id: str | None) -> Row:
    """Write, read and delete a file beside the snapshot, and return what came of it.

    :param snapshot: a path or URL, or None for the default place, which only Airflow knows
    :param conn_id: the connection of the factory, or None without Airflow
    """
    if snapshot is None and conn_id is None:
        means = "Without a connection of Airflow, the default place is not known."
        return Row(
            CHECK, Result.UNKNOWN, "not looked for", means, "Give --snapshot PATH or URL, or --conn-id."
        )
    made: list[Path] = []
    try:
        place = _place(snapshot, conn_id)
        probe = place.parent / f".{place.name}.doctor-{os.getpid()}"
        try:
            _make_folders(place, made)
            probe.write_bytes(PROBE)
            is_intact = bytes(probe.read_bytes()) == PROBE
        finally:
            with suppress(Exception):
                probe.unlink()
            for folder in made:
                with suppress(OSError):
                    folder.rmdir()
    except ModuleNotFoundError as error:
        result = Result.UNKNOWN if error.name == "airflow" else Result.TO_DO
        found = f"{snapshot} cannot be looked at: {error}"
        return Row(
            CHECK,
            result,
            found,
            MEANS,
            "Run this where Airflow and the provider of that store are installed.",
        )
    except Exception as error:  # noqa: BLE001 - an object store raises what it likes
        found = f"{snapshot or 'the default place'} cannot be written: {one_line(f'{type(error).__name__}: {error}')}"
        return Row(CHECK, Result.TO_DO, found, MEANS, ADVICE)
    if not is_intact:
        return Row(CHECK, Result.TO_DO, f"{place} gives back other bytes than were written", MEANS, ADVICE)
    if made and snapshot is not None:
        found = f"{place} can be written by {_user()}, but its folder does not exist yet"
        means = (
            "The first refresh makes the folder. If the path is mistyped, that is where the snapshot will be."
        )
        return Row(CHECK, Result.NOTE, found, means, "Check the path.")
    found = f"{place} can be written by {_user()}: {_described(place)}"
    return Row(CHECK, Result.OK, found, MEANS + " The DAG processor's user must be able to, too.")


def _place(snapshot: str | None, conn_id: str | None) -> Any:
    """Return the path of the snapshot.

    :raises ImportError: it is a URL, and Airflow is not installed
    """
    if snapshot is not None and "://" not in snapshot:
        return Path(snapshot).expanduser()
    if snapshot is not None and snapshot.startswith("file://"):
        return Path(snapshot.removeprefix("file://"))
    if snapshot is not None:
        from airflow_provider_mics.runtime.compat import ObjectStoragePath

        return ObjectStoragePath(snapshot)
    from airflow_provider_mics.dag_factory.snapshot_store import SnapshotStore

    return SnapshotStore(None, conn_id, None, None).local_path


def _make_folders(place: Any, made: list[Path]) -> None:
    """Make the missing folders of a file, as its first snapshot would; add them to ``made``, the innermost first."""
    if not isinstance(place, Path):
        return
    for folder in reversed([each for each in (place.parent, *place.parent.parents) if not each.exists()]):
        folder.mkdir()
        made.insert(0, folder)


def _described(place: Any) -> str:
    try:
        content = bytes(place.read_bytes())
        inventory = Inventory.from_bytes(content)
    except FileNotFoundError:
        return "there is none yet"
    except UnreadableInventoryError as error:
        return f"what is there cannot be read: {error}"
    return f"of {inventory.fetched_at:%Y-%m-%d %H:%M} UTC, with {len(inventory.instances)} instances"


def _user() -> str:
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return f"user {os.getuid()}"
