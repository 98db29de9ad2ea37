"""What a process has learned of the platform's lists, so that it looks for their newest items at the right end."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

MOST_LISTS = 10_000
"""Lists that are remembered; the one that was read longest ago is forgotten first. About 300 bytes each."""


@dataclass(frozen=True)
class KnownList:
    """A list that had its newest items last. All of it is a hint: the next reading checks it against what it gets.

    :param length: the offset of its end
    :param width: the largest page that the platform gave
    """

    length: int
    width: int


class ListHistory:
    """What is known of each list that has its newest items last, by its path. Shared by the clients of one host."""

    def __init__(self) -> None:
        self._lists: OrderedDict[str, KnownList] = OrderedDict()
        self._notes: OrderedDict[str, Any] = OrderedDict()

    def get(self, path: str) -> KnownList | None:
        """Return what is known of a list; None where its newest items are not last, or where nothing is known."""
        return self._lists.get(path)

    def learn(self, path: str, known: KnownList) -> None:
        """Remember what a reading has shown."""
        _put(self._lists, path, known)

    def forget(self, path: str) -> None:
        """Forget a list that was not as it was known."""
        self._lists.pop(path, None)

    def note(self, path: str, value: Any) -> None:
        """Remember what a reader of a list has found out from its items."""
        _put(self._notes, path, value)

    def noted(self, path: str) -> Any:
        """Return what was noted of a list, or None."""
        return self._notes.get(path)


def _put(bounded: OrderedDict[str, Any], path: str, value: Any) -> None:
    bounded[path] = value
    bounded.move_to_end(path)
    while len(bounded) > MOST_LISTS:
        bounded.popitem(last=False)
