"""Whatever stands in the way, the report says what, the exit status is 2, and the token stays secret."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args

import pytest

from airflow_provider_mics.doctor.checks.platform_readings import CHECKS
from airflow_provider_mics.sandbox.faults import Kind
from tests.doctor.runs import TOKEN, Doctor, Run
from tests.raw_server import RawServer, Reply, free_port, http
from tests.sandbox_server import SandboxServer

LOGIN = b"<html><head><title>Sign in</title></head><body>Corporate login</body></html>"


def nothing_was_asked(run: Run) -> bool:
    return run.status == 2 and all(run.rows[check]["result"] == "not asked" for check in CHECKS)


def test_a_wrong_token_is_said_with_where_to_get_another(doctor: Doctor) -> None:
    doctor.set(TOKEN="another-token")
    run = doctor.run()
    assert nothing_was_asked(run)
    result, found = run.of("token")
    assert (result, "error_id" in found) == ("not asked", True)
    assert "My account > API tokens" in run.rows["token"]["set"]
    assert "another-token" not in run.out + run.err


def test_a_token_that_an_html_page_refuses_is_refused(platform: SandboxServer, doctor: Doctor) -> None:
    platform.quirks(errors_as="html", connected_user="404")
    doctor.set(TOKEN="another-token")
    run = doctor.run()
    assert nothing_was_asked(run)
    assert "refuses the token" in run.rows["token"]["means"]


def test_without_an_organisation_those_of_the_token_are_named(doctor: Doctor) -> None:
    doctor.set(ORGANISATION_ID=None)
    run = doctor.run()
    assert nothing_was_asked(run)
    assert run.of("token")[0] == "ok"
    assert run.of("organisation") == ("to do", "none is set")
    assert (
        run.rows["organisation"]["set"]
        == "Set organisation_id: one of 1185 (Acme Retail), 1186 (Organisation 1186)."
    )


def test_an_organisation_of_others_is_refused_and_the_own_ones_are_named(doctor: Doctor) -> None:
    doctor.set(ORGANISATION_ID="77")
    run = doctor.run()
    assert nothing_was_asked(run)
    assert run.of("organisation")[0] == "to do"
    assert "1185 (Acme Retail)" in run.rows["organisation"]["set"]


def test_without_an_organisation_and_a_user_nothing_proves_the_token(
    platform: SandboxServer, doctor: Doctor
) -> None:
    platform.quirks(connected_user="404")
    doctor.set(ORGANISATION_ID=None)
    run = doctor.run()
    assert nothing_was_asked(run)
    assert run.of("token")[0] == "not asked"


def test_an_outage_is_said(doctor: Doctor) -> None:
    doctor.set(HOST=f"http://127.0.0.1:{free_port()}")
    run = doctor.run()
    assert nothing_was_asked(run)
    assert "cannot be reached" in run.rows["token"]["means"]
    assert run.of("latency") == ("not asked", "no answer came")


@pytest.mark.parametrize("status", [200, 401, 404, 503])
def test_a_page_of_something_else_is_not_taken_for_the_platform(doctor: Doctor, status: int) -> None:
    with RawServer([http(status, LOGIN, content_type="text/html")]) as gateway:
        doctor.set(HOST=gateway.url)
        run = doctor.run()
    assert nothing_was_asked(run)
    assert run.of("token")[0] == "not asked"
    assert run.rows["token"]["set"]


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'{"status": "UP"}', b"", b"\xff\xfe\x00", b"42"])
def test_an_answer_without_the_wrapper_is_not_taken_for_the_platform(doctor: Doctor, body: bytes) -> None:
    with RawServer([http(200, body)]) as gateway:
        doctor.set(HOST=gateway.url)
        run = doctor.run()
    assert nothing_was_asked(run)


def test_a_server_that_repeats_the_token_does_not_get_it_printed(doctor: Doctor) -> None:
    with RawServer(
        [http(200, f"<html>Your token {TOKEN} is good</html>".encode(), x_ratelimit_of=TOKEN)]
    ) as gateway:
        doctor.set(HOST=gateway.url)
        assert nothing_was_asked(doctor.run())


@contextmanager
def proxy_to(server: SandboxServer) -> Iterator[RawServer]:
    """A proxy that asks the sandbox for each request that it gets."""
    proxy = RawServer([])

    class Forward(Reply):
        def send(self, connection: Any, stopped: Any) -> bool:
            request = proxy.requests[-1]
            path = request.target.removeprefix(server.url)
            answer = server._session.request(
                request.method,
                server.url + path,
                headers={"Authorization": request.headers["authorization"]},
                timeout=10,
            )
            content = http(
                answer.status_code, answer.content, via="1.1 corporate", date=answer.headers["date"]
            )
            connection.sendall(content)
            return True

    proxy.replies = [Forward()]
    with proxy:
        yield proxy


def test_a_proxy_is_named_without_its_password(platform: SandboxServer, doctor: Doctor) -> None:
    with proxy_to(platform) as proxy:
        doctor.set(PROXIES=f"http://somebody:secret-word@127.0.0.1:{proxy.port}")
        run = doctor.run()
    assert run.status == 0
    assert run.of("network") == (
        "ok",
        f"{platform.url}: proxy http://127.0.0.1:{proxy.port} of the setting proxies, via: 1.1 corporate",
    )
    assert "secret-word" not in run.out + run.err
    assert {each.target.startswith(platform.url) for each in proxy.requests} == {True}


def test_a_proxy_that_refuses_is_not_taken_for_the_platform(doctor: Doctor) -> None:
    with RawServer([http(407, b"<html>Proxy login</html>", content_type="text/html")]) as proxy:
        doctor.set(
            PROXIES=f"http://somebody:secret-word@127.0.0.1:{proxy.port}", HOST="http://platform.invalid"
        )
        run = doctor.run()
    assert nothing_was_asked(run)
    assert f"proxy http://127.0.0.1:{proxy.port}" in run.of("network")[1]
    assert "secret-word" not in run.out + run.err


def test_a_proxy_that_is_down_is_an_outage(doctor: Doctor) -> None:
    doctor.set(PROXIES=f"http://127.0.0.1:{free_port()}", HOST="http://platform.invalid")
    assert nothing_was_asked(doctor.run())


def test_rate_limits_are_seen_also_where_the_client_asks_again(
    platform: SandboxServer, doctor: Doctor
) -> None:
    platform.faults([{"kind": "429", "times": 2, "after": 3, "parameters": {"retry_after": "0"}}])
    run = doctor.run()
    result, found = run.of("rate limits")
    assert (result, run.status) == ("to do", 1)
    assert "2 requests refused with 429, asked to wait 0 s" in found
    assert "retry in" in run.err


def test_an_outage_that_begins_on_the_way_keeps_what_was_found(
    platform: SandboxServer, doctor: Doctor
) -> None:
    platform.faults([{"kind": "drop_before", "after": 8}])
    run = doctor.run()
    assert run.status == 2
    assert run.of("crons")[0] == "ok"
    assert run.of("list order")[0] == "not asked"
    assert "no response" in run.of("list order")[1]


def test_a_list_that_fails_does_not_keep_the_others_from_being_asked(
    platform: SandboxServer, doctor: Doctor
) -> None:
    platform.faults([{"kind": "500", "path": r"\.executions"}])
    run = doctor.run()
    assert run.status == 2
    assert run.of("organisation's executions")[0] == "not asked"
    # The instances' own lists have the evidence too.
    assert run.of("time zone")[0] == "ok"


def test_nothing_more_is_asked_after_the_time_limit(platform: SandboxServer, doctor: Doctor) -> None:
    run = doctor.run("--time-limit", "0.000001")
    assert nothing_was_asked(run)
    assert "timed out: not done within 1e-06 s" in run.of("token")[1]
    assert "--time-limit" in run.rows["token"]["set"]
    assert sum(platform.counters().values()) == run.document["requests"] == 0


PARAMETERS: dict[str, dict[str, Any]] = {
    "timeout_before": {"seconds": 0.05},
    "timeout_after": {"seconds": 0.05},
    "slow": {"delay_s": 0.0, "bytes_at_a_time": 4096},
    "body": {"status": 200, "body": '{"status": "ok", "data": 17}'},
    "stale_list": {"seconds": 1e9},
}
HARMLESS = {"timeout_before", "timeout_after", "slow", "duplicate", "stale_list"}
KINDS = [kind for kind in get_args(Kind) if kind != "refuse"]
"""All but a closed port, which has its own test."""


@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_on_each_request_ends_in_a_report(
    platform: SandboxServer, doctor: Doctor, kind: str
) -> None:
    platform.faults([{"kind": kind, "parameters": PARAMETERS.get(kind, {})}])
    run = doctor.run()
    assert run.document["rows"]
    if kind not in HARMLESS:
        assert nothing_was_asked(run)


@pytest.mark.parametrize("seed", range(6))
def test_faults_here_and_there_end_in_a_report(platform: SandboxServer, doctor: Doctor, seed: int) -> None:
    draw = random.Random(seed)
    rules = [
        {"kind": kind, "probability": 0.15, "parameters": PARAMETERS.get(kind, {})}
        for kind in draw.sample(KINDS, 4)
    ]
    platform.faults(rules, seed=seed)
    run = doctor.run()
    assert run.status in (0, 1, 2)
    assert set(CHECKS) <= set(run.rows)
