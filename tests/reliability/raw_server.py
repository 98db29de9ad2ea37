"""A server that answers every request with whatever bytes it was given, however broken."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

Writer = Callable[[socket.socket], None]


class RawServer:
    """Answers on a free port of loopback; ``answer`` is bytes, or writes to the connection itself."""

    def __init__(self, answer: bytes | Writer = b"") -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                with connection, suppress(OSError):
                    connection.settimeout(10)
                    self.requests.append(_request(connection))
                    self._respond(connection)

    def _respond(self, connection: socket.socket) -> None:
        if callable(self.answer):
            self.answer(connection)
        else:
            connection.sendall(self.answer)


def _request(connection: socket.socket) -> bytes:
    """All of a request, so that closing the connection does not reset it."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _some(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
    )
    while len(body) < length:
        body += _some(connection)
    return head + b"\r\n\r\n" + body


def _some(connection: socket.socket) -> bytes:
    piece = connection.recv(65536)
    if not piece:
        raise ConnectionError
    return piece


def answer_of(body: bytes, status: int = 200, headers: list[tuple[str, str]] | None = None) -> bytes:
    """A well-formed HTTP answer that closes its connection, unless the headers say otherwise."""
    lines = [f"HTTP/1.1 {status} Any", "Connection: close"]
    given = headers or []
    if not {"content-length", "transfer-encoding"} & {name.lower() for name, _ in given}:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in given]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body
