"""Shards: shares of the instances, so that several small DAG files have what one large file would have."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

_FILE_NAME = re.compile(r"(?P<stem>.*?)(?P<number>\d{1,4})_of_(?P<count>\d{1,4})", re.ASCII | re.DOTALL)


@dataclass(frozen=True)
class Shard:
    """One of ``count`` shards. The first has the ``number`` 1.

    An instance's shard depends on its id alone: a new instance moves no other one.
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number} of {self.count}"

    def has(self, instance_id: str) -> bool:
        """Return whether an instance belongs to this shard."""
        digest = blake2b(instance_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest) % self.count == self.number - 1


def shard_of(owner: str, given: object) -> Shard | None:
    """Return the shard that an argument names, or None for None.

    :param owner: the function that has the argument, for the error
    :param given: ``(number, count)``, or the path of a file whose name ends in ``_<number>_of_<count>``
    :raises ValueError: it names none
    """
    if given is None:
        return None
    numbers: tuple[object, ...] = ()
    if isinstance(given, (str, Path)):
        named = _FILE_NAME.fullmatch(Path(given).stem)
        numbers = () if named is None else (int(named["number"]), int(named["count"]))
    elif isinstance(given, (tuple, list)):
        numbers = tuple(given)
    match numbers:
        case (int(number), int(count)) if not {type(number), type(count)} & {bool} and 1 <= number <= count:
            return Shard(number, count)
    raise ValueError(
        f"{owner}: shard={given!r} is not a shard: give (number, count) with a number from 1 to the count, such as "
        f"(2, 8), or __file__ of a DAG file whose name ends in the same, such as batches_2_of_8.py"
    )


def incomplete_files(file: Path, names: Iterable[str]) -> str | None:
    """Return what is wrong with the files of all shards, or None.

    :param file: the file of one shard
    :param names: the names of the files in its folder
    """
    own = _FILE_NAME.fullmatch(file.stem)
    if own is None:
        return None
    found: dict[int, set[int]] = {}
    twins: list[str] = []
    for name in sorted(names):
        other = _FILE_NAME.fullmatch(Path(name).stem) if name.endswith(file.suffix) else None
        if other is None or other["stem"] != own["stem"]:
            continue
        found.setdefault(int(other["count"]), set()).add(int(other["number"]))
        if [int(other[each]) for each in ("number", "count")] == [
            int(own[each]) for each in ("number", "count")
        ]:
            twins.append(name)
    count = int(own["count"])
    missing = set(range(1, count + 1)) - found.get(count, set())
    if missing:
        lacking = f"{own['stem']}{min(missing)}_of_{count}{file.suffix}"
        return f"{len(missing)} of {count} shards have no DAG file, so their DAGs are missing: add {lacking}"
    if len(twins) > 1:
        return f"{' and '.join(twins)} have the same DAGs: remove all but one"
    for other_count in sorted(found.keys() - {count}):
        surplus = f"{own['stem']}{min(found[other_count])}_of_{other_count}{file.suffix}"
        return f"{surplus} has DAGs that the files of {count} shards have too: remove it"
    return None
