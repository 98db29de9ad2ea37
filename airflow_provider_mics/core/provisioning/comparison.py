"""Compare a resource with its wanted values, with a diff for the log: ``cron: None -> '30 5 * * 1,6'``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.text import clean_text

_SENSITIVE = re.compile(
    r"passw|passphrase|secret|token|api_?key|credential|private_?key|authorization", re.IGNORECASE
)
TEXT_EXAMPLES: Mapping[str, str] = {
    "group_id": "com.acme.batches",
    "artifact_id": "crm-import",
    "name": "nightly import",
    "plugin_type": "INTEGRATION_BATCH",
    "provider": "mediarithmics",
    "version": "1.0.0",
}


@dataclass(frozen=True)
class Difference:
    """The current and the wanted value of a field or property; its text masks what is named like a secret."""

    name: str
    before: Any
    after: Any

    def __str__(self) -> str:
        if _SENSITIVE.search(self.name):
            return f"{self.name}: *** -> ***"
        return f"{self.name}: {self.before!r} -> {self.after!r}"


def differences(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Difference]:
    """Return the fields of ``wanted`` that have another value in ``current``; a missing field is None."""
    return [
        Difference(name, current.get(name), value)
        for name, value in wanted.items()
        if not is_equivalent(current.get(name), value)
    ]


def is_equivalent(current: Any, wanted: Any) -> bool:
    """Whether the platform has the wanted value; further keys of an object do not matter.

    A number may come back as text, as ids do; true and 1 are not the same.
    """
    if isinstance(wanted, Mapping):
        return isinstance(current, Mapping) and all(
            is_equivalent(current.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, bool) or isinstance(current, bool):
        return current is wanted
    if isinstance(wanted, str) != isinstance(current, str):
        return wanted is not None and current is not None and str(current) == str(wanted)
    return bool(current == wanted)


def format_differences(found: Iterable[Difference]) -> str:
    """Return all differences on one line."""
    return "; ".join(str(each) for each in found)


def checked_text(argument: str, value: Any) -> str:
    """Return a text without leading and trailing spaces, which the platform cuts off.

    A number is accepted as its text: native rendering makes one of ``"42"``. The text ``None`` is refused: it is what
    a template makes of a missing value, and the API cannot delete a plugin of that name.

    :param argument: the name of the argument, for the error; one of `TEXT_EXAMPLES`
    :raises MicsError: the value is not text, is empty, or holds characters that are replaced when it is read again
    """
    is_text = isinstance(value, (str, int)) and not isinstance(value, bool)
    text = str(value).strip() if is_text else ""
    if text in ("", "None"):
        problem = "is empty" if is_text or value is None else "is not text"
        raise MicsError(f"{argument} {value!r} {problem}: give a text, such as {TEXT_EXAMPLES[argument]!r}")
    if clean_text(text) != text:
        raise MicsError(
            f"{argument} {value!r} holds a control character or half of a character: give a text, "
            f"such as {TEXT_EXAMPLES[argument]!r}"
        )
    return text


def checked_texts(**arguments: Any) -> tuple[str, ...]:
    """Return several arguments checked by `checked_text`, in the given order.

    :raises MicsError: a value is not text, or is empty
    """
    return tuple(checked_text(argument, value) for argument, value in arguments.items())
