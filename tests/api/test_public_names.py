"""The public surface is a list, and importing it is cheap."""

from __future__ import annotations

import subprocess
import sys
from inspect import getdoc, isclass, isfunction
from pathlib import Path

import pytest

from airflow_provider_mics import api

ROOT = Path(__file__).resolve().parents[2]
DESIGNED = [
    "MicsClient",
    "AsyncMicsClient",
    "list_plugins",
    "create_plugin",
    "get_plugin",
    "list_plugin_versions",
    "create_plugin_version",
    "get_plugin_version",
    "list_plugin_version_properties",
    "list_instances",
    "create_instance",
    "get_instance",
    "update_instance",
    "delete_instance",
    "pause_instance",
    "resume_instance",
    "list_instance_properties",
    "set_instance_property",
    "list_executions",
    "list_organisation_executions",
    "create_execution",
    "get_execution",
    "update_execution",
    "cancel_execution",
    "delete_execution",
    "get_connected_user",
    "Plugin",
    "PluginVersion",
    "PluginProperty",
    "Instance",
    "Execution",
    "ExecutionStatus",
    "CronStatus",
    "ExecutionType",
    "ContainerSize",
    "MicsError",
    "MicsApiError",
    "MicsAuthError",
    "MicsNotFoundError",
    "MicsRateLimitError",
    "MicsConnectionError",
    "MicsResponseError",
]
BEYOND = [
    "Call",
    "Flow",
    "Job",
    "Step",
    "Sleep",
    "Now",
    "PlatformNow",
    "Log",
    "drive",
    "adrive",
    "Transport",
    "AsyncTransport",
    "Response",
    "DEFAULT_BASE_URL",
    "Cancellation",
    "ConnectedUser",
    "MicsTimeoutError",
    "deploy_plugin_version",
    "get_plugin_of_version",
    "wait_for_execution",
]


def test_the_public_names_are_these():
    assert sorted(api.__all__) == sorted(DESIGNED + BEYOND)


def test_every_public_name_is_there_and_no_other():
    public = {name for name in vars(api) if not name.startswith("_")}
    modules = {name for name in public if type(getattr(api, name)).__name__ == "module"}
    assert public - modules - {"annotations"} == set(api.__all__)


@pytest.mark.parametrize("name", [name for name in api.__all__ if isclass(getattr(api, name))])
def test_every_public_class_says_what_it_is(name):
    assert getdoc(getattr(api, name))


def test_the_errors_are_a_tree_with_one_root():
    for name in api.__all__:
        if name.endswith("Error"):
            assert issubclass(getattr(api, name), api.MicsError)
    for error in (api.MicsAuthError, api.MicsNotFoundError, api.MicsRateLimitError):
        assert issubclass(error, api.MicsApiError)
    facts = vars(api.MicsApiError("x", status_code=400))
    assert {"status_code", "error_code", "error_id", "message"} <= facts.keys()


def test_every_endpoint_is_a_function():
    functions = {name for name in api.__all__ if isfunction(getattr(api, name))}
    assert functions == {name for name in api.__all__ if name.islower()}


def modules_after(statement: str) -> set[str]:
    command = [sys.executable, "-c", f"import sys; {statement}; print(*sorted(sys.modules))"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    return set(done.stdout.split())


def test_importing_it_imports_no_airflow_and_no_http_library():
    imported = modules_after("import airflow_provider_mics.api, airflow_provider_mics.api.clients")
    assert not imported & {"airflow", "requests", "httpx", "urllib3", "croniter"}


def test_each_client_imports_the_library_that_it_needs():
    make = "from airflow_provider_mics.api import {0}; {0}('http://127.0.0.1:1', 'x')"
    assert "httpx" not in modules_after(make.format("MicsClient"))
    assert "requests" not in modules_after(make.format("AsyncMicsClient"))


def test_a_client_with_a_transport_of_its_own_imports_no_http_library():
    make = "from airflow_provider_mics.api import {0}; {0}('http://127.0.0.1:1', 'x', transport=object())"
    for client in ("MicsClient", "AsyncMicsClient"):
        assert not modules_after(make.format(client)) & {"requests", "httpx", "urllib3"}
