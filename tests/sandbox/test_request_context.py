"""Who may ask for what, and what the platform says to bad requests."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
import requests

from tests.sandbox_server import SandboxServer

PLUGIN = {
    "organisation_id": "1185",
    "plugin_type": "INTEGRATION_BATCH",
    "group_id": "com.acme",
    "artifact_id": "x",
}
STATIC = {"property_type": "STRING", "origin": "PLUGIN_STATIC", "writable": False, "value": {"value": "x"}}
MANDATORY = [{"technical_name": name, **STATIC} for name in ("provider", "name")]


def refusal(answer: requests.Response, status: int) -> str:
    """The sentence of a refusal, once its wrapper is known to be whole."""
    assert answer.status_code == status, answer.text
    wrapper = answer.json()
    assert set(wrapper) == {"status", "error", "error_code", "error_id"}
    assert wrapper["status"] == "error"
    assert wrapper["error_id"]
    return str(wrapper["error"])


def get(server: SandboxServer, path: str, authorization: str | None) -> requests.Response:
    headers = {} if authorization is None else {"Authorization": authorization}
    return requests.get(f"{server.url}/v1/{path}", headers=headers, timeout=10)


@pytest.mark.parametrize(
    ("authorization", "sentence"),
    [
        (None, "no API token"),
        ("wrong", "unknown, expired or revoked"),
        ("Bearer first-token", "without the word Bearer"),
    ],
)
def test_a_request_without_a_good_bare_token_is_a_401(
    server: SandboxServer, authorization: str | None, sentence: str
) -> None:
    answer = get(server, "connected_user", authorization)
    assert sentence in refusal(answer, 401)
    assert "first-token" not in answer.text


def test_a_token_can_be_revoked_while_it_runs(server: SandboxServer) -> None:
    assert get(server, "connected_user", "second-token").ok
    server.set_tokens({"first-token": ["1185"]})
    refusal(get(server, "connected_user", "second-token"), 401)


def test_the_connected_user_has_the_organisations_of_the_token(server: SandboxServer) -> None:
    user = server.call("GET", "connected_user")
    assert [each["organisation_id"] for each in user["workspaces"]] == ["1185", "1186"]
    assert "@" in user["email"]


def test_a_token_reaches_only_its_organisations(server: SandboxServer) -> None:
    mine = server.create_instance()
    refusal(get(server, f"integration_batch_instances/{mine}", "second-token"), 403)
    refusal(get(server, f"integration_batch_instances/{mine}/executions", "second-token"), 403)
    refusal(get(server, "integration_batch_instances?organisation_id=1185", "second-token"), 403)
    refusal(get(server, "integration_batch_instances.executions?organisation_id=1185", "second-token"), 403)
    assert get(server, "plugins", "second-token").json()["data"] == []


def test_lists_of_an_organisation_need_its_id(server: SandboxServer) -> None:
    for path in ("integration_batch_instances", "integration_batch_instances.executions"):
        assert refusal(server.send("GET", path), 400) == "organisation_id must be defined"


def test_query_and_body_must_name_the_same_organisation(server: SandboxServer) -> None:
    answer = server.send("POST", "plugins", PLUGIN, organisation_id="1186")
    assert "1186 in the query and 1185 in the body" in refusal(answer, 400)


@pytest.mark.parametrize(
    "path",
    [
        "integration_batch_instances/999", "integration_batch_instances/a%20b", "plugins/999", "plugins/version/999",
        "integration_batch_instances/99999999999999999999999", "integration_batch_instances/1/executions/77",
        "nowhere",
    ],
)  # fmt: skip
def test_what_is_not_there_is_a_404(server: SandboxServer, path: str) -> None:
    refusal(server.send("GET", path), 404)


def test_a_method_that_a_route_lacks_is_a_405(server: SandboxServer) -> None:
    refusal(server.send("PATCH", "plugins"), 405)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1]",
        b"\xff",
        b"[" * 100_000,
        b'{"a": NaN}',
        b'{"a": [-Infinity]}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b'{"\\udfff": 1}',
    ],
    ids=lambda content: content[:20].decode("latin-1"),
)
def test_a_body_that_is_no_json_object_is_a_400(server: SandboxServer, content: bytes) -> None:
    headers = {"Authorization": server.token}
    answer = requests.post(f"{server.url}/v1/plugins", data=content, headers=headers, timeout=10)
    refusal(answer, 400)


def test_what_no_answer_could_give_back_is_not_kept(server: SandboxServer) -> None:
    path = f"{server.url}/v1/integration_batch_instances/{server.create_instance()}"
    headers = {"Authorization": server.token}
    for field in (b'"note": NaN', b'"note": "\\ud800"', b'"name": "\\ud800"'):
        answer = requests.put(path, data=b'{"name": "n", %s}' % field, headers=headers, timeout=10)
        assert "which are not valid JSON" in refusal(answer, 400)
    pair = b'{"name": "\\ud83d\\ude00"}'
    assert requests.put(path, data=pair, headers=headers, timeout=10).json()["data"]["name"] == "\U0001f600"


@pytest.mark.parametrize("query", [{"first_result": "-1"}, {"max_results": "0"}, {"max_results": "many"}])
def test_a_page_that_cannot_be_is_a_400(server: SandboxServer, query: dict[str, str]) -> None:
    refusal(server.send("GET", "integration_batch_instances", organisation_id="1185", **query), 400)


@pytest.mark.parametrize("missing", list(PLUGIN))
def test_a_plugin_needs_all_of_its_fields(server: SandboxServer, missing: str) -> None:
    body = {name: value for name, value in PLUGIN.items() if name != missing}
    assert refusal(server.send("POST", "plugins", body), 400) == f"{missing} must be defined"


def test_a_plugin_and_a_version_exist_once(server: SandboxServer) -> None:
    plugin = server.call("POST", "plugins", PLUGIN)
    refusal(server.send("POST", "plugins", PLUGIN), 409)
    version = {"version_id": "1.0.0", "plugin_properties": MANDATORY}
    server.call("POST", f"plugins/{plugin['id']}/versions", version)
    refusal(server.send("POST", f"plugins/{plugin['id']}/versions", version), 409)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"version_id": "1.0"}, "three numbers"),
        ({"version_id": None}, "version_id must be defined"),
        ({"plugin_properties": MANDATORY[:1]}, "must hold the property name"),
        ({"plugin_properties": [*MANDATORY, MANDATORY[0]]}, "twice"),
        (
            {"plugin_properties": [*MANDATORY, {"technical_name": "a", "property_type": "INT"}]},
            "origin of property a",
        ),
        ({"plugin_properties": "none"}, "must be a list"),
        ({"max_qps": ["a"]}, "max_qps must be a whole number from 0"),
        ({"max_qps": 10**30}, "max_qps must be a whole number from 0"),
        ({"max_qps": True}, "max_qps must be a whole number from 0"),
    ],
)
def test_a_version_that_cannot_be_is_a_400(
    server: SandboxServer, changes: dict[str, Any], sentence: str
) -> None:
    server.create_instance()
    plugin_id = server.call("GET", "plugins", artifact_id="test-batch")[0]["id"]
    body = {"version_id": "3.0.0", "plugin_properties": MANDATORY} | changes
    assert sentence in refusal(server.send("POST", f"plugins/{plugin_id}/versions", body), 400)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": " "}, "name must be defined"),
        ({"artifact_id": "unknown"}, "there is no plugin"),
        ({"version_id": "1.0.0"}, "the platform's id of a version"),
        ({"cron": "0 5 * * *"}, "both or neither"),
        ({"cron_status": "ACTIVE"}, "both or neither"),
        ({"cron": "0 5 * *", "cron_status": "ACTIVE"}, "five fields"),
        ({"cron": "@daily", "cron_status": "ACTIVE"}, "five fields"),
        (
            {"cron": "0 0 31 2 *", "cron_status": "ACTIVE"},
            "must fire some day: none of its months has such a day",
        ),
        ({"cron": "61 0 * * *", "cron_status": "ACTIVE"}, "values that the field can have"),
        ({"cron": "0 0 L * *", "cron_status": "ACTIVE"}, "the signs * , - / in its five fields only"),
        ({"cron": "0 5 * * *", "cron_status": "ON"}, "cron_status must be one of"),
        ({"ram_size": "HUGE"}, "ram_size must be one of"),
        ({"archived": "no"}, "archived must be true or false"),
    ],
)
def test_an_instance_that_cannot_be_is_a_400(
    server: SandboxServer, changes: dict[str, Any], sentence: str
) -> None:
    server.create_instance()
    body = {
        "organisation_id": "1185",
        "group_id": "com.test.batches",
        "artifact_id": "test-batch",
        "name": "n",
    }
    assert sentence in refusal(server.send("POST", "integration_batch_instances", body | changes), 400)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        (None, "parameters must be defined"),
        ({"expected_start_date": 1}, "execution_type must be defined"),
        ({"execution_type": "MANUAL"}, "expected_start_date must be defined"),
        ({"execution_type": "AUTO", "expected_start_date": 1}, "execution_type must be one of"),
        ({"execution_type": "MANUAL", "expected_start_date": -1}, "epoch milliseconds"),
        ({"execution_type": "MANUAL", "expected_start_date": "now"}, "epoch milliseconds"),
        ({"execution_type": "MANUAL", "expected_start_date": 10**18}, "epoch milliseconds"),
        ({"execution_type": "MANUAL", "expected_start_date": True}, "epoch milliseconds"),
    ],
)
def test_an_execution_that_cannot_be_is_a_400(server: SandboxServer, parameters: Any, sentence: str) -> None:
    path = f"integration_batch_instances/{server.create_instance()}/executions"
    assert sentence in refusal(server.send("POST", path, {"parameters": parameters}), 400)


def test_a_new_execution_can_only_be_pending(server: SandboxServer) -> None:
    path = f"integration_batch_instances/{server.create_instance()}/executions"
    body = {"status": "RUNNING", "parameters": {"execution_type": "MANUAL", "expected_start_date": 1}}
    assert "must be PENDING" in refusal(server.send("POST", path, body), 400)


def test_a_crash_of_the_sandbox_itself_has_the_wrapper_of_an_error() -> None:
    with SandboxServer() as server:
        with sqlite3.connect(server.db) as database:
            database.execute("ALTER TABLE instances RENAME TO lost")
        answer = server.send("GET", "integration_batch_instances", organisation_id=server.organisation_id)
        assert "the sandbox itself failed: OperationalError" in refusal(answer, 500)
