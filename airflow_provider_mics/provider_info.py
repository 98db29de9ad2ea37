"""What Airflow's provider discovery asks for. Every Airflow process calls it, so it imports next to nothing."""

from __future__ import annotations

from typing import Any

from airflow_provider_mics import __version__

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


HIDDEN_FIELDS = ["schema", "login"]

"""The port is not hidden: Airflow 3.3's list of connections tests none that has no port, it takes it for port 0."""

RELABELING = {"host": "Host", "password": "API token"}

PLACEHOLDERS = {
    "host": "https://api.mediarithmics.com",
    "port": "443",
    "password": "the API token, as the platform shows it",
    "organisation_id": "1185",
    "timezone": "UTC",
    "size_fields": "documented",
    "console_url": "https://computing-console.mediarithmics.com",
    "connect_timeout": "10",
    "read_timeout": "60",
    "proxies": "http://proxy:3128",
    "verify": "true",
}

FIELDS: dict[str, dict[str, Any]] = {
    "organisation_id": {
        "label": "Organisation id",
        "description": "The organisation whose integration batches are meant where none is named.",
        "schema": {"type": ["string", "null"]},
    },
    "timezone": {
        "label": "Time zone of crons",
        "description": "The time zone in which the platform reads crons (IANA name); UTC when empty.",
        "schema": {"type": ["string", "null"]},
    },
    "size_fields": {
        "label": "Size spelling",
        "description": "How container sizes are written: as the vendor's documentation or as its console does.",
        "schema": {"type": ["string", "null"], "enum": ["documented", "console"]},
    },
    "console_url": {
        "label": "Console URL",
        "description": "Where links to instances lead.",
        "schema": {"type": ["string", "null"]},
    },
    "connect_timeout": {
        "label": "Connect timeout (s)",
        "description": "Seconds to connect; 10 when empty.",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
    },
    "read_timeout": {
        "label": "Read timeout (s)",
        "description": "Seconds for a whole answer; 60 when empty.",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
    },
    "proxies": {
        "label": "Proxy",
        "description": "A proxy URL, or a JSON object by scheme; the environment's when empty.",
        # Its address may hold a password.
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "verify": {
        "label": "Verify TLS",
        "description": "true, false, or the path of a CA bundle; true when empty.",
        "schema": {"type": ["string", "null"]},
    },
}


def field_behaviour(*, for_metadata: bool = False) -> dict[str, Any]:
    """Which fields show and what they are called, spelled for the metadata or for the hook's method."""
    hidden = "hidden-fields" if for_metadata else "hidden_fields"
    return {hidden: HIDDEN_FIELDS, "relabeling": RELABELING, "placeholders": PLACEHOLDERS}


def form_widgets() -> dict[str, Any]:
    """The extra fields as widgets, for Airflow before 3.2, which draws the form with Flask."""
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from wtforms import PasswordField, StringField

    masked = BS3PasswordFieldWidget()
    # A field that hides its value comes back empty when the form is saved, and Airflow then deletes what it was.
    masked.hide_value = False
    kinds = {None: (StringField, BS3TextFieldWidget()), "password": (PasswordField, masked)}
    widgets = {}
    for name, field in FIELDS.items():
        kind, widget = kinds[field["schema"].get("format")]
        widgets[name] = kind(field["label"], description=field["description"], widget=widget)
    return widgets
