"""The texts that name a resource, after a template may have made anything of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_mics.api.errors import MicsError

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
