"""Metadata for Airflow's provider discovery, and the connection form.

Every Airflow process imports this module, so it imports nothing but the version.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_mics import __version__

INTEGRATION = "mediarithmics"
PACKAGE = "airflow_provider_mics"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, with the keys of all lines from 2.11 to 3.3; Airflow ignores unknown keys."""
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
        "triggers": [_modules("triggers", "tick_triggers", "outage_triggers", "asset_triggers")],
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


def _modules(*names: str) -> dict[str, Any]:
    return {"integration-name": INTEGRATION, "python-modules": [f"{PACKAGE}.{name}" for name in names]}


HIDDEN_FIELDS = ["schema"]
"""The port is shown: the list of connections of Airflow 3.3 cannot test one without a port, which it sends as 0."""
RELABELING = {"host": "Host", "login": "Organisation id", "password": "API token"}
"""The form of Airflow 3 opens with the standard fields only, so the organisation, which is needed, is one of them."""
PLACEHOLDERS = {
    "host": "https://api.mediarithmics.com",
    "port": "443",
    "login": "1185",
    "password": "the API token, as the platform shows it",
    "timezone": "UTC",
    "size_fields": "documented",
    "console_url": "https://computing-console.mediarithmics.com",
    "connect_timeout": "10",
    "read_timeout": "60",
    "proxies": "http://proxy:3128",
    "verify": "true",
}
ORGANISATION_KEY = "organisation_id"
"""The extra's key for the organisation: it comes before the form's field."""
FIELDS: dict[str, dict[str, Any]] = {
    "timezone": {
        "label": "Time zone of crons",
        "description": "The time zone in which the platform reads crons (IANA name); UTC when empty.",
        "schema": {"type": ["string", "null"]},
    },
    "size_fields": {
        "label": "Size spelling",
        "description": "Spelling of container sizes in requests: that of the vendor's documentation or of its console.",
        "schema": {"type": ["string", "null"], "enum": ["documented", "console"]},
    },
    "console_url": {
        "label": "Console URL",
        "description": "Base URL of links to instances and plugins.",
        "schema": {"type": ["string", "null"]},
    },
    "connect_timeout": {
        "label": "Connect timeout (s)",
        "description": "Seconds to connect; 10 when empty.",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
    },
    "read_timeout": {
        "label": "Read timeout (s)",
        "description": "Seconds for a whole response; 60 when empty.",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
    },
    "proxies": {
        "label": "Proxy",
        "description": "A proxy URL, or a JSON object by scheme; the environment's when empty.",
        # The address may contain a password.
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "verify": {
        "label": "Verify TLS",
        "description": "true, false, or the path of a CA bundle; true when empty.",
        "schema": {"type": ["string", "null"]},
    },
}


def field_behaviour(*, for_metadata: bool = False) -> dict[str, Any]:
    """Return which fields the form shows and their labels, spelled for the metadata or for the hook's method."""
    hidden = "hidden-fields" if for_metadata else "hidden_fields"
    return {hidden: HIDDEN_FIELDS, "relabeling": RELABELING, "placeholders": PLACEHOLDERS}


def form_widgets() -> dict[str, Any]:
    """Return the extra fields as Flask widgets, for Airflow before 3.2."""
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from wtforms import PasswordField, StringField

    masked = BS3PasswordFieldWidget()
    # With a hidden value the form is saved with an empty field, and Airflow then deletes the stored value.
    masked.hide_value = False
    kinds = {None: (StringField, BS3TextFieldWidget()), "password": (PasswordField, masked)}
    widgets = {}
    for name, field in FIELDS.items():
        kind, widget = kinds[field["schema"].get("format")]
        widgets[name] = kind(field["label"], description=field["description"], widget=widget)
    return widgets
