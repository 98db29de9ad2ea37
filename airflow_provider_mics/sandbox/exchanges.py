"""One request and its answer, down to the connection: what the faults play with."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]
NO_LINGER = struct.pack("ii", 1, 0)


def reset(transport: Any) -> None:
    """Break a connection so that the other side sees a reset, not an end."""
    connection = transport.get_extra_info("socket")
    with suppress(OSError, AttributeError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    transport.abort()


@dataclass
class Answer:
    """What the platform answers, not sent yet."""

    status: int = 500
    headers: Headers = field(default_factory=list)
    body: bytes = b""

    def with_body(self, body: bytes, *, stated_length: int | None = None) -> Answer:
        """The same answer with another body, and a Content-Length that fits it, or that is stated."""
        length = len(body) if stated_length is None else stated_length
        headers = [pair for pair in self.headers if pair[0].lower() != b"content-length"]
        return Answer(self.status, [*headers, (b"content-length", str(length).encode())], body)


class Exchange:
    """A request whose body has been read, and the connection that waits for its answer."""

    def __init__(
        self,
        app: ASGIApp,
        scope: Scope,
        receive: Receive,
        send: Send,
        transport: Any,
        begin_outage: Callable[[float], None],
    ) -> None:
        self._app = app
        self._scope = scope
        self._receive = receive
        self._send = send
        self._transport = transport
        self._body = b""
        self.begin_outage = begin_outage

    async def read_request(self) -> None:
        """Read the body of the request: a client that is cut off was not in the middle of sending."""
        more = True
        while more:
            message = await self._receive()
            self._body += message.get("body", b"")
            more = message["type"] == "http.request" and message.get("more_body", False)

    async def carry_out(self) -> Answer:
        """Let the platform do the work, and keep its answer back."""
        answer = Answer()

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = list(message.get("headers", []))
            else:
                answer.body += message.get("body", b"")

        await self._app(dict(self._scope), self._replay(), keep)
        return answer

    async def answer(self, answer: Answer) -> None:
        """Send an answer whole."""
        await self.begin(answer)
        await self._send({"type": "http.response.body", "body": answer.body})

    async def begin(self, answer: Answer) -> None:
        """Send the status and the headers of an answer."""
        await self._send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})

    async def send_piece(self, piece: bytes, *, last: bool) -> None:
        await self._send({"type": "http.response.body", "body": piece, "more_body": not last})

    async def reset(self) -> None:
        """Break the connection so that the client sees a reset."""
        reset(self._transport)
        await self._until_disconnected()

    async def close(self) -> None:
        """Close the connection once what was sent is out, complete or not."""
        self._transport.close()
        await self._until_disconnected()

    async def write_raw(self, content: bytes) -> None:
        """Send bytes past all of HTTP's rules, and close."""
        self._transport.write(content)
        await self.close()

    async def stay_silent(self, seconds: float) -> bool:
        """Say nothing for real seconds; whether the client is still there."""
        try:
            await asyncio.wait_for(self._until_disconnected(), seconds)
        except TimeoutError:
            return True
        return False

    @property
    def is_closed(self) -> bool:
        return bool(self._transport.is_closing())

    async def _until_disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _replay(self) -> Receive:
        messages: list[Message] = [{"type": "http.request", "body": self._body, "more_body": False}]

        async def receive() -> Message:
            return messages.pop() if messages else {"type": "http.disconnect"}

        return receive
