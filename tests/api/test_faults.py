"""Both clients against a real platform at which requests fail: what was sent, and what was carried out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_mics.api import (
    MicsAuthError,
    MicsConnectionError,
    MicsError,
    create_execution,
    get_connected_user,
    get_execution,
    get_instance,
    list_executions,
    list_instances,
    update_instance,
)
from tests.api.any_json import bodies
from tests.api.both_clients import KINDS, client_of
from tests.case_counts import cases
from tests.raw_server import RawServer, http
from tests.sandbox_server import SandboxServer

UNCLEAR: dict[str, dict[str, Any]] = {
    "dropped before": {"kind": "drop_before"},
    "dropped after": {"kind": "drop_after"},
    "timed out before": {"kind": "timeout_before", "parameters": {"seconds": 3}},
    "timed out after": {"kind": "timeout_after", "parameters": {"seconds": 3}},
    "500 after the work": {"kind": "500", "parameters": {"work_done": True}},
    "502 after the work": {"kind": "502", "parameters": {"work_done": True}},
    "503 after the work": {"kind": "503", "parameters": {"work_done": True}},
    "504": {"kind": "504"},
    "HTML": {"kind": "html", "parameters": {"work_done": True}},
    "HTML with 200": {"kind": "html", "parameters": {"work_done": True, "status": 200}},
    "cut-off JSON": {"kind": "cut_json"},
    "cut-off JSON as if whole": {"kind": "cut_json", "parameters": {"variant": "complete"}},
    "an error with 200": {"kind": "error_200", "parameters": {"work_done": True}},
}
REFUSED: dict[str, dict[str, Any]] = {
    "429": {"kind": "429"},
    "429 with Retry-After": {"kind": "429", "parameters": {"retry_after": "3"}},
    "503 with Retry-After": {"kind": "503", "parameters": {"retry_after": "3"}},
}
REPEATABLE = ("dropped before", "dropped after", "502 after the work", "503 after the work", "504")


def new_instance(platform: SandboxServer) -> str:
    """An instance of a plugin of this test's own."""
    return platform.create_instance(artifact_id=f"batch-of-{platform.organisation_id}")


@pytest.mark.parametrize("fault", UNCLEAR.values(), ids=UNCLEAR.keys())
def test_a_post_that_ends_unclearly_reaches_the_platform_once(platform, kind, fault):
    instance_id = new_instance(platform)
    platform.faults([{**fault, "method": "POST"}])
    with (
        client_of(kind, platform.url, platform.token, platform.organisation_id, timeout=1.0) as client,
        pytest.raises(MicsError) as raised,
    ):
        client.run(create_execution(instance_id, expected_start_date=0))
    assert not getattr(raised.value, "certainly_not_sent", False)
    path = f"/v1/integration_batch_instances/{instance_id}/executions"
    assert len([each for each in platform.seen_requests() if each["path"] == path]) <= 1
    assert sum(platform.injected().values()) == 1
    assert len(platform.executions(instance_id)) <= 1


@pytest.mark.parametrize("fault", REFUSED.values(), ids=REFUSED.keys())
def test_a_post_that_was_refused_is_carried_out_once_in_the_end(platform, client, fault):
    instance_id = new_instance(platform)
    platform.faults([{**fault, "method": "POST", "times": 3}])
    client.run(create_execution(instance_id, expected_start_date=0))
    assert len(platform.executions(instance_id)) == 1
    assert len(client.pauses) == 3


@pytest.mark.parametrize("name", REPEATABLE)
def test_what_can_be_repeated_is_until_it_is_done(platform, client, name):
    instance_id = new_instance(platform)
    platform.faults([{**UNCLEAR[name], "times": 2}])
    assert client.run(get_instance(instance_id)).id == instance_id
    platform.faults([{**UNCLEAR[name], "method": "PUT", "times": 2}])
    assert client.run(update_instance(instance_id, name="renamed")).name == "renamed"


def test_a_platform_that_is_down_is_one_line_after_the_retries(platform, kind):
    platform.faults([{"kind": "drop_before"}])
    with client_of(kind, platform.url, platform.token, max_retries=2) as client:
        with pytest.raises(MicsConnectionError) as raised:
            client.run(get_connected_user())
        assert str(raised.value).startswith(f"GET /v1/connected_user: no response from {platform.url}: ")
        assert len(client.pauses) == 2
        assert len(client.log.lines) == 2


def test_a_token_that_was_revoked_is_refused_at_once(platform, client):
    client.run(get_connected_user())
    platform.set_tokens({"another": [platform.organisation_id]})
    with pytest.raises(MicsAuthError):
        client.run(get_connected_user())
    assert client.pauses == []


def test_slow_bytes_are_read_to_their_end(platform, client):
    instance_id = new_instance(platform)
    platform.faults([{"kind": "slow", "parameters": {"bytes_at_a_time": 64, "delay_s": 0.01}}])
    assert client.run(get_instance(instance_id)).id == instance_id


JOBS = (
    get_instance("42"),
    get_execution("42", "9"),
    list_instances(),
    list_executions("42"),
    create_execution("42", expected_start_date=0),
    get_connected_user(),
)


@settings(max_examples=cases(60))
@given(
    answers=st.lists(st.tuples(st.integers(200, 599), bodies), min_size=1, max_size=3),
    job=st.sampled_from(JOBS),
    kind=st.sampled_from(KINDS),
)
def test_any_answer_over_http_gives_a_value_or_a_mics_error(answers, job, kind):
    replies = [http(status, body) for status, body in answers]
    with RawServer([*replies]) as server, client_of(kind, server.url, max_retries=1) as client:
        try:
            client.run(job)
        except MicsError as error:
            line = str(error)
            assert line.isprintable()
        assert len(server.requests) < 60
