"""Every quirk does what its description says."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_mics.sandbox.quirks import Quirks
from tests.sandbox_server import SandboxServer

INSTANCES = "integration_batch_instances"


def executions_of(server: SandboxServer, instance_id: str, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.call("GET", f"{INSTANCES}/{instance_id}/executions", **query)
    return found


def test_every_quirk_is_described_where_it_is_set(server: SandboxServer) -> None:
    assert all(field.description for field in Quirks.model_fields.values())
    assert set(server.quirks()) == set(Quirks.model_fields)


def test_an_unknown_quirk_or_value_is_refused(server: SandboxServer) -> None:
    for changes in ({"no_such": 1}, {"list_order": "sideways"}, {"max_results_cap": 0}):
        with pytest.raises(ValueError, match="quirk"):
            server.quirks(**changes)


def test_sizes_have_the_names_and_the_spelling_of_the_page_or_of_the_console(server: SandboxServer) -> None:
    path = f"{INSTANCES}/{server.create_instance(execution_container_cpu_size='XL', ram_size='EXTRA_LARGE')}"
    documented = server.call("GET", path)
    assert (documented["cpu_size"], documented["ram_size"]) == ("EXTRA_LARGE", "EXTRA_LARGE")
    assert "execution_container_cpu_size" not in documented
    server.quirks(sizes_in_answers="console")
    console = server.call("GET", path)
    assert console["execution_container_cpu_size"] == "XL"
    assert "cpu_size" not in console
    server.quirks(sizes_in_answers="both")
    assert {"cpu_size", "execution_container_cpu_size"} <= set(server.call("GET", path))


def test_sizes_can_be_accepted_under_one_name_only(server: SandboxServer) -> None:
    server.quirks(sizes_accepted="console", sizes_in_answers="console")
    path = f"{INSTANCES}/{server.create_instance(cpu_size='LARGE')}"
    instance = server.call("GET", path)
    assert (instance["cpu_size"], instance["execution_container_cpu_size"]) == ("LARGE", "LOW")


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("milliseconds", 1_767_225_600_457),
        ("seconds", 1_767_225_600),
        ("iso", "2026-01-01T00:00:00.457+00:00"),
        ("iso_without_offset", "2026-01-01T00:00:00.457"),
    ],
)
def test_dates_have_other_forms(server: SandboxServer, form: str, expected: Any) -> None:
    instance_id = server.create_instance()
    server.quirks(dates_as=form)
    created = server.create_execution(instance_id, 1_767_225_600_457)
    assert created["parameters"]["expected_start_date"] == expected
    instance = server.call("GET", f"{INSTANCES}/{instance_id}")
    assert {type(instance["creation_ts"]), type(created["creation_date"])} == {type(expected)}
    assert executions_of(server, instance_id)[0]["parameters"]["expected_start_date"] == expected


def test_ids_can_be_numbers(server: SandboxServer) -> None:
    instance_id = server.create_instance()
    server.quirks(ids_as_numbers=True)
    instance = server.call("GET", f"{INSTANCES}/{instance_id}")
    assert (instance["id"], instance["organisation_id"]) == (int(instance_id), 1185)
    assert isinstance(instance["version_id"], int)
    assert server.call("PUT", f"{INSTANCES}/{instance_id}", instance)["id"] == int(instance_id)


@pytest.mark.parametrize(
    ("order", "expected"), [("newest", [5, 4, 3, 2, 1]), ("oldest", [1, 2, 3, 4, 5]), ("random", None)]
)
def test_lists_have_an_order_that_stays(
    server: SandboxServer, order: str, expected: list[int] | None
) -> None:
    instance_id = server.create_instance()
    ids = [server.create_execution(instance_id)["id"] for _ in range(5)]
    server.quirks(list_order=order)
    seen = [each["id"] for each in executions_of(server, instance_id)]
    assert seen == [each["id"] for each in executions_of(server, instance_id)]
    assert sorted(seen) == sorted(ids)
    if expected:
        assert seen == [ids[place - 1] for place in expected]


def test_an_unstable_order_changes(server: SandboxServer) -> None:
    instance_id = server.create_instance()
    for _ in range(20):
        server.create_execution(instance_id)
    server.quirks(list_order="unstable")
    orders = {tuple(each["id"] for each in executions_of(server, instance_id)) for _ in range(3)}
    assert len(orders) > 1


def test_lists_can_lack_their_total_or_ignore_paging(server: SandboxServer) -> None:
    instance_id = server.create_instance()
    for _ in range(5):
        server.create_execution(instance_id)
    path = f"{INSTANCES}/{instance_id}/executions"
    server.quirks(lists_have_total=False)
    assert "total" not in server.send("GET", path).json()
    server.quirks(reset=True, lists_paginated=False)
    whole = server.send("GET", path, first_result=3, max_results=1).json()
    assert (whole["count"], whole["first_result"], len(whole["data"])) == (5, 0, 5)
    assert "total" not in whole


@pytest.mark.parametrize(("echo", "stated"), [("given", 2), ("asked", 4)])
def test_pages_can_be_capped_with_and_without_saying_so(
    server: SandboxServer, echo: str, stated: int
) -> None:
    instance_id = server.create_instance()
    for _ in range(5):
        server.create_execution(instance_id)
    server.quirks(max_results_cap=2, max_results_echo=echo)
    page = server.send("GET", f"{INSTANCES}/{instance_id}/executions", max_results=4).json()
    assert (page["count"], page["max_results"], page["total"]) == (2, stated, 5)


@pytest.mark.parametrize(
    ("shown", "total"), [("true", 5), ("text", "5"), ("of_page", 2), ("too_small", 2), ("too_large", 15)]
)
def test_a_total_can_lie(server: SandboxServer, shown: str, total: int | str) -> None:
    instance_id = server.create_instance()
    for _ in range(5):
        server.create_execution(instance_id)
    server.quirks(total_shown=shown)
    assert server.send("GET", f"{INSTANCES}/{instance_id}/executions", max_results=2).json()["total"] == total


@pytest.mark.parametrize(("answer", "status"), [("empty", 200), ("400", 400), ("404", 404), ("416", 416)])
def test_an_offset_beyond_the_end_can_be_refused(server: SandboxServer, answer: str, status: int) -> None:
    instance_id = server.create_instance()
    path = f"{INSTANCES}/{instance_id}/executions"
    server.quirks(past_the_end=answer)
    assert server.send("GET", path).json()["data"] == []
    server.create_execution(instance_id)
    assert server.send("GET", path, first_result=0).ok
    assert server.send("GET", path, first_result=1).status_code == status


def test_the_default_page_size_can_be_set(server: SandboxServer) -> None:
    instance_id = server.create_instance()
    for _ in range(3):
        server.create_execution(instance_id)
    server.quirks(default_max_results=2)
    assert len(executions_of(server, instance_id)) == 2


def test_archived_ones_can_be_left_out_and_filters_ignored(server: SandboxServer) -> None:
    archived = server.create_instance("old", archived=True)
    query = {"organisation_id": "1185", "max_results": 1000}
    assert archived in [each["id"] for each in server.call("GET", INSTANCES, **query)]
    server.quirks(archived_in_lists=False)
    assert archived not in [each["id"] for each in server.call("GET", INSTANCES, **query)]
    server.quirks(list_filters=False)
    assert server.call("GET", INSTANCES, group_id="nobody", **query)


@pytest.mark.parametrize("status", ["404", "405"])
@pytest.mark.parametrize(
    ("quirk", "method", "path"),
    [
        ("organisation_executions", "GET", f"{INSTANCES}.executions?organisation_id=1185"),
        ("execution_get", "GET", "{execution}"),
        ("execution_put", "PUT", "{execution}"),
        ("execution_delete", "DELETE", "{execution}"),
        ("cancel_action", "POST", "{execution}/action"),
        ("connected_user", "GET", "connected_user"),
    ],
)
def test_a_route_can_be_missing(
    server: SandboxServer, quirk: str, method: str, path: str, status: str
) -> None:
    instance_id = server.create_instance()
    execution = f"{INSTANCES}/{instance_id}/executions/{server.create_execution(instance_id)['id']}"
    server.quirks(**{quirk: status})
    answer = server.send(method, path.format(execution=execution), {"action": "CANCEL", "status": "CANCELED"})
    assert answer.status_code == int(status)
    assert answer.json()["status"] == "error"
    assert len(executions_of(server, instance_id)) == 1


@pytest.mark.parametrize(
    ("quirks", "outcome", "seconds", "status"),
    [
        ({"pending_as": "SCHEDULED"}, "succeed", -100, "SCHEDULED"),
        ({"running_as": "IN_PROGRESS"}, "hang", 0, "IN_PROGRESS"),
        ({"succeeded_as": "SUCCESS"}, "succeed", 10, "SUCCESS"),
        ({"failed_as": "EXECUTOR_NOT_RESPONDING"}, "fail", 10, "EXECUTOR_NOT_RESPONDING"),
        ({"unknown_status_s": 60, "unknown_status": "WARMING_UP"}, "succeed", 10, "WARMING_UP"),
        ({"unknown_status_s": 60}, "succeed", 100, "SUCCEEDED"),
    ],
)
def test_statuses_have_other_spellings(
    server: SandboxServer, quirks: dict[str, Any], outcome: str, seconds: int, status: str
) -> None:
    instance_id = server.create_instance(properties={"outcome": outcome, "duration_s": 5})
    server.create_execution(instance_id, server.now_ms() + (100_000 if seconds < 0 else 0))
    server.quirks(**quirks)
    server.jump_clock(max(0, seconds))
    assert executions_of(server, instance_id)[0]["status"] == status


def test_a_canceled_one_can_be_spelled_with_two_l(server: SandboxServer) -> None:
    instance_id = server.create_instance()
    path = f"{INSTANCES}/{instance_id}/executions/{server.create_execution(instance_id)['id']}"
    server.quirks(canceled_as="CANCELLED")
    assert server.call("POST", f"{path}/action", {"action": "CANCEL"})["status"] == "CANCELLED"


@pytest.mark.parametrize("dropped", ["optional", "all"])
def test_executions_can_have_gaps(server: SandboxServer, dropped: str) -> None:
    instance_id = server.create_instance()
    server.create_execution(instance_id)
    stays = {"id", "status"} | ({"parameters"} if dropped == "optional" else set())
    server.quirks(sparse_executions=dropped)
    assert set(executions_of(server, instance_id)[0]) == stays
    server.quirks(reset=True, null_executions=dropped)
    shown = executions_of(server, instance_id)[0]
    assert {name for name, value in shown.items() if value is not None} == stays
    assert len(shown) > 10


def test_answers_can_have_undocumented_fields(server: SandboxServer) -> None:
    instance_id = server.create_instance()
    server.quirks(extra_fields=True)
    answer = server.send("GET", f"{INSTANCES}/{instance_id}").json()
    assert "trace" in answer
    assert "new_in_this_release" in answer["data"]


def test_job_type_error_and_task_counts_have_other_forms(server: SandboxServer) -> None:
    instance_id = server.create_instance(
        properties={"outcome": "fail", "duration_s": 0, "error_message": "no"}
    )
    server.create_execution(instance_id, 1)
    server.quirks(job_type="BATCH_INTEGRATION", execution_error="string", task_counts="string")
    shown = executions_of(server, instance_id)[0]
    assert (shown["job_type"], shown["error"], shown["num_tasks"]) == ("BATCH_INTEGRATION", "no", "10")
    server.quirks(task_counts="null")
    assert executions_of(server, instance_id)[0]["num_tasks"] is None


@pytest.mark.parametrize(("form", "content_type"), [("text", "text/plain"), ("empty", None)])
def test_a_cancel_can_be_answered_without_json(
    server: SandboxServer, form: str, content_type: str | None
) -> None:
    instance_id = server.create_instance()
    path = f"{INSTANCES}/{instance_id}/executions/{server.create_execution(instance_id)['id']}"
    server.quirks(cancel_answer=form)
    answer = server.send("POST", f"{path}/action", {"action": "CANCEL"})
    assert answer.ok
    assert (answer.headers.get("content-type") or "none").startswith(content_type or "none")
    assert executions_of(server, instance_id)[0]["status"] == "CANCELED"


def test_a_cancel_can_be_refused_or_take_time(server: SandboxServer) -> None:
    instance_id = server.create_instance(properties={"outcome": "hang"})
    path = f"{INSTANCES}/{instance_id}/executions/{server.create_execution(instance_id)['id']}"
    server.quirks(cancel_running=False)
    assert server.send("POST", f"{path}/action", {"action": "CANCEL"}).status_code == 409
    server.quirks(cancel_running=True, cancel_takes_s=30)
    assert server.call("POST", f"{path}/action", {"action": "CANCEL"})["status"] == "RUNNING"
    server.jump_clock(31)
    assert server.call("GET", path)["status"] == "CANCELED"


@pytest.mark.parametrize(
    ("quirk", "http_status", "status"),
    [("cancels", 200, "CANCELED"), ("hides", 200, "RUNNING"), ("refused", 409, "RUNNING")],
)
def test_deleting_a_running_one_has_several_readings(
    server: SandboxServer, quirk: str, http_status: int, status: str
) -> None:
    instance_id = server.create_instance(properties={"outcome": "hang"})
    path = f"{INSTANCES}/{instance_id}/executions/{server.create_execution(instance_id)['id']}"
    server.quirks(delete_running=quirk)
    assert server.send("DELETE", path).status_code == http_status
    assert server.executions(instance_id)[0]["status"] == status


def test_a_delete_can_be_answered_with_nothing(server: SandboxServer) -> None:
    server.quirks(delete_answer="empty")
    answer = server.send("DELETE", f"{INSTANCES}/{server.create_instance()}")
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    ("form", "content_type"),
    [("html", "text/html"), ("text", "text/plain"), ("bare_json", "application/json")],
)
@pytest.mark.parametrize("with_200", [False, True])
def test_errors_have_other_forms(server: SandboxServer, form: str, content_type: str, with_200: bool) -> None:
    server.quirks(errors_as=form, errors_with_status_200=with_200)
    answer = server.send("GET", f"{INSTANCES}/999")
    assert answer.status_code == (200 if with_200 else 404)
    assert answer.headers["content-type"].startswith(content_type)
    assert "999 not found" in answer.text


def test_a_start_can_take_a_while(server: SandboxServer) -> None:
    server.quirks(start_latency_s=30)
    instance_id = server.create_instance()
    assert server.create_execution(instance_id)["status"] == "PENDING"
    server.jump_clock(31)
    assert executions_of(server, instance_id)[0]["status"] == "RUNNING"
