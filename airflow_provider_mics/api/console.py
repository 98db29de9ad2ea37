"""The platform's web pages for people (as the vendor's own web client has them)."""

from __future__ import annotations

DEFAULT_CONSOLE_URL = "https://computing-console.mediarithmics.com"


def instance_page(console_url: str, organisation_id: str, instance_id: str) -> str:
    """The page of an instance, with its executions; an execution has no page of its own."""
    return f"{console_url.rstrip('/')}/#/o/{organisation_id}/jobs/integration_batch_instances/{instance_id}"


def plugin_page(console_url: str, organisation_id: str, plugin_id: str) -> str:
    """The page of a plugin, with its versions."""
    return f"{console_url.rstrip('/')}/#/o/{organisation_id}/plugins/{plugin_id}"
