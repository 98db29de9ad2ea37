"""What Airflow's provider discovery asks for. Every Airflow process calls it, so it imports next to nothing."""

from __future__ import annotations

from typing import Any

from airflow_provider_mics import __version__
from airflow_provider_mics.connection_form import FIELDS, field_behaviour

INTEGRATION = "mediarithmics"
PACKAGE = "airflow_provider_mics"


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata, with the keys of every Airflow from 2.11 to 3.3; each takes those it knows."""
    return {
        "package-name": "airflow-provider-mics",
        "name": "mediarithmics",
        "description": "Run mediarithmics integration batches: on time, exactly once, visible.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": INTEGRATION,
                "external-doc-url": "https://developer.mediarithmics.io/",
                "tags": ["service"],
            }
        ],
        "operators": [_modules("operators")],
        "sensors": [_modules("sensors")],
        "hooks": [_modules("hooks")],
        "triggers": [_modules("triggers")],
        "connection-types": [
            {
                "connection-type": "mediarithmics",
                "hook-class-name": f"{PACKAGE}.hooks.MicsHook",
                "hook-name": "mediarithmics",
                "ui-field-behaviour": field_behaviour(for_metadata=True),
                "conn-fields": FIELDS,
            }
        ],
        "extra-links": [f"{PACKAGE}.links.MicsInstanceLink", f"{PACKAGE}.links.MicsPluginLink"],
    }


def _modules(name: str) -> dict[str, Any]:
    return {"integration-name": INTEGRATION, "python-modules": [f"{PACKAGE}.{name}"]}
