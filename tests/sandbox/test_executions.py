from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox_server import SandboxServer


def path_of(instance_id: str, execution: dict[str, Any]) -> str:
    return f"integration_batch_instances/{instance_id}/executions/{execution['id']}"


def ended(server: SandboxServer, instance_id: str, execution: dict[str, Any]) -> dict[str, Any]:
    """Wait until an execution has ended, and return it."""

    def over() -> dict[str, Any] | None:
        seen: dict[str, Any] = server.call("GET", path_of(instance_id, execution))
        return seen if seen["status"] in {"SUCCEEDED", "FAILED", "CANCELED"} else None

    found: dict[str, Any] = server.wait_until(over)
    return found


def test_an_execution_waits_for_its_time_runs_and_ends(server: SandboxServer) -> None:
    instance_id = server.create_instance(
        properties={"duration_s": 100, "result": '{"rows": 3}', "num_tasks": 4}
    )
    execution = server.create_execution(instance_id, server.now_ms() + 3_600_000)
    assert (execution["status"], execution["start_date"], execution["duration"]) == ("PENDING", None, None)

    server.jump_clock(3_660)
    running = server.call("GET", path_of(instance_id, execution))
    assert running["status"] == "RUNNING"
    assert running["start_date"] == execution["parameters"]["expected_start_date"]
    assert 0 < running["completed_tasks"] < running["num_tasks"] == 4

    server.jump_clock(100)
    done = server.call("GET", path_of(instance_id, execution))
    assert (done["status"], done["duration"], done["completed_tasks"]) == ("SUCCEEDED", 100_000, 4)
    assert (done["result"], done["error"]) == ({"rows": 3}, None)


def test_one_whose_time_is_past_starts_at_once(server: SandboxServer) -> None:
    execution = server.create_execution(server.create_instance(), 1_562_595_783_663)
    assert execution["status"] == "RUNNING"
    assert execution["start_date"] >= execution["creation_date"]


def test_a_failure_says_why(server: SandboxServer) -> None:
    properties = {"duration_s": 0, "outcome": "fail", "error_message": "SFTP login refused"}
    instance_id = server.create_instance(properties=properties)
    failed = ended(server, instance_id, server.create_execution(instance_id))
    assert (failed["status"], failed["error"]) == ("FAILED", {"message": "SFTP login refused"})
    assert failed["erroneous_tasks"] == 1


def test_outcomes_cycle_over_the_executions_of_an_instance(server: SandboxServer) -> None:
    instance_id = server.create_instance(properties={"duration_s": 0, "outcome": '["fail", "succeed"]'})
    statuses = [server.create_execution(instance_id, 1)["status"] for _ in range(4)]
    assert statuses == ["FAILED", "SUCCEEDED", "FAILED", "SUCCEEDED"]


def test_a_hanging_one_runs_until_it_is_canceled(server: SandboxServer) -> None:
    instance_id = server.create_instance(properties={"outcome": "hang"})
    execution = server.create_execution(instance_id)
    server.jump_clock(1_000_000)
    assert server.call("GET", path_of(instance_id, execution))["status"] == "RUNNING"
    canceled = server.call("POST", f"{path_of(instance_id, execution)}/action", {"action": "CANCEL"})
    assert canceled["status"] == "CANCELED"
    again = server.send("POST", f"{path_of(instance_id, execution)}/action", {"action": "CANCEL"})
    assert again.status_code == 409


def test_two_equal_requests_make_two_executions(server: SandboxServer) -> None:
    instance_id = server.create_instance()
    first, second = (server.create_execution(instance_id, 5) for _ in range(2))
    assert first["id"] != second["id"]


def test_unknown_fields_of_an_execution_are_kept(server: SandboxServer) -> None:
    path = f"integration_batch_instances/{server.create_instance()}/executions"
    parameters = {"execution_type": "MANUAL", "expected_start_date": server.now_ms() + 10**6}
    made = server.call("POST", path, {"parameters": parameters, "ticket": "OPS-1"})
    assert made["ticket"] == "OPS-1"
    changed = server.call("PUT", f"{path}/{made['id']}", made | {"note": "x"})
    assert (changed["ticket"], changed["note"]) == ("OPS-1", "x")


@pytest.mark.parametrize("status", ["CANCELED", "CANCELLED"])
def test_a_put_of_the_status_cancels(server: SandboxServer, status: str) -> None:
    instance_id = server.create_instance()
    execution = server.create_execution(instance_id, server.now_ms() + 10**6)
    changed = server.call("PUT", path_of(instance_id, execution), execution | {"status": status})
    assert (changed["status"], changed["start_date"]) == ("CANCELED", None)


def test_a_put_of_an_old_status_does_not_undo_what_happened(server: SandboxServer) -> None:
    instance_id = server.create_instance()
    pending = server.create_execution(instance_id, server.now_ms() + 10_000)
    server.jump_clock(11)
    assert server.call("PUT", path_of(instance_id, pending), pending)["status"] == "RUNNING"


def test_a_put_moves_a_pending_one(server: SandboxServer) -> None:
    instance_id = server.create_instance()
    pending = server.create_execution(instance_id, server.now_ms() + 10**6)
    now = {"execution_type": "MANUAL", "expected_start_date": 7}
    moved = server.call("PUT", path_of(instance_id, pending), pending | {"parameters": now})
    assert (moved["status"], moved["parameters"]) == ("RUNNING", now)


def test_a_deleted_one_does_not_run_and_only_the_admin_routes_show_it(
    server: SandboxServer,
) -> None:
    instance_id = server.create_instance()
    pending = server.create_execution(instance_id, server.now_ms() + 10_000)
    assert server.send("DELETE", path_of(instance_id, pending)).ok
    assert server.send("GET", path_of(instance_id, pending)).status_code == 404
    server.jump_clock(60)
    (raw,) = server.executions(instance_id)
    assert (raw["deleted"], raw["status"], raw["started_at"]) == (True, "CANCELED", None)


def test_an_execution_belongs_to_its_instance(server: SandboxServer) -> None:
    one, other = server.create_instance(), server.create_instance()
    execution = server.create_execution(one)
    assert server.send("GET", path_of(other, execution)).status_code == 404


def test_an_organisations_executions_come_in_one_list(server: SandboxServer) -> None:
    instances = [server.create_instance(organisation_id="1186") for _ in range(3)]
    made = [server.create_execution(each)["id"] for each in instances]
    page = server.send("GET", "integration_batch_instances.executions", organisation_id="1186").json()
    assert [each["id"] for each in page["data"]] == made[::-1]
    assert [each["external_model_id"] for each in page["data"]] == instances[::-1]
    assert page["total"] == 3


def test_setting_the_clock_back_does_not_undo_what_happened(server: SandboxServer) -> None:
    instance_id = server.create_instance(properties={"duration_s": 20})
    done = server.create_execution(instance_id)
    server.jump_clock(30)
    running = server.create_execution(instance_id)
    server.jump_clock(-3_600)
    assert server.call("GET", path_of(instance_id, done))["status"] == "SUCCEEDED"
    assert server.call("GET", path_of(instance_id, running))["status"] == "RUNNING"
    server.jump_clock(21)
    assert server.call("GET", path_of(instance_id, running))["status"] == "SUCCEEDED"


def test_an_admin_route_ends_an_execution_with_any_status(server: SandboxServer) -> None:
    instance_id = server.create_instance(properties={"outcome": "hang"})
    execution = server.create_execution(instance_id)
    server.end_execution(execution["id"], "LOST")
    assert server.call("GET", path_of(instance_id, execution))["status"] == "LOST"
    server.end_execution(execution["id"], None)
    assert server.call("GET", path_of(instance_id, execution))["status"] == "RUNNING"


def test_an_execution_runs_with_the_properties_it_finds_at_its_start(server: SandboxServer) -> None:
    instance_id = server.create_instance()
    path = path_of(instance_id, server.create_execution(instance_id, server.now_ms() + 10_000))
    server.set_property(instance_id, "sandbox.duration_s", 100)
    server.jump_clock(60)
    server.set_property(instance_id, "sandbox.duration_s", 1)
    assert server.call("GET", path)["status"] == "RUNNING"
    server.jump_clock(60)
    assert server.call("GET", path)["duration"] == 100_000
