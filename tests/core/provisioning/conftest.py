"""One sandbox for all of these tests; each has a plugin of its own, so that none sees another's instances."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from airflow_provider_mics.core.provisioning.instances import ensure_instance
from tests.core.provisioning.driven_flows import Flows
from tests.sandbox_server import SandboxServer

GROUP = "com.acme.batches"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Plugin:
    """A plugin with the versions 1.0.0 and 1.1.0."""

    id: str
    group_id: str
    artifact_id: str
    versions: dict[str, str]


@pytest.fixture(scope="session")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def platform(server: SandboxServer) -> Iterator[SandboxServer]:
    """The sandbox as it is without quirks and faults, and so again after the test."""
    server.reset_counters()
    yield server
    server.faults()
    server.quirks(reset=True)


@pytest.fixture
def flows(platform: SandboxServer) -> Flows:
    return Flows(platform)


@pytest.fixture
def artifact_id() -> str:
    """A plugin's name that no other test uses."""
    return f"batch-{next(_numbers)}"


@pytest.fixture
def plugin(platform: SandboxServer, artifact_id: str) -> Plugin:
    coordinates = {"group_id": GROUP, "artifact_id": artifact_id, "plugin_type": "INTEGRATION_BATCH"}
    body = {"organisation_id": platform.organisation_id, **coordinates}
    plugin_id = platform.call("POST", "plugins", body)["id"]
    versions = {}
    for number in ("1.0.0", "1.1.0"):
        version = {"version_id": number, "plugin_properties": declared_properties()}
        versions[number] = platform.call("POST", f"plugins/{plugin_id}/versions", version)["id"]
    return Plugin(plugin_id, GROUP, artifact_id, versions)


@pytest.fixture
def ensure(flows, plugin):
    """Ensures the instance ``nightly`` of this test's plugin."""

    def ensure(name="nightly", flows=flows, **options):
        return flows.run(ensure_instance(plugin.group_id, plugin.artifact_id, name, **options))

    return ensure


@pytest.fixture
def listed(platform, plugin):
    """The instances of this test's plugin as the platform has them."""

    def listed():
        instances = platform.call(
            "GET", "integration_batch_instances", organisation_id=platform.organisation_id, max_results=1000
        )
        return [each for each in instances if each["artifact_id"] == plugin.artifact_id]

    return listed


def declared_properties() -> list[dict]:
    """A property of each kind that decides on the shape of its value."""
    values = {
        "import_path": ("STRING", {"value": "s3://nowhere"}),
        "max_rows": ("INT", {"value": 10}),
        "ratio": ("DOUBLE", {"value": 0.5}),
        "dry_run": ("BOOLEAN", {"value": True}),
        "endpoint": ("URL", {"url": "https://old.example"}),
        "file": ("DATA_FILE", {"uri": "mics://data_file/a", "last_modified": None}),
        "asset": ("ASSET_FILE", {"original_name": "a.csv", "asset_id": "1", "path": "/a.csv"}),
    }
    own = [
        {
            "technical_name": name,
            "property_type": kind,
            "value": value,
            "origin": "PLUGIN",
            "writable": True,
            "deletable": True,
        }
        for name, (kind, value) in values.items()
    ]
    static = [
        {
            "technical_name": name,
            "property_type": "STRING",
            "value": {"value": "test"},
            "origin": "PLUGIN_STATIC",
            "writable": False,
            "deletable": False,
        }
        for name in ("provider", "name")
    ]
    return own + static
