"""What is otherwise than wanted, for a log that a person reads: ``cron: None -> '30 5 * * 1,6'``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_SENSITIVE = re.compile(
    r"passw|passphrase|secret|token|api_?key|credential|private_?key|authorization", re.IGNORECASE
)


@dataclass(frozen=True)
class Difference:
    """One field or property, as it is and as it is wanted; what sounds like a secret is not shown."""

    name: str
    before: Any
    after: Any

    def __str__(self) -> str:
        if _SENSITIVE.search(self.name):
            return f"{self.name}: *** -> ***"
        return f"{self.name}: {self.before!r} -> {self.after!r}"


def differences(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Difference]:
    """The fields of ``wanted`` that are otherwise in ``current``; a missing field is None."""
    return [
        Difference(name, current.get(name), value)
        for name, value in wanted.items()
        if not alike(current.get(name), value)
    ]


def alike(current: Any, wanted: Any) -> bool:
    """Whether the platform holds what is wanted; what it holds beyond that does not matter.

    A number may come back as text, as ids do; true and 1 are not the same.
    """
    if isinstance(wanted, Mapping):
        return isinstance(current, Mapping) and all(
            alike(current.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, bool) or isinstance(current, bool):
        return current is wanted
    if isinstance(wanted, str) != isinstance(current, str):
        return wanted is not None and current is not None and str(current) == str(wanted)
    return bool(current == wanted)


def told(found: Iterable[Difference]) -> str:
    """All differences on one line."""
    return "; ".join(str(each) for each in found)
