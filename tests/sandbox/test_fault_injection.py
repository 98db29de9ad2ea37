"""Each kind of fault does to a request what its description says."""

from __future__ import annotations

import base64
import time
from contextlib import suppress
from typing import Any

import pytest
import requests

from airflow_provider_mics.sandbox.fault_injection import KINDS
from tests.sandbox_server import SandboxServer

LISTS = "integration_batch_instances.executions"


def create(server: SandboxServer, instance_id: str, timeout_s: float = 10) -> requests.Response:
    parameters = {"execution_type": "MANUAL", "expected_start_date": 5}
    return requests.post(
        f"{server.url}/v1/integration_batch_instances/{instance_id}/executions",
        json={"parameters": parameters},
        headers={"Authorization": server.token},
        timeout=timeout_s,
        allow_redirects=False,
    )


def inject_once(server: SandboxServer, kind: str, **parameters: Any) -> str:
    """Inject a fault into the next POST, and return the id of an instance to send it to."""
    instance_id = server.create_instance()
    server.faults([{"kind": kind, "method": "post", "times": 1, "parameters": parameters}])
    return instance_id


@pytest.mark.parametrize(("kind", "made"), [("drop_before", 0), ("drop_after", 1)])
def test_a_dropped_connection_is_reset_before_or_after_the_work(
    server: SandboxServer, kind: str, made: int
) -> None:
    instance_id = inject_once(server, kind)
    with pytest.raises(requests.ConnectionError) as raised:
        create(server, instance_id)
    assert "reset by peer" in str(raised.value)
    assert len(server.executions(instance_id)) == made
    assert create(server, instance_id).ok
    assert server.injected() == {kind: 1}


def test_an_offline_server_refuses_connections_and_comes_back(server: SandboxServer) -> None:
    instance_id = inject_once(server, "refuse", seconds=1.5)
    with requests.Session() as kept_alive:
        url = f"{server.url}/v1/connected_user"
        assert kept_alive.get(url, headers={"Authorization": server.token}, timeout=5).ok
        with pytest.raises(requests.ConnectionError):
            create(server, instance_id)
        with pytest.raises(requests.ConnectionError, match="refused"):
            requests.get(url, timeout=5)

    def is_back() -> bool:
        try:
            return server.send("GET", "connected_user").ok
        except requests.ConnectionError:
            return False

    server.wait_until(is_back, 10)
    assert server.executions(instance_id) == []
    assert server.terminate() == 0
    server.start()


@pytest.mark.parametrize(("kind", "made"), [("timeout_before", 0), ("timeout_after", 1)])
def test_a_client_that_times_out_cannot_know_whether_the_work_was_done(
    server: SandboxServer, kind: str, made: int
) -> None:
    instance_id = inject_once(server, kind, seconds=30)
    with pytest.raises(requests.ReadTimeout):
        create(server, instance_id, timeout_s=0.3)
    assert len(server.executions(instance_id)) == made


def test_a_client_with_a_long_timeout_gets_the_late_answer(server: SandboxServer) -> None:
    instance_id = inject_once(server, "timeout_after", seconds=0.2)
    started = time.monotonic()
    assert create(server, instance_id).json()["data"]["id"]
    assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize("kind", ["401", "403", "429", "500", "502", "503", "504"])
@pytest.mark.parametrize("work_done", [False, True])
def test_a_status_is_answered_in_the_wrapper(server: SandboxServer, kind: str, work_done: bool) -> None:
    instance_id = inject_once(server, kind, work_done=work_done)
    answer = create(server, instance_id)
    assert answer.status_code == int(kind)
    assert answer.json()["error_id"]
    assert "retry-after" not in answer.headers
    assert len(server.executions(instance_id)) == int(work_done)


@pytest.mark.parametrize("retry_after", [3, "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_retry_after_can_be_seconds_or_a_date(server: SandboxServer, retry_after: Any) -> None:
    instance_id = inject_once(server, "429", retry_after=retry_after)
    assert create(server, instance_id).headers["retry-after"] == str(retry_after)


def test_a_gateway_answers_in_html(server: SandboxServer) -> None:
    answer = create(server, inject_once(server, "html"))
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")


def test_a_body_is_cut_off_by_a_closed_connection(server: SandboxServer) -> None:
    instance_id = inject_once(server, "cut_json")
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        create(server, instance_id)
    assert len(server.executions(instance_id)) == 1


def test_a_body_is_cut_off_as_if_it_were_whole(server: SandboxServer) -> None:
    instance_id = inject_once(server, "cut_json", variant="complete", share=0.8)
    answer = create(server, instance_id)
    assert answer.status_code == 200
    assert answer.text.startswith('{"status": "ok"')
    with pytest.raises(requests.exceptions.JSONDecodeError):
        answer.json()
    assert len(server.executions(instance_id)) == 1


def test_a_slow_body_drips_and_is_whole(server: SandboxServer) -> None:
    instance_id = inject_once(server, "slow", bytes_at_a_time=100, delay_s=0.05)
    started = time.monotonic()
    assert create(server, instance_id).json()["status"] == "ok"
    assert time.monotonic() - started > 0.15


def test_a_duplicated_request_is_carried_out_twice(server: SandboxServer) -> None:
    instance_id = inject_once(server, "duplicate")
    answered = create(server, instance_id).json()["data"]["id"]
    assert [each["id"] for each in server.executions(instance_id)][1:] == [answered]


def test_an_error_can_come_with_http_200(server: SandboxServer) -> None:
    instance_id = inject_once(server, "error_200")
    answer = create(server, instance_id)
    assert (answer.status_code, answer.json()["status"]) == (200, "error")
    assert server.executions(instance_id) == []


def test_any_status_headers_and_bytes_can_be_answered(server: SandboxServer) -> None:
    content = base64.b64encode(b"\x00\xff{").decode()
    instance_id = inject_once(server, "body", status=299, headers={"X-Odd": "é"}, body_base64=content)
    answer = create(server, instance_id)
    assert (answer.status_code, answer.content) == (299, b"\x00\xff{")
    assert "X-Odd" in answer.headers
    instance_id = inject_once(server, "body", raw_base64=base64.b64encode(b"nonsense").decode())
    with pytest.raises(requests.ConnectionError):
        create(server, instance_id)


def test_a_created_execution_shows_in_lists_only_after_a_while(server: SandboxServer) -> None:
    instance_id = server.create_instance()
    server.faults([{"kind": "stale_list", "parameters": {"seconds": 60}}])
    execution = server.create_execution(instance_id)
    own = f"integration_batch_instances/{instance_id}/executions"

    def listed() -> list[bool]:
        whole = server.send("GET", LISTS, organisation_id="1185", max_results=1000).json()
        part = server.send("GET", own).json()
        assert part["total"] == len(part["data"])
        return [any(each["id"] == execution["id"] for each in page["data"]) for page in (whole, part)]

    assert listed() == [False, False]
    assert server.call("GET", f"{own}/{execution['id']}")["id"] == execution["id"]
    server.faults([{"kind": "stale_list", "parameters": {"seconds": 0.2}}])
    server.wait_until(lambda: listed() == [True, True])


def test_a_stale_list_goes_together_with_another_fault(server: SandboxServer) -> None:
    instance_id = server.create_instance()
    server.faults([{"kind": "stale_list", "parameters": {"seconds": 9}}, {"kind": "duplicate"}])
    server.create_execution(instance_id)
    assert server.call("GET", f"integration_batch_instances/{instance_id}/executions") == []
    assert len(server.executions(instance_id)) == 2
    assert server.injected() == {"duplicate": 2, "stale_list": 1}


def test_the_admin_routes_get_no_faults_and_are_not_counted(server: SandboxServer) -> None:
    server.faults([{"kind": "drop_before"}])
    for _ in range(3):
        server.executions()
    assert server.counters() == {}
    assert server.injected() == {}


def test_dropped_requests_are_counted_by_method_and_route(server: SandboxServer) -> None:
    instance_id = inject_once(server, "drop_before")
    server.reset_counters()
    with pytest.raises(requests.ConnectionError):
        create(server, instance_id)
    create(server, instance_id)
    server.set_property(instance_id, "sandbox.outcome", "fail")
    assert server.counters() == {
        "POST /v1/integration_batch_instances/{id}/executions": 2,
        "PUT /v1/integration_batch_instances/{id}/properties/technical_name={name}": 1,
    }
    dropped, seen, _ = server.seen_requests()
    assert (dropped["status"], seen["status"]) == (None, 200)
    assert '"MANUAL"' in seen["body"]
    assert server.token not in str(server.seen_requests())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "refuse"])
def test_after_a_fault_the_connection_or_a_new_one_works(server: SandboxServer, kind: str) -> None:
    server.faults([{"kind": kind, "times": 1, "parameters": {"seconds": 0.05, "delay_s": 0}}])
    with requests.Session() as session:
        session.headers["Authorization"] = server.token
        url = f"{server.url}/v1/connected_user"
        with suppress(requests.RequestException, ValueError):
            session.get(url, timeout=5).json()
        assert session.get(url, timeout=5).json()["status"] == "ok"
    assert server.injected() == {kind: 1}
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("work_done", [False, True])
@pytest.mark.parametrize(
    ("kind", "parameters", "status", "text"),
    [
        ("gateway", {"status": 404}, 404, "no Route matched"),
        ("gateway", {"status": 403}, 403, "no Route matched"),
        ("html", {"status": 404}, 404, "<html>"),
        ("login", {}, 200, "Sign in"),
    ],
)
def test_what_stands_before_the_platform_answers_without_its_wrapper(
    server: SandboxServer, kind: str, parameters: dict[str, Any], status: int, text: str, work_done: bool
) -> None:
    instance_id = inject_once(server, kind, work_done=work_done, **parameters)
    answer = create(server, instance_id)
    assert answer.status_code == status
    assert text in answer.text
    assert '"status"' not in answer.text
    assert len(server.executions(instance_id)) == int(work_done)
