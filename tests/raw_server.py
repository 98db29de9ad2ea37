"""A server on loopback that answers with any bytes, at any pace, however broken."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Reply:
    """What is done with one request: bytes to send, at some pace, and what becomes of the connection."""

    def __init__(
        self,
        *pieces: bytes,
        pause: float = 0.0,
        repeat: int = 1,
        then: str = "keep",
        before: Callable[[], object] = lambda: None,
    ) -> None:
        self._pieces = pieces
        self._pause = pause
        self._repeat = repeat
        self._then = then
        self._before = before

    def send(self, connection: socket.socket, stopped: threading.Event) -> bool:
        """Whether the connection stays open for another request."""
        self._before()
        for _ in range(self._repeat):
            for piece in self._pieces:
                connection.sendall(piece)
                if self._pause and stopped.wait(self._pause):
                    return False
        if self._then == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        if self._then == "silence":
            stopped.wait(30)
        return self._then == "keep"


def http(status: int = 200, body: Any = b"", *, length: int | None = None, **headers: str) -> bytes:
    """An answer in HTTP/1.1 with its Content-Length, or with one that lies."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Reason", f"Content-Length: {len(content) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def answer_of(body: bytes, status: int = 200, headers: list[tuple[str, str]] | None = None) -> bytes:
    """A well-formed HTTP answer that closes its connection, unless the headers say otherwise."""
    lines = [f"HTTP/1.1 {status} Any", "Connection: close"]
    given = headers or []
    if not {"content-length", "transfer-encoding"} & {name.lower() for name, _ in given}:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in given]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n", **headers: str) -> bytes:
    """An answer in chunks; another ``end`` leaves it unfinished."""
    lines = ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([*lines, "", ""]).encode()
    return head + b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in chunks) + end


def zipped(body: Any) -> bytes:
    return gzip.compress(json.dumps(body).encode(), mtime=0)


@dataclass
class RawServer:
    """Gives each request the next of ``replies``, and the last one again and again. A context manager."""

    replies: list[Reply | bytes]
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    requests: list[Received] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> Self:
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._listening = socket.create_server((self.host, 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as incoming:
                while (request := _read(incoming)) is not None:
                    if not self._reply_to(request).send(connection, self._stopped):
                        return
        except OSError:
            return

    def _reply_to(self, request: Received) -> Reply:
        with self._lock:
            self.requests.append(request)
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return Reply(reply) if isinstance(reply, bytes) else reply


def _read(incoming: Any) -> Received | None:
    first = incoming.readline().decode("latin-1").split()
    if len(first) != 3:
        return None
    headers: dict[str, str] = {}
    while line := incoming.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = incoming.read(int(headers.get("content-length", 0)))
    return Received(first[0], first[1], headers, body)


def free_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def stopwatch() -> Callable[[], float]:
    """Seconds since now."""
    began = time.monotonic()
    return lambda: time.monotonic() - began
