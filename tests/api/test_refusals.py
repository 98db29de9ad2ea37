"""What a server says instead of an answer is one line, and the token goes nowhere but to it."""

from __future__ import annotations

import pytest

from airflow_provider_mics.api import (
    MicsApiError,
    MicsAuthError,
    MicsNotFoundError,
    MicsRateLimitError,
    get_instance,
)
from tests.api.both_clients import TOKEN, client_of
from tests.api.exchanges import CREATE, GOOD, failure
from tests.raw_server import RawServer, http

STATUSES = [
    (401, MicsAuthError),
    (403, MicsAuthError),
    (404, MicsNotFoundError),
    (429, MicsRateLimitError),
    (400, MicsApiError),
    (500, MicsApiError),
]


@pytest.mark.parametrize(("status", "error_type"), STATUSES)
@pytest.mark.parametrize(
    "body",
    [
        {"status": "error", "error": f"bad token {TOKEN}", "error_code": "C", "error_id": "id-7"},
        f"<html><body>bad token {TOKEN}</body></html>".encode(),
        f"bad token {TOKEN}".encode(),
    ],
    ids=["json", "html", "text"],
)
def test_a_refusal_in_any_form_is_one_line_without_the_token(kind, status, error_type, body):
    with RawServer([http(status, body)]) as server, client_of(kind, server.url, max_retries=0) as client:
        error = failure(client)
        is_platforms = isinstance(body, dict) or status == 429
        assert type(error) is (error_type if is_platforms else MicsApiError)
        assert f"bad token *** (HTTP {status}" in str(error)
        assert isinstance(body, bytes) or "error_id id-7" in str(error)


@pytest.mark.parametrize(
    ("status", "what_to_do"),
    [
        (401, "the token is wrong or has expired: check the password of the connection"),
        (
            403,
            "the token has no rights in that organisation, or not these: check organisation_id and the token",
        ),
        (404, "there is no such resource or route: check the ids, and the host of the connection"),
        (400, "no reason given"),
    ],
)
@pytest.mark.parametrize("body", [b"", b" \r\n", b"<html></html>"])
def test_a_refusal_without_a_reason_says_what_to_do(kind, status, what_to_do, body):
    with RawServer([http(status, body)]) as server, client_of(kind, server.url, max_retries=0) as client:
        assert str(failure(client)) == (
            f"GET /v1/integration_batch_instances/42: {what_to_do} (HTTP {status})"
        )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed_and_the_token_goes_nowhere_else(kind, status):
    with (
        RawServer([GOOD]) as elsewhere,
        RawServer([http(status, b"moved", Location=f"{elsewhere.url}/v1/x")]) as server,
        client_of(kind, server.url) as client,
    ):
        for job in (get_instance("42"), CREATE):
            error = failure(client, job)
            assert f"the platform redirects to {elsewhere.url}/v1/x: set the connection's host" in str(error)
        assert len(server.requests) == 2
        assert elsewhere.requests == []


@pytest.mark.parametrize(
    "location", ["", "::::", "http://[", "javascript:alert(1)", "//x:99999/", "\xff\xfe"]
)
def test_a_redirect_to_nowhere_is_one_line_too(kind, location):
    with RawServer([http(302, b"", Location=location)]) as server, client_of(kind, server.url) as client:
        assert str(failure(client)).startswith("GET /v1/integration_batch_instances/42: ")


def test_headers_of_an_answer_do_not_reach_the_log_as_lines(kind):
    injected = "id-7\\n2026-03-02 12:00:00 ERROR all your base\\u001b[31m"
    body = b'{"status": "error", "error": "no\\nno", "error_id": "%s"}' % injected.encode()
    with RawServer([http(400, body, Location="x\ty")]) as server, client_of(kind, server.url) as client:
        assert "no no (HTTP 400, error_id id-7 2026-03-02" in str(failure(client))


def test_no_library_logs_the_token(kind, caplog):
    caplog.set_level(0)
    with (
        RawServer([http(401, {"status": "error", "error": TOKEN})]) as server,
        client_of(kind, server.url) as client,
    ):
        failure(client)
        failure(client, CREATE)
    assert TOKEN not in caplog.text
