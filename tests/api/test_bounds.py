"""No answer takes more time or memory than it may, in either client."""

from __future__ import annotations

import gzip
import socket
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mics.api import MicsConnectionError, MicsResponseError, get_instance, list_instances
from airflow_provider_mics.api.transport import GZIP_WINDOW, LARGEST_BODY
from tests.api.both_clients import client_of
from tests.api.exchanges import CREATE, GOOD, INSTANCE, failure
from tests.raw_server import RawServer, Reply, chunked, http, stopwatch, zipped

SHORT = (0.5, 0.5)
MEBIBYTE = 1 << 20


class TestTimeouts:
    @pytest.mark.parametrize(
        "reply",
        [
            Reply(then="silence"),
            Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", then="silence"),
            Reply(b"X", pause=0.05, repeat=10_000),
            Reply(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", pause=0.05, repeat=10_000),
            Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", *[b" "] * 10_000, pause=0.05),
            Reply(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                *[b"1\r\n \r\n"] * 10_000,
                pause=0.05,
            ),
            Reply(b"HTTP/1.1 200 OK\r\n\r\n", *[b" "] * 10_000, pause=0.05),
        ],
        ids=[
            "silence",
            "no body",
            "dripping garbage",
            "dripping headers",
            "dripping body",
            "chunks",
            "no length",
        ],
    )
    def test_end_an_answer_however_slowly_it_comes(self, kind, reply):
        with (
            RawServer([reply]) as server,
            client_of(kind, server.url, timeout=SHORT, max_retries=0) as client,
        ):
            elapsed = stopwatch()
            error = failure(client, CREATE)
            assert elapsed() < 10
            assert isinstance(error, MicsConnectionError)
            assert not error.certainly_not_sent

    def test_say_how_long_was_waited(self, kind):
        with (
            RawServer([Reply(then="silence")]) as server,
            client_of(kind, server.url, timeout=(3, 0.2), max_retries=0) as client,
        ):
            request = "GET /v1/integration_batch_instances/42"
            why = "timed out: no complete response within 0.2 s"
            line = f"{request}: no response from {server.url}: {why}"
            assert str(failure(client)) == line

    def test_leave_a_slow_answer_that_comes_in_time_alone(self, kind):
        pieces = [GOOD[each : each + 10] for each in range(0, len(GOOD), 10)]
        with RawServer([Reply(*pieces, pause=0.03)]) as server, client_of(kind, server.url) as client:
            assert client.run(get_instance("42")).id == "42"

    def test_begin_anew_with_each_request_of_a_connection(self, kind):
        slow = Reply(GOOD[:30], GOOD[30:], pause=0.25)
        with RawServer([slow]) as server, client_of(kind, server.url, timeout=1.5) as client:
            for _ in range(8):
                client.run(get_instance("42"))
            assert (server.connections, len(server.requests)) == (1, 8)

    def test_end_a_connection_that_is_never_taken(self, kind):
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            waiting = [_knock(full.getsockname()) for _ in range(5)]
            url = f"http://127.0.0.1:{full.getsockname()[1]}"
            with client_of(kind, url, timeout=(0.3, 5), max_retries=0) as client:
                elapsed = stopwatch()
                error = failure(client, CREATE)
                assert elapsed() < 10
                assert isinstance(error, MicsConnectionError)
                assert error.certainly_not_sent
                assert str(error).endswith("no connection within 0.3 s")
            for each in waiting:
                each.close()


def _knock(address: Any) -> socket.socket:
    """A connection that nobody accepts, so that the next one finds no room."""
    knocking = socket.socket()
    knocking.setblocking(False)
    knocking.connect_ex(address)
    return knocking


@cache
def bomb(layers: int = 1, mebibytes: int = 300) -> bytes:
    """A gzip that is small on the wire and ``mebibytes`` large behind it."""
    squeezed = zlib.compressobj(9, zlib.DEFLATED, GZIP_WINDOW)
    body = b"".join([*(squeezed.compress(b" " * MEBIBYTE) for _ in range(mebibytes)), squeezed.flush()])
    for _ in range(layers - 1):
        body = gzip.compress(body)
    return body


class Peak:
    """The most memory that this process held since it was made, beyond what it held then (Linux)."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")
        self._before = self._kibibytes("VmRSS")

    def mebibytes(self) -> int:
        return (self._kibibytes("VmHWM") - self._before) >> 10

    @staticmethod
    def _kibibytes(name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name))


HUGE = {
    "a length": lambda: Reply(http(200, length=1 << 40), *[b" " * MEBIBYTE] * 400, then="close"),
    "no length": lambda: Reply(b"HTTP/1.1 200 OK\r\n\r\n", *[b" " * MEBIBYTE] * 400, then="close"),
    "chunks": lambda: Reply(chunked(end=b""), *[b"100000\r\n%s\r\n" % (b" " * MEBIBYTE)] * 400, then="close"),
    "a gzip bomb": lambda: Reply(http(200, bomb(), Content_Encoding="gzip")),
    "a gzip bomb in chunks": lambda: Reply(chunked(bomb(), Content_Encoding="gzip")),
    "a 500": lambda: Reply(http(500, length=1 << 40), *[b" " * MEBIBYTE] * 400, then="close"),
    "a redirect": lambda: Reply(
        http(302, length=1 << 40, Location="/"), *[b" " * MEBIBYTE] * 400, then="close"
    ),
}


class TestSizes:
    @pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured through /proc")
    @pytest.mark.parametrize("make", HUGE.values(), ids=HUGE.keys())
    def test_beyond_the_bound_are_refused_with_bounded_memory(self, kind, make):
        with RawServer([make()]) as server, client_of(kind, server.url, timeout=30, max_retries=0) as client:
            peak = Peak()
            error = failure(client)
            assert str(error).endswith(f"the response is larger than {LARGEST_BODY >> 20} MiB")
            assert isinstance(error, MicsResponseError)
            assert peak.mebibytes() < 150

    @pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "deflate", "zstd", "gzip, " * 200 + "br"])
    def test_of_encodings_nobody_asked_for_are_not_even_found_out(self, kind, encoding):
        reply = http(200, bomb(2, 10), Content_Encoding=encoding)
        with RawServer([reply]) as server, client_of(kind, server.url) as client:
            assert "the response has the encoding '" in str(failure(client))
            assert server.requests[0].headers["accept-encoding"] == "gzip"

    def test_of_a_gzip_that_is_none_are_an_error(self, kind):
        reply = http(200, INSTANCE, Content_Encoding="gzip")
        with RawServer([reply]) as server, client_of(kind, server.url) as client:
            assert "the response is not valid gzip" in str(failure(client))

    def test_of_a_large_but_honest_list_are_fine(self, kind):
        items = [{"id": str(each), "name": "x" * 1000} for each in range(5000)]
        reply = http(200, zipped({"status": "ok", "data": items, "total": 5000}), Content_Encoding="gzip")
        with RawServer([reply]) as server, client_of(kind, server.url, timeout=30) as client:
            assert len(client.run(list_instances(page_size=5000))) == 5000
