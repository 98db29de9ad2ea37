"""Certificates are verified unless somebody says otherwise."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from airflow_provider_mics.api import MicsConnectionError, MicsError, get_instance
from tests.api.both_clients import client_of
from tests.api.exchanges import CREATE, GOOD, failure
from tests.raw_server import RawServer, Reply

# Made for these tests: valid for localhost and 127.0.0.1 from 2020 to 2120, trusted by nobody.
CERTIFICATE = Path(__file__).parent / "samples" / "loopback.pem"


def server_of(*replies: Reply | bytes, host: str = "127.0.0.1") -> RawServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return RawServer(list(replies), tls=context, host=host)


def test_a_certificate_that_nobody_vouches_for_ends_a_request_before_it_is_sent(kind):
    with server_of(GOOD) as server, client_of(kind, server.url) as client:
        error = failure(client, CREATE)
        assert isinstance(error, MicsConnectionError)
        assert "self-signed certificate" in str(error)
        assert error.certainly_not_sent
        assert not error.retriable
        assert client.pauses == []
        assert server.requests == []


def test_a_certificate_for_another_host_is_refused_too(kind):
    with (
        server_of(GOOD, host="127.0.0.2") as server,
        client_of(kind, server.url, verify=str(CERTIFICATE)) as client,
    ):
        error = failure(client)
        assert isinstance(error, MicsConnectionError)
        assert not error.retriable


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("verify", [str(CERTIFICATE), False])
def test_a_bundle_vouches_for_it_and_verification_can_be_turned_off(kind, verify):
    with server_of(GOOD) as server, client_of(kind, server.url, verify=verify) as client:
        for _ in range(3):
            assert client.run(get_instance("42")).id == "42"
        assert server.connections == 1


def test_a_connection_that_breaks_after_the_request_leaves_open_whether_it_was_carried_out(kind):
    with (
        server_of(Reply(then="reset")) as server,
        client_of(kind, server.url, verify=str(CERTIFICATE)) as client,
    ):
        error = failure(client, CREATE)
        assert isinstance(error, MicsConnectionError)
        assert not error.certainly_not_sent
        assert len(server.requests) == 1


def test_a_slow_answer_over_tls_ends_in_time_too(kind):
    drip = Reply(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", pause=0.05, repeat=10_000)
    with (
        server_of(drip) as server,
        client_of(kind, server.url, verify=str(CERTIFICATE), timeout=(5, 0.5), max_retries=0) as client,
    ):
        assert "timed out: no complete response within 0.5 s" in str(failure(client))


def test_a_server_that_does_not_speak_tls_is_one_line(kind):
    with (
        RawServer([GOOD]) as server,
        client_of(kind, server.url.replace("http:", "https:"), max_retries=0) as client,
    ):
        assert isinstance(failure(client), MicsConnectionError)


@pytest.mark.parametrize("name", ["/no/such/bundle.pem", __file__])
def test_a_bundle_that_cannot_be_read_is_one_line_before_any_request(kind, name):
    with (
        pytest.raises(MicsError, match=r"^verify '.*' is not a readable CA bundle: "),
        client_of(kind, "https://localhost", verify=name),
    ):
        pass
