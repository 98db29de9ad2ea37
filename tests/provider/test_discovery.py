"""Airflow finds the provider by itself, and finds nothing wrong with it."""

from __future__ import annotations

import importlib
import logging

import pytest
from airflow.providers_manager import ProvidersManager

from airflow_provider_mics import __version__
from airflow_provider_mics.provider_info import get_provider_info

INFO = get_provider_info()
MODULES = [
    module
    for kind in ("operators", "sensors", "hooks", "triggers")
    for named in INFO.get(kind, [])
    for module in named["python-modules"]
]
CLASSES = [
    *(connection["hook-class-name"] for connection in INFO["connection-types"]),
    *INFO.get("extra-links", []),
    *INFO.get("notifications", []),
]


@pytest.fixture
def manager(caplog: pytest.LogCaptureFixture) -> ProvidersManager:
    caplog.set_level(logging.WARNING)
    manager = ProvidersManager()
    manager.initialize_providers_list()
    manager.initialize_providers_hooks()
    manager.initialize_providers_extra_links()
    return manager


def test_airflow_lists_the_provider_with_its_version(manager: ProvidersManager) -> None:
    assert manager.providers["airflow-provider-mics"].version == __version__


@pytest.mark.filterwarnings("ignore:ProvidersManager.hooks is deprecated")
def test_airflow_knows_the_connection_type(manager: ProvidersManager) -> None:
    hook = manager.hooks["mediarithmics"]
    assert hook is not None
    assert (hook.hook_name, hook.connection_type) == ("mediarithmics", "mediarithmics")
    assert hook.hook_class_name == "airflow_provider_mics.hooks.MicsHook"


def test_airflow_knows_the_extra_links(manager: ProvidersManager) -> None:
    links = {f"airflow_provider_mics.links.Mics{name}Link" for name in ("Instance", "Plugin")}
    assert links <= set(manager.extra_links_class_names)


def test_airflow_has_no_complaint(manager: ProvidersManager, caplog: pytest.LogCaptureFixture) -> None:
    assert [record.getMessage() for record in caplog.records if "mics" in record.getMessage()] == []


@pytest.mark.parametrize("name", MODULES)
def test_every_module_that_the_metadata_name_exists(name: str) -> None:
    importlib.import_module(name)


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_that_the_metadata_name_exists(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert isinstance(getattr(importlib.import_module(module), attribute), type)
