"""The four requests of the vendor's page on integration batches, with the errors in their JSON corrected."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.sandbox_server import SandboxServer

ORGANISATIONS = ["my_organisation_id", "my-plugin-id", "1185"]

PLUGIN = """{
    "organisation_id": "my_organisation_id",
    "plugin_type": "INTEGRATION_BATCH",
    "group_id": "com.my-client.integration_batch",
    "artifact_id": "integration-batch-my-client"
}"""

VERSION = """{
    "version_id":"1.0.0",
    "plugin_properties":[
        {"technical_name": "one_more_property", "value": {"value": ""}, "property_type": "STRING",
         "origin": "PLUGIN", "writable": true, "deletable": true},
        {"technical_name": "provider", "value": {"value": "mediarithmics"}, "property_type": "STRING",
         "origin": "PLUGIN_STATIC", "writable": false, "deletable": false},
        {"technical_name": "name", "value": {"value": "My Plugin Name"}, "property_type": "STRING",
         "origin": "PLUGIN_STATIC", "writable": false, "deletable": false}
    ]
}"""

INSTANCE = """{
    "group_id": "com.my-client.integration_batch",
    "artifact_id": "integration-batch-my-client",
    "version_id": "my-version-id",
    "organisation_id": "my-plugin-id",
    "name": "The name of my instance",
    "archived": false,
    "cron" :"* * * 7 *",
    "cron_status": "ACTIVE | PAUSED",
    "ram_size": "LOW | MEDIUM | LARGE | EXTRA_LARGE",
    "disk_size": "LOW | MEDIUM | LARGE | EXTRA_LARGE",
    "cpu_size": "LOW | MEDIUM | LARGE | EXTRA_LARGE"
}"""

EXECUTION = """{
    "parameters": {"execution_type": "MANUAL | CRON", "expected_start_date": 1562595783663},
    "organisation_id": "1185",
    "user_id": "1007",
    "error": null,
    "status": "PENDING",
    "external_model_id": "42",
    "external_model_name": "PUBLIC_INTEGRATION_BATCH",
    "start_date": 1562595789171,
    "job_type": "BATCH_INTEGRATION"
}"""


@pytest.fixture
def page() -> Iterator[SandboxServer]:
    with SandboxServer(tokens={"my-token": ORGANISATIONS}) as server:
        yield server


def post(server: SandboxServer, path: str, body: str) -> dict[str, Any]:
    headers = {"Authorization": "my-token", "Content-Type": "application/json"}
    answer = requests.post(f"{server.url}/v1/{path}", data=body, headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "ok"
    created: dict[str, Any] = answer.json()["data"]
    return created


def test_the_four_requests_work_as_they_stand(page: SandboxServer) -> None:
    plugin = post(page, "plugins", PLUGIN)
    assert plugin == {**json.loads(PLUGIN), "id": plugin["id"], "current_version_id": None}

    version = post(page, f"plugins/{plugin['id']}/versions", VERSION)
    assert (version["version_id"], version["status"]) == ("1.0.0", "DRAFT")

    # Replaces the page's placeholder by the id of the version created above.
    instance = post(page, "integration_batch_instances", INSTANCE.replace("my-version-id", version["id"]))
    assert (instance["cron"], instance["cron_status"], instance["ram_size"]) == ("* * * 7 *", "ACTIVE", "LOW")
    assert (instance["version_id"], instance["version_value"]) == (version["id"], "1.0.0")
    properties = page.call("GET", f"integration_batch_instances/{instance['id']}/properties")
    assert [each["technical_name"] for each in properties] == ["one_more_property"]

    body = EXECUTION.replace("1185", instance["organisation_id"])
    execution = post(page, f"integration_batch_instances/{instance['id']}/executions", body)
    assert execution["parameters"] == {"execution_type": "MANUAL", "expected_start_date": 1562595783663}
    assert execution["external_model_id"] == instance["id"]
    assert execution["start_date"] != 1562595789171
    assert execution["user_id"] == "1007"


def test_an_execution_with_the_pages_organisation_works_on_an_instance_of_it(page: SandboxServer) -> None:
    instance_id = page.create_instance(organisation_id="1185")
    execution = post(page, f"integration_batch_instances/{instance_id}/executions", EXECUTION)
    assert execution["organisation_id"] == "1185"
    assert execution["status"] == "RUNNING"
