"""Another time zone begins another snapshot; the one before it says which schedules are not new."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from airflow_provider_mics.core.planning.inventory import Inventory, UnreadableInventoryError


def newest_in_other_zone(
    source: str, contents: Iterable[tuple[str, bytes | None]], name_for: Callable[[str], str]
) -> Inventory | None:
    """Return the newest snapshot whose settings differ by their time zone only, or None.

    :param source: our settings, of which the time zone is the last
    :param contents: names and contents of snapshots and copies on this machine
    :param name_for: gives the name of the snapshot of our settings with another time zone
    """
    ours, _, _ = source.rpartition("|")
    found = []
    for name, content in contents:
        header = None if content is None else _header(content)
        theirs, _, zone = ("" if header is None else header.source or "").rpartition("|")
        if header is None or header.source == source or theirs != ours:
            continue
        # Of two snapshots that a user named, one does not go on from the other.
        if content is not None and name.removesuffix(".copy") == name_for(zone):
            found.append((header.fetched_at, content))
    return Inventory.from_bytes(max(found)[1]) if found else None


def _header(content: bytes) -> Inventory | None:
    try:
        return Inventory.of_header(content)
    except UnreadableInventoryError:
        return None
