"""Both clients read the same answer alike, whatever HTTP allows; and no request gets the answer to another."""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest

from airflow_provider_mics import api
from tests.api.both_clients import KINDS, client_of
from tests.raw_server import RawServer, Reply, chunked, http, zipped

both = pytest.mark.parametrize("kind", KINDS)


def instance(number: object, **fields: object) -> dict[str, object]:
    return {"status": "ok", "data": {"id": str(number), **fields}}


def outcome(client: object, job: object) -> str:
    try:
        value = client.run(job)  # type: ignore[attr-defined]
    except api.MicsError as error:
        return type(error).__name__
    return f"{type(value).__name__} {getattr(value, 'id', value)}"


INTERIM = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nContent-Length: 5\r\n\r\n",
    "104": b"HTTP/1.1 104 Upload Resumption Supported\r\n\r\n",
    "199 without a reason": b"HTTP/1.1 199\r\nX: y\r\n\r\n",
    "all of them": b"".join(b"HTTP/1.1 %d Any\r\n\r\n" % status for status in (100, 102, 103, 100, 103)),
    "forty": b"HTTP/1.1 102 Processing\r\n\r\n" * 40,
}


@both
@pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM)
@pytest.mark.parametrize("is_split", [True, False])
def test_interim_answers_are_skipped(kind: str, interim: bytes, is_split: bool) -> None:
    def reply(number: int) -> Reply:
        final = http(200, instance(number))
        return Reply(interim, final, pause=0.02) if is_split else Reply(interim + final)

    with RawServer([reply(number) for number in (1, 2, 3)]) as server, client_of(kind, server.url) as client:
        got = [outcome(client, api.get_instance(str(number))) for number in (1, 2)]
        assert got == ["Instance 1", "Instance 2"]
        assert outcome(client, api.create_instance("g", "a", "n")) == "Instance 3"
        assert server.connections == 1


@both
def test_a_switch_of_protocols_is_an_error_and_ends_the_connection(kind: str) -> None:
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"
    with (
        RawServer([switch, http(200, instance(2))]) as server,
        client_of(kind, server.url, max_retries=0) as client,
    ):
        assert outcome(client, api.get_instance("1")) != "Instance 1"
        assert outcome(client, api.get_instance("2")) == "Instance 2"


@both
@pytest.mark.parametrize(
    "first",
    [
        http(200, instance(1)) * 2,
        http(200, instance(1)) + http(408, b"bye"),
        b"HTTP/1.1 204 No Content\r\n\r\n" + http(200, instance(1)),
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
        http(200, instance(1), length=len(json.dumps(instance(1)))) + b"garbage",
        chunked(json.dumps(instance(1)).encode()) + b"0\r\n\r\n" + http(200, instance(9)),
    ],
    ids=["twice", "another status", "after a 204", "a 304 with a body", "garbage", "after chunks"],
)
def test_what_follows_an_answer_is_not_the_answer_to_the_next_request(kind: str, first: bytes) -> None:
    replies = [first, http(200, instance(2)), http(200, instance(3))]
    with RawServer(replies) as server, client_of(kind, server.url, max_retries=0) as client:
        outcome(client, api.get_instance("1"))
        assert [outcome(client, api.get_instance(number)) for number in "23"] == ["Instance 2", "Instance 3"]


GETS = {
    "instance": api.get_instance,
    "execution": lambda number: api.get_execution("42", number),
    "plugin": api.get_plugin,
    "version": lambda number: api.get_plugin_version("1", number),
    "an instance to change": lambda number: api.update_instance(number, name="new"),
    "an execution to cancel": lambda number: api.cancel_execution("42", number),
}


@both
@pytest.mark.parametrize("name", GETS)
def test_the_id_in_an_answer_is_the_one_that_was_asked_for(kind: str, name: str) -> None:
    with (
        RawServer([http(200, instance(8, status="SUCCEEDED"))]) as server,
        client_of(kind, server.url) as client,
    ):
        with pytest.raises(api.MicsResponseError) as failure:
            client.run(GETS[name]("7"))
        # An execution that its own route does not give is looked for in the list too.
        assert "the response is of id 8, not of 7" in str(failure.value) or "execution" in name
        assert all(request.method == "GET" for request in server.requests)


def headers(count: int, size: int = 10) -> dict[str, str]:
    return {f"X_{number}": "v" * size for number in range(count)}


BODY = json.dumps(instance(7)).encode()
PATIENT = (20.0, 60.0)
"""Seconds to connect and to read: on a busy machine 2,000 headers take some to read."""
ANSWERS = {
    "200 headers": (http(200, BODY, **headers(200)), "Instance 7"),
    "2,000 headers": (http(200, BODY, **headers(2000)), "Instance 7"),
    "a header of 70,000 bytes": (http(200, BODY, **headers(1, 70_000)), "Instance 7"),
    "headers of 200,000 bytes": (http(200, BODY, **headers(20, 10_000)), "MicsConnectionError"),
    "200 headers before the length": (
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
        "Instance 7",
    ),
    "200 headers and chunks": (chunked(BODY, **headers(200)), "Instance 7"),
    "200 headers and gzip": (
        http(200, zipped(instance(7)), **headers(200), Content_Encoding="gzip"),
        "Instance 7",
    ),
    **{
        f"Content-Encoding {name!r}": (http(200, BODY, Content_Encoding=name), "Instance 7")
        for name in ("none", "utf-8", "UTF-8", "identity", "binary", "", "8bit", "identity, identity", "json")
    },
    "gzip, identity": (http(200, zipped(instance(7)), Content_Encoding="gzip, identity"), "Instance 7"),
    "X-GZIP": (http(200, zipped(instance(7)), Content_Encoding="X-GZIP"), "Instance 7"),
    "br": (http(200, BODY, Content_Encoding="br"), "MicsResponseError"),
    "304": (b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", "MicsApiError"),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", "MicsResponseError"),
    "205 without a body": (http(205), "MicsResponseError"),
    "another charset": (http(200, BODY, Content_Type="application/json; charset=utf-16"), "Instance 7"),
    "no JSON type": (http(200, BODY, Content_Type="text/html"), "Instance 7"),
    "UTF-16": (http(200, BODY.decode().encode("utf-16")), "Instance 7"),
    "UTF-16 without a mark": (http(200, BODY.decode().encode("utf-16-le")), "Instance 7"),
    "UTF-32": (http(200, BODY.decode().encode("utf-32")), "Instance 7"),
    "a byte order mark": (http(200, b"\xef\xbb\xbf" + BODY), "Instance 7"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\n" + BODY, "Instance 7"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY, "Instance 7"),
    "an HTML page": (http(502, b"<html><h1>Bad Gateway</h1></html>"), "MicsApiError"),
    "an empty 500": (http(500), "MicsApiError"),
    "nothing": (b"", "MicsConnectionError"),
    "cut off": (http(200, BODY, length=1000), "MicsConnectionError"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n", "MicsConnectionError"),
}


@pytest.mark.parametrize(("answer", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_both_clients_read_it_alike(answer: bytes, expected: str) -> None:
    with RawServer([Reply(answer, then="close")]) as server, ExitStack() as stack:
        clients = [
            stack.enter_context(client_of(kind, server.url, max_retries=0, timeout=PATIENT)) for kind in KINDS
        ]
        got = [outcome(client, api.get_instance("7")) for client in clients]
    assert got == [expected, expected]


def test_a_304_is_not_called_a_redirect() -> None:
    with RawServer([ANSWERS["304"][0]]) as server, client_of("blocking", server.url) as client:
        with pytest.raises(api.MicsApiError, match="answers from its own memory") as failure:
            client.run(api.get_instance("7"))
        assert "redirect" not in str(failure.value)


PUTS = {
    "instance": (lambda: api.update_instance("7", name="new"), {"id": "7", "name": "new"}),
    "execution": (
        lambda: api.update_execution("42", "7", status="CANCELED"),
        {"id": "7", "status": "CANCELED"},
    ),
    "property": (
        lambda: api.set_instance_property("7", {"technical_name": "x", "value": {"value": "a\0b"}}),
        {"technical_name": "x", "value": {"value": "a\0b"}},
    ),
}


@both
@pytest.mark.parametrize("name", PUTS)
@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 204 No Content\r\n\r\n", http(200), http(202, b"\r\n"), http(205)]
)
def test_a_put_without_an_answer_in_its_body_was_done(kind: str, name: str, answer: bytes) -> None:
    job, expected = PUTS[name]
    replies = (
        [answer] if name == "property" else [http(200, instance(7, name="old", status="RUNNING")), answer]
    )
    with RawServer([Reply(each) for each in replies]) as server, client_of(kind, server.url) as client:
        written = client.run(job())
        shown = written.to_json()
        assert {field: shown[field] for field in expected} == expected
        assert server.requests[-1].method == "PUT"
        assert json.loads(server.requests[-1].body) == expected | json.loads(server.requests[-1].body)
