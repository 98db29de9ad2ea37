"""The four requests of the vendor's page on integration batches, against the sandbox and beside our own.

They stand here as on developer.mediarithmics.io ("Integration batch"), with the slips in their JSON repaired and the
placeholders filled in.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from airflow_provider_mics import api
from tests.api.both_clients import Client
from tests.sandbox_server import SandboxServer

PLUGIN = """{
    "organisation_id": "my_organisation_id",
    "plugin_type": "INTEGRATION_BATCH",
    "group_id": "com.my-client.integration_batch",
    "artifact_id": "integration-batch-my-client"
}"""
VERSION = """{
    "version_id": "1.0.0",
    "plugin_properties": [
        {
            "technical_name": "one_more_property",
            "value": {"value": ""},
            "property_type": "STRING",
            "origin": "PLUGIN",
            "writable": true,
            "deletable": true
        },
        {
            "technical_name": "provider",
            "value": {"value": "mediarithmics"},
            "property_type": "STRING",
            "origin": "PLUGIN_STATIC",
            "writable": false,
            "deletable": false
        },
        {
            "technical_name": "name",
            "value": {"value": "My Plugin Name"},
            "property_type": "STRING",
            "origin": "PLUGIN_STATIC",
            "writable": false,
            "deletable": false
        }
    ]
}"""
INSTANCE = """{
    "group_id": "com.my-client.integration_batch",
    "artifact_id": "integration-batch-my-client",
    "version_id": "my-version-id",
    "organisation_id": "my_organisation_id",
    "name": "The name of my instance",
    "archived": false,
    "cron": "* * * 7 *",
    "cron_status": "ACTIVE",
    "ram_size": "LOW",
    "disk_size": "MEDIUM",
    "cpu_size": "EXTRA_LARGE"
}"""
EXECUTION = """{
    "parameters": {
        "execution_type": "MANUAL",
        "expected_start_date": 1562595783663
    },
    "organisation_id": "my_organisation_id",
    "user_id": "1007",
    "error": null,
    "status": "PENDING",
    "external_model_id": "my-instance-id",
    "external_model_name": "PUBLIC_INTEGRATION_BATCH",
    "start_date": 1562595789171,
    "job_type": "BATCH_INTEGRATION"
}"""


class Page:
    """A reader of the page, with curl in hand."""

    def __init__(self, platform: SandboxServer) -> None:
        self._platform = platform
        self._filled = {"my_organisation_id": platform.organisation_id}

    def walk(self) -> tuple[dict[str, Any], ...]:
        """The page from its beginning to its end: the four answers."""
        plugin = self._post("plugins", PLUGIN, "<PLUGIN_ID>")
        version = self._post("plugins/<PLUGIN_ID>/versions", VERSION, "my-version-id")
        instance = self._post("integration_batch_instances", INSTANCE, "my-instance-id")
        execution = self._post("integration_batch_instances/my-instance-id/executions", EXECUTION, "-")
        return plugin, version, instance, execution

    def _post(self, path: str, body: str, placeholder_of_id: str) -> dict[str, Any]:
        for placeholder, value in self._filled.items():
            body, path = body.replace(placeholder, value), path.replace(placeholder, value)
        answer = requests.post(
            f"{self._platform.url}/v1/{path}",
            data=body.encode(),
            headers={"Authorization": self._platform.token, "Content-Type": "application/json"},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "ok"
        data: dict[str, Any] = answer.json()["data"]
        self._filled[placeholder_of_id] = str(data["id"])
        return data


@pytest.fixture
def platform(sandbox: SandboxServer) -> SandboxServer:
    """One on which nobody has followed the page yet."""
    return sandbox


def test_every_request_of_the_page_works_as_it_stands(platform):
    plugin, version, instance, execution = Page(platform).walk()
    assert plugin["current_version_id"] is None
    assert plugin["group_id"] == "com.my-client.integration_batch"
    assert version["version_id"] == "1.0.0"
    assert (instance["cron"], instance["cron_status"]) == ("* * * 7 *", "ACTIVE")
    assert (instance["cpu_size"], instance["disk_size"]) == ("EXTRA_LARGE", "MEDIUM")
    assert execution["parameters"] == {"execution_type": "MANUAL", "expected_start_date": 1562595783663}
    assert execution["external_model_id"] == instance["id"]


def test_what_the_page_made_is_what_the_client_reads(platform, client):
    plugin, version, instance, execution = Page(platform).walk()
    assert client.run(api.get_plugin(plugin["id"])).artifact_id == "integration-batch-my-client"
    assert client.run(api.get_plugin_version(plugin["id"], version["id"])).version_id == "1.0.0"
    read = client.run(api.get_instance(instance["id"]))
    assert read.is_active
    assert read.cpu_size is api.ContainerSize.EXTRA_LARGE
    names = {each.technical_name for each in client.run(api.list_instance_properties(read.id))}
    assert "one_more_property" in names
    assert client.run(api.get_execution(read.id, execution["id"])).execution_type is api.ExecutionType.MANUAL


def sent_by(client: Client, platform: SandboxServer) -> list[Any]:
    """The bodies of the client's own four requests, as the platform received them."""
    group_id, artifact_id = "com.my-client.integration_batch", "integration-batch-my-client"
    plugin = client.run(api.create_plugin(group_id, artifact_id))
    properties = json.loads(VERSION)["plugin_properties"]
    version = client.run(api.create_plugin_version(plugin.id, "1.0.0", properties))
    instance = client.run(
        api.create_instance(
            group_id,
            artifact_id,
            "The name of my instance",
            version_id=version.id,
            cron="* * * 7 *",
            cron_status="ACTIVE",
            disk_size="MEDIUM",
            cpu_size="EXTRA_LARGE",
        )
    )
    client.run(api.create_execution(instance.id, expected_start_date=1562595783663))
    posts = [each for each in platform.seen_requests() if each["method"] == "POST"][-4:]
    return [json.loads(each["body"]) for each in posts]


def test_the_client_sends_the_pages_bodies_field_by_field(platform, client):
    plugin, version, instance, execution = sent_by(client, platform)
    plugin_page, version_page, instance_page, execution_page = (
        json.loads(body.replace("my_organisation_id", platform.organisation_id))
        for body in (PLUGIN, VERSION, INSTANCE, EXECUTION)
    )
    assert plugin == plugin_page
    assert version == version_page
    assert instance == instance_page | {"version_id": instance["version_id"]}
    # The vendor's own client sends these three; the rest is the platform's to fill in.
    assert execution == {name: execution_page[name] for name in ("parameters", "organisation_id", "status")}


def test_every_size_of_the_page_is_understood(platform, client):
    *_, instance, _ = Page(platform).walk()
    for word in ("MEDIUM", "LARGE", "EXTRA_LARGE", "LOW"):
        assert client.run(api.update_instance(instance["id"], ram_size=word)).ram_size == word
