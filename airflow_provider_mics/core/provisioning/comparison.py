"""What is otherwise than wanted, for a log that a person reads: ``cron: None -> '30 5 * * 1,6'``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_mics.api.errors import MicsError

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


EXAMPLES: Mapping[str, str] = {
    "group_id": "com.acme.batches",
    "artifact_id": "crm-import",
    "name": "nightly import",
    "plugin_type": "INTEGRATION_BATCH",
    "provider": "mediarithmics",
    "version": "1.0.0",
}


def checked_text(what: str, value: Any) -> str:
    """A text without outer spaces, which the platform cuts off; ``what`` names the argument in the error.

    A number is the text that it shows: native rendering makes one of ``"42"``. ``None`` as text is refused, since
    it is what a template makes of nothing, and a plugin that is called so cannot be deleted.

    :raises MicsError: it is no text, or one that says nothing
    """
    is_text = isinstance(value, (str, int)) and not isinstance(value, bool)
    text = str(value).strip() if is_text else ""
    if text in ("", "None"):
        problem = "says nothing" if is_text or value is None else "is not a text"
        raise MicsError(f"{what} {value!r} {problem}: give a text, such as {EXAMPLES[what]!r}")
    return text


def single_spaced(cron: Any) -> Any:
    """A cron as the platform and a person would both write it: its fields with one space between."""
    return " ".join(cron.split()) if isinstance(cron, str) else cron
