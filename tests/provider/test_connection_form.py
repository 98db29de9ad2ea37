"""The connection form: the same fields in the React form of Airflow 3 and in the Flask form of 2.11."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow import __version__ as airflow_version

from airflow_provider_mics.hooks import MicsHook
from airflow_provider_mics.provider_info import FIELDS, PLACEHOLDERS, get_provider_info
from tests.provider.own_process import printed_by

IS_AIRFLOW_2 = airflow_version.startswith("2.")
EXTRA = [
    "timezone",
    "size_fields",
    "console_url",
    "connect_timeout",
    "read_timeout",
    "proxies",
    "verify",
]

META = """
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

[meta] = [each for each in HookMetaService.hook_meta_data() if each.connection_type == "mediarithmics"]
print("<<" + meta.model_dump_json())
"""


def test_only_used_fields_are_shown_each_with_a_label_and_help() -> None:
    assert list(FIELDS) == EXTRA
    assert all(field["label"] and field["description"].endswith(".") for field in FIELDS.values())
    behaviour = get_provider_info()["connection-types"][0]["ui-field-behaviour"]
    assert set(behaviour["hidden-fields"]) == {"schema"}
    assert behaviour["relabeling"] == {"host": "Host", "login": "Organisation id", "password": "API token"}
    assert set(behaviour["placeholders"]) == {"host", "port", "login", "password", *EXTRA}


def test_no_field_must_be_filled_in() -> None:
    assert all("null" in field["schema"]["type"] for field in FIELDS.values())


def test_a_proxy_which_may_hold_a_password_is_masked_on_the_page() -> None:
    assert [name for name, field in FIELDS.items() if field["schema"].get("format") == "password"] == [
        "proxies"
    ]


@pytest.mark.skipif(IS_AIRFLOW_2, reason="Airflow 3 draws the form from the provider's metadata")
def test_airflow_3_shows_these_fields(airflow_home: Path) -> None:
    # In a process of its own: before 3.2, what has looked at hooks earlier leaves a form without fields.
    meta = SimpleNamespace(**json.loads(printed_by(META, airflow_home)))
    assert meta.hook_name == "mediarithmics"
    assert meta.hook_class_name == "airflow_provider_mics.hooks.MicsHook"
    if airflow_version.startswith("3.0.") and not find_spec("flask_appbuilder"):
        # This line makes its form of Flask widgets, and shows a form without names where these are not installed.
        assert meta.standard_fields is meta.extra_fields is None
        return
    assert list(meta.extra_fields) == EXTRA
    standard = meta.standard_fields
    shown = {name for name, field in standard.items() if field is None or not field["hidden"]}
    assert shown == {"description", "host", "port", "login", "password"}
    assert standard["password"]["title"] == "API token"
    # Airflow opens the form with these fields only: the organisation is one that is needed.
    assert (standard["login"]["title"], standard["login"]["placeholder"]) == ("Organisation id", "1185")
    assert standard["host"]["placeholder"] == "https://api.mediarithmics.com"
    assert meta.extra_fields["proxies"]["schema"]["format"] == "password"


@pytest.mark.skipif(not IS_AIRFLOW_2, reason="Airflow 2 draws the form from the hook's methods")
def test_airflow_2_shows_these_fields() -> None:
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    widgets = [
        name
        for name, widget in manager.connection_form_widgets.items()
        if "MicsHook" in widget.hook_class_name
    ]
    assert widgets == [f"extra__mediarithmics__{name}" for name in EXTRA]
    masked = [widget.field_name for widget in manager.connection_form_widgets.values() if widget.is_sensitive]
    assert masked.count("proxies") == 1
    behaviour = manager.field_behaviours["mediarithmics"]
    assert behaviour["relabeling"]["password"] == "API token"
    assert behaviour["relabeling"]["login"] == "Organisation id"
    assert behaviour["placeholders"]["login"] == "1185"
    assert behaviour["placeholders"]["host"] == PLACEHOLDERS["host"]


@pytest.mark.skipif(not IS_AIRFLOW_2, reason="Airflow 2 draws the form from the hook's methods")
def test_the_hooks_methods_agree_with_the_metadata() -> None:
    assert list(MicsHook.get_connection_form_widgets()) == EXTRA
    assert MicsHook.get_ui_field_behaviour()["hidden_fields"] == ["schema"]


@pytest.mark.skipif(not IS_AIRFLOW_2, reason="Airflow 2 draws the form from the hook's methods")
def test_saving_the_form_of_airflow_2_keeps_the_proxy() -> None:
    from wtforms import Form

    form = type("TheForm", (Form,), MicsHook.get_connection_form_widgets())(proxies="http://u:p@proxy:3128")
    page = str(form.proxies())
    assert 'type="password"' in page
    assert 'value="http://u:p@proxy:3128"' in page
