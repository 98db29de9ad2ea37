"""Answers that no platform should give: drawn by hypothesis, made to hurt, and without end."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.raw_server import Reply, answer_of

ENDLESS_S = 30.0
"""Seconds after which an answer without end ends all the same, so that no test hangs."""

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "error", "ok", "", "1e999", "0"])
    | st.sampled_from([2**63, -(2**63), 10**400, 1772429400000, -1])
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FIELDS = [
    "id", "status", "parameters", "creation_date", "start_date", "duration", "num_tasks", "error", "result",
    "cron", "cron_status", "name", "organisation_id", "archived", "group_id", "artifact_id", "technical_name",
]  # fmt: skip
documents = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["7", 7]),
        "status": st.sampled_from(["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "X"]),
    },
    optional={
        "parameters": st.fixed_dictionaries(
            {},
            optional={
                "execution_type": st.sampled_from(["CRON", "MANUAL"]) | scalars,
                "expected_start_date": st.sampled_from([1772429400000]) | scalars,
            },
        )
        | anything
    },
).flatmap(
    lambda good: st.dictionaries(st.sampled_from(FIELDS), anything, max_size=3).map(lambda bad: good | bad)
)
wrappers = st.fixed_dictionaries(
    {"data": anything | documents | st.lists(documents, max_size=3)},
    optional={
        "status": st.sampled_from(["ok", "error"]) | anything,
        "error": anything,
        "error_code": anything,
        "error_id": anything,
        "total": anything,
        "count": anything,
        "first_result": anything,
        "max_results": anything,
    },
)
bodies = st.one_of(
    wrappers.map(lambda value: json.dumps(value).encode()),
    wrappers.map(lambda value: json.dumps(value).encode()),
    anything.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=200),
    wrappers.map(lambda value: json.dumps(value).encode()[:-3]),
    st.sampled_from([b"[" * 100_000, b'{"data":' * 5_000, b"\xff\xfe{}", b"", b"null", b'{"data":NaN}']),
)
statuses = st.sampled_from(
    [200, 200, 200, 201, 204, 301, 302, 400, 401, 403, 404, 405, 409, 429, 500, 503]
) | (st.integers(200, 999))
plain = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=30)
names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True)
headers = st.lists(
    st.tuples(names, plain)
    | st.tuples(
        st.just("Retry-After"), plain | st.sampled_from(["-1", "1e400", "nan", "0", "99999999999", "Mon"])
    )
    | st.tuples(
        st.just("Content-Encoding"), st.sampled_from(["gzip", "deflate", "br", "zstd", "x", "gzip, gzip"])
    )
    | st.tuples(st.just("Content-Length"), st.sampled_from(["0", "5", "99999999999999999999", "-5", "x", ""]))
    | st.tuples(st.just("Transfer-Encoding"), st.sampled_from(["chunked", "identity", "x"]))
    | st.tuples(st.just("Content-Type"), st.sampled_from(["text/html", "application/json;charset=x", ""]))
    | st.tuples(st.just("Location"), plain)
    | st.tuples(st.just("Set-Cookie"), plain),
    max_size=4,
)
well_formed = st.builds(answer_of, bodies, statuses, headers)
raw = st.binary(max_size=300) | st.builds(
    lambda start, rest: start + rest, st.just(b"HTTP/1.1 200 OK\r\n"), st.binary()
)
answers = st.one_of(well_formed, well_formed, well_formed, raw)


def about(inside: bytes) -> bytes:
    """A document of an execution or an instance that has this as a field nobody knows."""
    return b'{"status":"ok","data":{"id":"7","status":"PENDING","field":' + inside + b"}}"


NASTY = {
    "a number of 5,000 digits": about(b"9" * 5_000),
    "a number too large for a float": about(b"1e99999"),
    "not a number": about(b"NaN"),
    "an endless number": about(b"-Infinity"),
    "half of a character": about(b'"\\ud800"'),
    "bytes that are no text": about(b'"\xff\xfe"'),
    "a null character": about(b'"\\u0000"'),
    "150 levels": about(b"[" * 150 + b"]" * 150),
    "1,500 levels": about(b"[" * 1_500 + b"]" * 1_500),
    "100,000 levels": about(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "the data twice": b'{"status":"ok","data":{"id":"7","status":"PENDING"},"data":[]}',
    "a mark of byte order": b"\xef\xbb\xbf" + about(b"1"),
    "another encoding": about(b"1").decode().encode("utf-16"),
    "an endless list": b'{"status":"ok","total":999999999,"data":[{"id":"7","status":"PENDING"}]}',
    "a list of lists": b'{"status":"ok","data":[[{"id":"7"}]]}',
    "an execution of no moment": about(
        b'1,"parameters":{"execution_type":"CRON","expected_start_date":1e300}'
    ),
}


class Endless(Reply):
    """Bytes without end, until the client or the server closes."""

    def __init__(self, piece: bytes, start: bytes, pause: float = 0.0) -> None:
        super().__init__(piece, pause=pause)
        self._start = start

    def send(self, connection: socket.socket, stopped: threading.Event) -> bool:
        connection.sendall(self._start)
        end = time.monotonic() + ENDLESS_S
        while time.monotonic() < end and not stopped.wait(self._pause):
            connection.sendall(*self._pieces)
        return False


ENDLESS = {
    "drips its body": Endless(b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", 0.05),
    "drips its headers": Endless(b"x", b"HTTP/1.1 200 OK\r\nX-Slow: ", 0.05),
    "drips its status": Endless(b"x", b"HTTP/1.1 200 ", 0.05),
    "sends interim answers": Endless(b"HTTP/1.1 100 Continue\r\n\r\n", b"", 0.05),
    "sends endless headers": Endless(b"X-Again: and again\r\n", b"HTTP/1.1 200 OK\r\n"),
    "says nothing": Reply(then="silence"),
    "sends an endless body": Endless(b"[" * 65536, b"HTTP/1.1 200 OK\r\n\r\n"),
    "sends endless chunks": Endless(
        b"10000\r\n" + b"[" * 65536 + b"\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    ),
}

Shape = Callable[[dict[str, Any]], bytes]
"""Turns the body that the platform would answer into the bytes that come."""


def of_items(change: Callable[[dict[str, Any]], Any]) -> Shape:
    """Each resource of the answer, in a list or alone, is shown otherwise."""

    def shape(body: dict[str, Any]) -> bytes:
        data = body["data"]
        changed = [change(each) for each in data] if isinstance(data, list) else change(data)
        return json.dumps(body | {"data": changed}).encode()

    return shape


def of_lists(change: Callable[[list[Any]], Any], **wrapper: Any) -> Shape:
    """A list of the answer is another, or its wrapper is; what is no list stays as it is."""

    def shape(body: dict[str, Any]) -> bytes:
        if not isinstance(body["data"], list):
            return json.dumps(body).encode()
        return json.dumps(body | {"data": change(body["data"])} | wrapper).encode()

    return shape


def of_bytes(change: Callable[[bytes], bytes]) -> Shape:
    """The bytes of the answer are others."""
    return lambda body: change(json.dumps(body).encode())


def without(*names: str) -> Shape:
    return of_items(lambda item: {name: value for name, value in item.items() if name not in names})


def with_parameters(**changes: Any) -> Shape:
    return of_items(lambda item: item | {"parameters": {**item.get("parameters", {}), **changes}})


def with_text(text: bytes) -> Shape:
    """Each resource has this text, as it stands in JSON, in a name, an error and a result."""
    return of_bytes(
        lambda body: body.replace(
            b'"id":',
            b'"name": "%b", "error": {"message": "%b"}, "result": {"%b": "%b"}, "id":' % ((text,) * 4),
        )
    )


SHAPES: dict[str, Shape] = {
    "as documented": of_bytes(lambda body: body),
    "no parameters": without("parameters"),
    "no parameters, no dates": without("parameters", "creation_date", "start_date"),
    "parameters null": of_items(lambda item: item | {"parameters": None}),
    "no type": with_parameters(execution_type=None),
    "an unknown type": with_parameters(execution_type="BATCH"),
    "no moment": with_parameters(expected_start_date=None),
    "a moment without sense": with_parameters(expected_start_date={"$date": 1}),
    "another moment": with_parameters(expected_start_date=1),
    "no id": without("id"),
    "ids as numbers": of_items(lambda item: item | {"id": int(item["id"])}),
    "ids null": of_items(lambda item: item | {"id": None}),
    "another id": of_items(lambda item: item | {"id": "4711"}),
    "no status": without("status"),
    "an unknown status": of_items(lambda item: item | {"status": "THINKING"}),
    "items null": of_items(lambda item: None),
    "items as numbers": of_items(lambda item: 7),
    "items as their ids": of_items(lambda item: item["id"]),
    "items in lists": of_items(lambda item: [item]),
    "first a null": of_lists(lambda items: [None, *items]),
    "last a number": of_lists(lambda items: [*items, 3]),
    "an item without an id between": of_lists(lambda items: [*items[:1], {"name": "x"}, *items[1:]]),
    "an empty list": of_lists(lambda items: []),
    "half of the list": of_lists(lambda items: items[::2]),
    "a list in an object": of_lists(lambda items: {"items": items}),
    "a list null": of_lists(lambda items: None),
    "each item twice": of_lists(lambda items: [*items, *items]),
    "no total": of_lists(lambda items: items, total=None),
    "a total of 0": of_lists(lambda items: items, total=0),
    "a total too large": of_lists(lambda items: items, total=10**9),
    "a total of text": of_lists(lambda items: items, total="many"),
    "an error with a success": lambda body: b'{"status":"error","error":"busy","error_id":"id-1"}',
    "no data": lambda body: b'{"status":"ok"}',
    "null": lambda body: b"null",
    "a web page": lambda body: b"<html><body>Please log in</body></html>",
    "nothing": lambda body: b"",
    "cut off": of_bytes(lambda body: body[:-9]),
    "a byte order mark": of_bytes(lambda body: b"\xef\xbb\xbf" + body),
    "UTF-16": of_bytes(lambda body: body.decode().encode("utf-16")),
    "spaces around": of_bytes(lambda body: b"\r\n\t " + body + b"\n\n"),
    "something behind": of_bytes(lambda body: body + b"\0"),
    "NUL": with_text(rb"a\u0000"),
    "raw NUL": with_text(b"a\x00"),
    "half a character": with_text(rb"a\ud83d"),
    "half a character in bytes": with_text("a😀".encode()[:-1]),
    "Latin-1": with_text(b"\xe9"),
    "a megabyte": with_text(b"x" * 250_000),
    "NaN": of_bytes(lambda body: body.replace(b'"id":', b'"num_tasks": NaN, "result": [Infinity], "id":')),
    "deep": of_bytes(
        lambda body: body.replace(b'"id":', b'"result": ' + b"[" * 3000 + b"]" * 3000 + b', "id":')
    ),
    "5,000 digits": of_bytes(lambda body: body.replace(b'"id":', b'"result": ' + b"9" * 5000 + b', "id":')),
    "keys twice": of_bytes(lambda body: body.replace(b'"id":', b'"result": 1, "result": 2, "id":')),
}
"""What an answer may look like. None of them may ever start a batch twice, or end a wait, or lose a DAG."""
