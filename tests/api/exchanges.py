"""Answers of a raw server, good and broken, and the error in which a request ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_mics.api import MicsError, create_execution, get_instance
from tests.api.both_clients import TOKEN, Client
from tests.raw_server import Reply, chunked, http, zipped

INSTANCE = {"status": "ok", "data": {"id": "42", "name": "nightly"}}
GOOD = http(200, INSTANCE)
EXECUTION = {"status": "ok", "data": {"id": "9", "status": "PENDING"}}
CREATE = create_execution("42", expected_start_date=0)


CUT: dict[str, Reply] = {
    "a shorter body than its length": Reply(http(200, INSTANCE, length=1000), then="close"),
    "the same, the connection reset": Reply(http(200, INSTANCE, length=1000), then="reset"),
    "whole JSON, yet not the whole body": Reply(http(200, b'{"data": {"id": 1}}', length=30), then="close"),
    "no last chunk": Reply(chunked(json.dumps(INSTANCE).encode(), end=b""), then="close"),
    "half a chunk": Reply(chunked(end=b"ff\r\n{"), then="close"),
    "a chunk of nonsense": Reply(chunked(end=b"zz\r\n\r\n"), then="close"),
    "half a gzip": Reply(http(200, zipped(INSTANCE)[:25], Content_Encoding="gzip")),
    "half a gzip in chunks": Reply(chunked(zipped(INSTANCE)[:25], Content_Encoding="gzip")),
    "nothing": Reply(then="close"),
    "a reset": Reply(then="reset"),
    "half a status line": Reply(b"HTTP/1.1 2", then="close"),
    "half its headers": Reply(b"HTTP/1.1 200 OK\r\nContent-", then="close"),
    "garbage": Reply(b"\x00\xff\x16\x03\x01 not HTTP at all\r\n\r\n", then="close"),
    "a status that is none": Reply(b"HTTP/1.1 99999 Huge\r\n\r\n", then="close"),
    "two lengths": Reply(http(200, INSTANCE, content_length="3"), then="close"),
    "a negative length": Reply(http(200, b"{}", length=-5), then="close"),
    "headers without end": Reply(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200_000, then="close"),
    "one endless header": Reply(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000, then="close"),
}


def failure(client: Client, job: Any = None) -> MicsError:
    """The error in which a request ends; the token is nowhere in it, nor in the log."""
    with pytest.raises(MicsError) as raised:
        client.run(job or get_instance("42"))
    error = raised.value
    assert str(error).isprintable()
    assert TOKEN not in f"{error} {error!r} {vars(error)} {client.log.lines}"
    return error
