"""What the plugin of Airflow has of the page: on Airflow 3.1 and later all of it, before that nothing."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from airflow_provider_mics.page.registration import is_supported, log_why_not, plugin_attributes
from airflow_provider_mics.plugin import MicsPlugin
from local_airflow.components import HAS_PAGES


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.11.2", False), ("3.0.6", False), ("3.1.0", True), ("3.1.0rc1", True), ("3.3.2", True), ("3.10.0", True),
        ("4.0.0", True), ("unknown", False), ("3", False),
    ],
)  # fmt: skip
def test_versions(version: str, expected: bool) -> None:
    assert is_supported(version) == expected
    assert bool(plugin_attributes(version, None)) == expected


def test_links_have_the_path_of_airflow() -> None:
    def addresses(base_url: str | None) -> list[str]:
        views = plugin_attributes("3.3.2", base_url)["external_views"]
        return [view[key] for view in views for key in ("href", "icon", "icon_dark_mode")]

    assert addresses(None)[0] == "/mediarithmics/"
    assert addresses("http://127.0.0.1:8080") == addresses(None)
    assert all(
        each.startswith("/team/airflow/mediarithmics/") for each in addresses("https://x/team/airflow/")
    )
    assert "{DAG_ID}" in addresses(None)[3]


def test_the_plugin_has_the_page_where_airflow_can_show_it() -> None:
    apps, views = getattr(MicsPlugin, "fastapi_apps", []), getattr(MicsPlugin, "external_views", [])
    assert [each["url_prefix"] for each in apps] == (["/mediarithmics"] if HAS_PAGES else [])
    assert [each["destination"] for each in views] == (["nav", "dag"] if HAS_PAGES else [])


def test_the_log_says_once_why_there_is_no_page(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    log_why_not("3.3.2")
    assert caplog.records == []
    log_why_not("3.0.6")
    [record] = caplog.records
    assert record.levelno == logging.DEBUG
    assert record.getMessage().endswith("needs Airflow 3.1 or later; this is 3.0.6.")


def test_neither_the_plugin_nor_the_factory_loads_the_page() -> None:
    program = (
        "import json, sys; import airflow_provider_mics.plugin, airflow_provider_mics.dag_factory; "
        "print(json.dumps([name for name in sys.modules if name.startswith('airflow_provider_mics.page')]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120
    )
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert set(loaded) == {"airflow_provider_mics.page", "airflow_provider_mics.page.registration"}
