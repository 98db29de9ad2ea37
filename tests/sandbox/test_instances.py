from __future__ import annotations

from typing import Any

from tests.sandbox_server import SandboxServer

INSTANCES = "integration_batch_instances"


def test_ids_are_texts_and_times_are_epoch_milliseconds(server: SandboxServer) -> None:
    instance = server.call("GET", f"{INSTANCES}/{server.create_instance()}")
    assert instance["id"].isdecimal()
    assert instance["version_id"].isdecimal()
    assert abs(instance["creation_ts"] - server.now_ms()) < 10_000
    assert instance["created_by"] == instance["last_modified_by"] == "1007"


def test_an_instance_gets_the_current_version_unless_it_names_another(server: SandboxServer) -> None:
    first = server.call("GET", f"{INSTANCES}/{server.create_instance(artifact_id='versioned')}")
    plugin = server.call("GET", "plugins", artifact_id="versioned")[0]
    static = {"property_type": "STRING", "origin": "PLUGIN_STATIC", "value": {"value": "x"}}
    properties = [{"technical_name": name, **static} for name in ("provider", "name")]
    version = {"version_id": "1.1.0-rc1", "plugin_properties": properties, "max_qps": 5, "colour": "red"}
    newer = server.call("POST", f"plugins/{plugin['id']}/versions", version)
    assert (newer["max_qps"], newer["colour"], newer["plugin_id"]) == (5, "red", plugin["id"])
    assert server.call("GET", f"plugins/{plugin['id']}")["current_version_id"] == newer["id"]

    second = server.call("GET", f"{INSTANCES}/{server.create_instance(artifact_id='versioned')}")
    assert (first["version_value"], second["version_value"]) == ("1.0.0", "1.1.0-rc1")
    pinned = server.create_instance(artifact_id="versioned", version_id=first["version_id"])
    assert server.call("GET", f"{INSTANCES}/{pinned}")["version_value"] == "1.0.0"

    path = f"plugins/{plugin['id']}/versions"
    assert [each["version_id"] for each in server.call("GET", path)] == ["1.0.0", "1.1.0-rc1"]
    assert server.call("GET", f"{path}/{newer['id']}")["version_id"] == "1.1.0-rc1"
    names = [each["technical_name"] for each in server.call("GET", f"{path}/{newer['id']}/properties")]
    assert names == ["provider", "name"]
    assert server.call("GET", f"plugins/version/{newer['id']}")["id"] == plugin["id"]


def test_a_version_is_deployed_by_its_build_tag(server: SandboxServer) -> None:
    version_id = server.call("GET", f"{INSTANCES}/{server.create_instance()}")["version_id"]
    plugin_id = server.call("GET", f"plugins/version/{version_id}")["id"]
    path = f"plugins/{plugin_id}/versions/{version_id}"
    action = {"action": "DEPLOY_PLUGIN", "args": {"target_build_tag": "build-7"}}
    server.call("POST", f"{path}/containers/action", action)
    assert server.call("GET", path)["build_tag"] == "build-7"
    assert server.send("POST", f"{path}/containers/action", {"action": "EXPLODE"}).status_code == 400


def test_lists_page_and_filter(server: SandboxServer) -> None:
    organisation: dict[str, Any] = {"organisation_id": "1186"}
    made = [server.create_instance(f"batch {number}", **organisation) for number in range(5)]
    timed = server.create_instance("timed", cron="0 5 * * *", artifact_id="other", **organisation)
    paused = server.create_instance("paused", cron="0 5 * * *", cron_status="PAUSED", **organisation)

    page = server.send("GET", INSTANCES, first_result=2, max_results=3, **organisation).json()
    assert (page["count"], page["first_result"], page["max_results"], page["total"]) == (3, 2, 3, 7)
    assert [each["id"] for each in page["data"]] == made[:1:-1]

    def ids(**filters: str) -> list[str]:
        return [each["id"] for each in server.call("GET", INSTANCES, **organisation, **filters)]

    assert ids(is_periodic="true") == [paused, timed]
    assert ids(is_periodic="false") == made[::-1]
    assert ids(cron_status="PAUSED") == [paused]
    assert ids(artifact_id="other") == [timed]
    assert ids(group_id="nobody") == []


def test_unknown_fields_are_kept_and_given_back(server: SandboxServer) -> None:
    instance_id = server.create_instance(owner={"team": "crm"})
    instance = server.call("GET", f"{INSTANCES}/{instance_id}")
    assert instance["owner"] == {"team": "crm"}
    changed = server.call("PUT", f"{INSTANCES}/{instance_id}", instance | {"name": "renamed", "note": 1})
    assert (changed["name"], changed["owner"], changed["note"]) == ("renamed", {"team": "crm"}, 1)


def test_a_put_states_the_whole_instance(server: SandboxServer) -> None:
    instance_id = server.create_instance(cron="0 5 * * *", ram_size="LARGE", note=1)
    changed = server.call("PUT", f"{INSTANCES}/{instance_id}", {"name": "bare"})
    assert (changed["cron"], changed["cron_status"], changed["ram_size"]) == (None, None, "LOW")
    assert "note" not in changed
    assert server.send("PUT", f"{INSTANCES}/{instance_id}", {"cron": None}).status_code == 400


def test_a_merging_put_changes_only_what_it_names(server: SandboxServer) -> None:
    instance_id = server.create_instance(cron="0 5 * * *", ram_size="LARGE", note=1)
    server.quirks(put_semantics="merge")
    changed = server.call("PUT", f"{INSTANCES}/{instance_id}", {"execution_container_cpu_size": "XL"})
    assert (changed["cron"], changed["ram_size"], changed["note"]) == ("0 5 * * *", "LARGE", 1)
    assert changed["cpu_size"] == "EXTRA_LARGE"


def test_what_the_platform_sets_cannot_be_changed(server: SandboxServer) -> None:
    instance_id = server.create_instance()
    instance = server.call("GET", f"{INSTANCES}/{instance_id}")
    changed = server.call("PUT", f"{INSTANCES}/{instance_id}", instance | {"id": "7", "creation_ts": 1})
    assert (changed["id"], changed["creation_ts"]) == (instance_id, instance["creation_ts"])
    other = instance | {"group_id": "com.other"}
    assert server.send("PUT", f"{INSTANCES}/{instance_id}", other).status_code == 400


def test_properties_are_read_and_written_one_by_one(server: SandboxServer) -> None:
    path = f"{INSTANCES}/{server.create_instance()}/properties"
    document = {"technical_name": "a/b c", "property_type": "INT", "value": {"value": 4}, "hint": "x"}
    written = server.call("PUT", f"{path}/technical_name=a%2Fb%20c", document)
    assert (written["origin"], written["writable"], written["hint"]) == ("INSTANCE", True, "x")
    assert server.call("GET", path) == [written]
    assert server.send("PUT", f"{path}/technical_name=other", document).status_code == 400
    assert server.send("PUT", f"{path}/a", document).status_code == 400
    server.call("PUT", f"{path}/technical_name=a%2Fb%20c", document | {"writable": False})
    assert "not writable" in server.send("PUT", f"{path}/technical_name=a%2Fb%20c", document).text


def test_a_deleted_instance_is_gone(server: SandboxServer) -> None:
    instance_id = server.create_instance()
    assert server.send("DELETE", f"{INSTANCES}/{instance_id}").json() == {"status": "ok"}
    assert server.send("GET", f"{INSTANCES}/{instance_id}").status_code == 404
    ids = [each["id"] for each in server.call("GET", INSTANCES, organisation_id="1185")]
    assert instance_id not in ids
