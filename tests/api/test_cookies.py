"""A cookie that a proxy sets is neither kept nor sent, and keeps no later request from being sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_provider_mics.api import AsyncMicsClient, MicsClient, get_instance

ANSWER = b'{"status": "ok", "data": {"id": "1"}}'


class CookieServer(ThreadingHTTPServer):
    cookies_seen: list[str | None]


class _Handler(BaseHTTPRequestHandler):
    server: CookieServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.cookies_seen.append(self.headers.get("Cookie"))
        self.send_response(200)
        self.send_header("Set-Cookie", "session=é; Path=/")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def server() -> Iterator[CookieServer]:
    with CookieServer(("127.0.0.1", 0), _Handler) as server:
        server.cookies_seen = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_the_blocking_client_keeps_no_cookie(server: CookieServer) -> None:
    with MicsClient(f"http://127.0.0.1:{server.server_port}", "token") as client:
        assert [client.run(get_instance("1")).id for _ in range(2)] == ["1", "1"]
    assert server.cookies_seen == [None, None]


async def test_the_async_client_keeps_no_cookie(server: CookieServer) -> None:
    async with AsyncMicsClient(f"http://127.0.0.1:{server.server_port}", "token") as client:
        assert [(await client.run(get_instance("1"))).id for _ in range(2)] == ["1", "1"]
    assert server.cookies_seen == [None, None]
