"""Pages of the vendor's web client, for people.

Source: its routes (``jobRoutes.ts``), https://github.com/mnguyen-mics/mcu-nx
"""

from __future__ import annotations

DEFAULT_CONSOLE_URL = "https://computing-console.mediarithmics.com"


def instance_page(console_url: str, organisation_id: str, instance_id: str) -> str:
    """Return the URL of an instance's page, which lists its executions. An execution has no page of its own."""
    return f"{console_url.rstrip('/')}/#/o/{organisation_id}/jobs/integration_batch_instances/{instance_id}"


def plugin_page(console_url: str, organisation_id: str, plugin_id: str) -> str:
    """Return the URL of a plugin's page, which lists its versions."""
    return f"{console_url.rstrip('/')}/#/o/{organisation_id}/plugins/{plugin_id}"
