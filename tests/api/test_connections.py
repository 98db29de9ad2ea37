"""Connections are kept, and a request is sent again only where that is safe."""

from __future__ import annotations

import json

import pytest

from airflow_provider_mics.api import (
    MicsConnectionError,
    MicsResponseError,
    delete_instance,
    get_instance,
    transport,
)
from tests.api.both_clients import client_of
from tests.api.exchanges import CREATE, CUT, EXECUTION, GOOD, INSTANCE, failure
from tests.raw_server import RawServer, Reply, chunked, free_port, http, zipped


class TestConnections:
    FORMS: dict[str, bytes] = {  # noqa: RUF012
        "Content-Length": GOOD,
        "chunks": chunked(*[bytes([each]) for each in json.dumps(INSTANCE).encode()]),
        "gzip": http(200, zipped(INSTANCE), Content_Encoding="gzip"),
        "gzip in chunks": chunked(zipped(INSTANCE)[:20], zipped(INSTANCE)[20:], Content_Encoding="gzip"),
    }

    @pytest.mark.parametrize("answer", FORMS.values(), ids=FORMS.keys())
    def test_are_kept_and_used_again_in_every_form_of_an_answer(self, kind, answer):
        with RawServer([answer]) as server, client_of(kind, server.url) as client:
            for _ in range(5):
                assert client.run(get_instance("42")).name == "nightly"
            assert (server.connections, len(server.requests)) == (1, 5)

    @pytest.mark.parametrize(
        "answer",
        [
            http(404, {"status": "error", "error": "no"}),
            http(302, b"moved", Location="/"),
            b"HTTP/1.1 204 Empty\r\n\r\n",
        ],
        ids=["404", "302", "204"],
    )
    def test_are_kept_after_a_refusal_too(self, kind, answer):
        with RawServer([answer]) as server, client_of(kind, server.url) as client:
            for _ in range(3):
                failure(client)
            assert server.connections == 1

    def test_are_left_after_an_answer_that_was_not_read_to_its_end(self, kind, monkeypatch):
        monkeypatch.setattr(transport, "LARGEST_BODY", 1000)
        with RawServer([http(200, b" " * 500_000), GOOD]) as server, client_of(kind, server.url) as client:
            failure(client)
            assert client.run(get_instance("42")).id == "42"
            assert server.connections == 2

    def test_that_the_server_closed_meanwhile_are_made_anew_for_what_can_be_repeated(self, kind):
        replies: list[Reply | bytes] = [Reply(GOOD, then="close"), GOOD]
        with RawServer(replies) as server, client_of(kind, server.url) as client:
            assert [client.run(get_instance("42")).id for _ in range(2)] == ["42", "42"]

    def test_are_closed_with_the_client(self, kind):
        with RawServer([GOOD]) as server:
            with client_of(kind, server.url) as client:
                client.run(get_instance("42"))
            with client_of(kind, server.url) as client:
                client.run(get_instance("42"))
            assert server.connections == 2


class TestAnAnswerThatIsNotWhole:
    @pytest.mark.parametrize("reply", CUT.values(), ids=CUT.keys())
    def test_is_an_error_and_never_a_short_success(self, kind, reply):
        with RawServer([reply]) as server, client_of(kind, server.url, max_retries=0) as client:
            error = failure(client)
            assert isinstance(error, MicsConnectionError | MicsResponseError)
            assert str(error).startswith("GET /v1/integration_batch_instances/42: ")

    @pytest.mark.parametrize(
        "name", ["nothing", "a reset", "no last chunk", "a shorter body than its length"]
    )
    def test_is_asked_for_again_where_that_is_safe(self, kind, name):
        with RawServer([CUT[name], CUT[name], GOOD]) as server, client_of(kind, server.url) as client:
            assert client.run(get_instance("42")).id == "42"
            assert len(server.requests) == 3

    @pytest.mark.parametrize("name", ["nothing", "a reset", "no last chunk", "half a gzip", "garbage"])
    def test_to_a_post_is_never_followed_by_a_second_post(self, kind, name):
        with RawServer([CUT[name], http(200, EXECUTION)]) as server, client_of(kind, server.url) as client:
            error = failure(client, CREATE)
            assert not getattr(error, "certainly_not_sent", False)
            assert len(server.requests) == 1

    def test_says_what_happened(self, kind):
        with RawServer([CUT["a reset"]]) as server, client_of(kind, server.url, max_retries=0) as client:
            assert str(failure(client)).startswith(
                f"GET /v1/integration_batch_instances/42: no response from {server.url}: "
            )


POSTS: dict[str, tuple[list[Reply | bytes], int]] = {
    "429": ([http(429, b"slow down")], 2),
    "429 with Retry-After": ([http(429, b"slow down", Retry_After="1")], 2),
    "503 with Retry-After": ([http(503, b"", Retry_After="1")], 2),
    "503 with a date": (
        [http(503, b"", Date="Mon, 02 Mar 2026 12:00:00 GMT", Retry_After="Mon, 02 Mar 2026 12:00:09 GMT")],
        2,
    ),
    "503": ([http(503, b"")], 1),
    "500": ([http(500, b"")], 1),
    "502": ([http(502, b"<html>")], 1),
    "504": ([http(504, b"")], 1),
    "204": ([b"HTTP/1.1 204 Empty\r\n\r\n"], 1),
    "HTML with 200": ([http(200, b"<html>")], 1),
    "cut-off JSON": ([http(200, b'{"status": "ok", "da')], 1),
    "a redirect": ([http(307, b"", Location="/v1/elsewhere")], 1),
}


@pytest.mark.parametrize(("replies", "requests"), POSTS.values(), ids=POSTS.keys())
def test_a_post_is_sent_again_only_where_the_platform_refused_it(kind, replies, requests):
    with RawServer([*replies, http(200, EXECUTION)]) as server, client_of(kind, server.url) as client:
        if requests == 2:
            assert client.run(CREATE).id == "9"
        else:
            failure(client, CREATE)
        assert len(server.requests) == requests
        assert {request.body for request in server.requests} == {server.requests[0].body}


def test_a_post_that_was_refused_at_the_door_is_sent_again(kind):
    port = free_port()
    with client_of(kind, f"http://127.0.0.1:{port}", max_retries=2) as client:
        error = failure(client, CREATE)
        assert isinstance(error, MicsConnectionError)
        assert error.certainly_not_sent
        assert "Connection refused" in str(error) or "call failed" in str(error)
        assert len(client.pauses) == 2


def test_an_unknown_host_is_certainly_not_sent_to(kind):
    with client_of(kind, "http://no-such-host.invalid", max_retries=0) as client:
        error = failure(client, CREATE)
        assert isinstance(error, MicsConnectionError)
        assert error.certainly_not_sent


def test_what_was_handled_before_says_nothing_of_this_request(kind):
    """The refused connection of an earlier request must not make a lost one look as if it was not sent."""
    with RawServer([CUT["a reset"]]) as server, client_of(kind, server.url, max_retries=0) as client:
        try:
            with client_of(kind, f"http://127.0.0.1:{free_port()}", max_retries=0) as other:
                other.run(get_instance("42"))
        except MicsConnectionError as refused:
            assert refused.certainly_not_sent  # noqa: PT017 - the next request is made while this is handled
            error = failure(client, CREATE)
        assert isinstance(error, MicsConnectionError)
        assert not error.certainly_not_sent
        assert "refused" not in str(error)


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        ({"Retry_After": "7"}, 7),
        ({"Date": "Mon, 02 Mar 2026 12:00:00 GMT", "Retry_After": "Mon, 02 Mar 2026 12:00:09 GMT"}, 9),
    ],
)
def test_the_platforms_wish_to_wait_is_met(kind, headers, least):
    replies = [http(503, b"", **headers), GOOD]
    with RawServer([*replies]) as server, client_of(kind, server.url) as client:
        client.run(get_instance("42"))
        assert least <= client.pauses[0] < 25


def test_a_delete_whose_answer_was_lost_is_done(kind):
    gone = http(404, {"status": "error", "error": "gone"})
    with RawServer([CUT["a reset"], gone]) as server, client_of(kind, server.url) as client:
        assert client.run(delete_instance("42")) is None
        assert len(server.requests) == 2


def test_a_gateways_404_does_not_say_that_a_delete_was_done(kind):
    with RawServer([CUT["a reset"], http(404, b"gone")]) as server, client_of(kind, server.url) as client:
        assert "gone (HTTP 404)" in str(failure(client, delete_instance("42")))
