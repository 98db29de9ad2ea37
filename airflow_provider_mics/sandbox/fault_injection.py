"""Fault injection: the middleware that applies a fault plan to requests, and what each kind of fault does."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_mics.sandbox.answers import error_content
from airflow_provider_mics.sandbox.clock import real_ms
from airflow_provider_mics.sandbox.executions import StaleList
from airflow_provider_mics.sandbox.faults import FaultParameters, FaultPlan
from airflow_provider_mics.sandbox.request_context import STALE_LIST
from airflow_provider_mics.sandbox.traffic import ADMIN_PREFIX, TRANSPORT

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

NO_LINGER = struct.pack("ii", 1, 0)
HTML = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><h1>502 Bad Gateway</h1></body>\r\n</html>"

LOGIN_PAGE = "<!doctype html><html><title>Sign in</title><form action=/login><input name=user></form></html>"


class Downtime:
    """Lets a fault inside the application take the server offline. The server sets ``take_offline``."""

    def __init__(self) -> None:
        self.take_offline: Callable[[float], None] | None = None

    def start(self, seconds: float) -> None:
        """Reset all connections and refuse new ones for some real seconds."""
        if self.take_offline is not None:
            self.take_offline(seconds)


def reset_connection(transport: Any) -> None:
    """Close a connection so that the client sees a reset."""
    connection = transport.get_extra_info("socket")
    with suppress(OSError, AttributeError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    transport.abort()


class FaultMiddleware:
    """ASGI middleware that injects the faults of a plan into requests to the platform, never into admin requests."""

    def __init__(self, app: ASGIApp, plan: FaultPlan, downtime: Downtime) -> None:
        self._app = app
        self._plan = plan
        self._downtime = downtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(ADMIN_PREFIX):
            await self._app(scope, receive, send)
            return
        matches = self._plan.match(scope["method"], scope["path"])
        if matches.stale_list is not None:
            parameters = matches.stale_list.parameters
            scope[STALE_LIST] = StaleList(parameters.seconds, parameters.spread, int(real_ms()))
        if matches.fault is None:
            await self._app(scope, receive, send)
            return
        exchange = Exchange(self._app, scope, receive, send, self._downtime)
        await exchange.read_request()
        await KINDS[matches.fault.kind](exchange, matches.fault.parameters)


@dataclass
class BufferedResponse:
    """A response that is not sent yet."""

    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    def with_body(self, body: bytes, *, content_length: int | None = None) -> BufferedResponse:
        """Return the same response with another body, and its Content-Length or a wrong one."""
        length = len(body) if content_length is None else content_length
        headers = [pair for pair in self.headers if pair[0].lower() != b"content-length"]
        return BufferedResponse(self.status, [*headers, (b"content-length", str(length).encode())], body)


class Exchange:
    """One HTTP exchange: a request with its body, the application, and the client's connection."""

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, downtime: Downtime) -> None:
        self._app = app
        self._scope = scope
        self._receive = receive
        self._send = send
        self._transport = scope[TRANSPORT]
        self._body = b""
        self.downtime = downtime

    async def read_request(self) -> None:
        """Read the body, so that no fault cuts off a client that is still sending."""
        more = True
        while more:
            message = await self._receive()
            self._body += message.get("body", b"")
            more = message["type"] == "http.request" and message.get("more_body", False)

    async def process(self) -> BufferedResponse:
        """Let the application process the request, and return its response without sending it."""
        response = BufferedResponse()

        async def buffer(message: Message) -> None:
            if message["type"] == "http.response.start":
                response.status = message["status"]
                response.headers = list(message.get("headers", []))
            else:
                response.body += message.get("body", b"")

        await self._app(dict(self._scope), self._replay(), buffer)
        return response

    async def respond(self, response: BufferedResponse) -> None:
        """Send a complete response."""
        await self.send_head(response)
        await self._send({"type": "http.response.body", "body": response.body})

    async def send_head(self, response: BufferedResponse) -> None:
        """Send the status and the headers of a response."""
        await self._send(
            {"type": "http.response.start", "status": response.status, "headers": response.headers}
        )

    async def send_chunk(self, chunk: bytes, *, last: bool) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": not last})

    async def reset(self) -> None:
        """Close the connection so that the client sees a reset."""
        reset_connection(self._transport)
        await self._wait_for_disconnect()

    async def close(self) -> None:
        """Close the connection after what was sent, even if the response is incomplete."""
        self._transport.close()
        await self._wait_for_disconnect()

    async def write_raw(self, content: bytes) -> None:
        """Write bytes to the connection as they are, and close it."""
        self._transport.write(content)
        await self.close()

    async def is_connected_after(self, seconds: float) -> bool:
        """Wait some real seconds, and return whether the client is still connected."""
        try:
            await asyncio.wait_for(self._wait_for_disconnect(), seconds)
        except TimeoutError:
            return True
        return False

    @property
    def is_closed(self) -> bool:
        return bool(self._transport.is_closing())

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _replay(self) -> Receive:
        messages: list[Message] = [{"type": "http.request", "body": self._body, "more_body": False}]

        async def receive() -> Message:
            return messages.pop() if messages else {"type": "http.disconnect"}

        return receive


# The docstrings of the kinds are shown by --help and by GET /_sandbox/faults.


async def refuse(exchange: Exchange, parameters: FaultParameters) -> None:
    """All connections are reset and new ones refused for ``seconds``, those to the admin routes too."""
    exchange.downtime.start(parameters.seconds)
    await exchange.reset()


async def drop_before(exchange: Exchange, parameters: FaultParameters) -> None:
    """The connection is reset. The request is not processed."""
    del parameters
    await exchange.reset()


async def drop_after(exchange: Exchange, parameters: FaultParameters) -> None:
    """The request is processed, then the connection is reset."""
    del parameters
    await exchange.process()
    await exchange.reset()


async def timeout_before(exchange: Exchange, parameters: FaultParameters) -> None:
    """No answer for ``seconds``, then the connection is reset. The request is not processed."""
    if await exchange.is_connected_after(parameters.seconds):
        await exchange.reset()


async def timeout_after(exchange: Exchange, parameters: FaultParameters) -> None:
    """The request is processed, but the answer is delayed by ``seconds``."""
    response = await exchange.process()
    if await exchange.is_connected_after(parameters.seconds):
        await exchange.respond(response)


Injection = Callable[[Exchange, FaultParameters], Awaitable[None]]


def error_with_status(status: int) -> Injection:
    async def respond_with_error(exchange: Exchange, parameters: FaultParameters) -> None:
        if parameters.work_done:
            await exchange.process()
        response = _error(status, f"injected {status}")
        if parameters.retry_after is not None:
            response.headers.append((b"retry-after", parameters.retry_after.encode()))
        await exchange.respond(response)

    respond_with_error.__doc__ = (
        f"HTTP {status} with the platform's error object, and ``retry_after`` where given."
    )
    return respond_with_error


async def html(exchange: Exchange, parameters: FaultParameters) -> None:
    """A gateway's error page in HTML, with ``status``."""
    if parameters.work_done:
        await exchange.process()
    response = BufferedResponse(parameters.status, [(b"content-type", b"text/html")])
    await exchange.respond(response.with_body(HTML.encode()))


async def gateway(exchange: Exchange, parameters: FaultParameters) -> None:
    """A gateway's or a proxy's own refusal: JSON without the platform's wrapper, with ``status``."""
    if parameters.work_done:
        await exchange.process()
    content = json.dumps({"message": "no Route matched with those values"}).encode()
    response = BufferedResponse(parameters.status, [(b"content-type", b"application/json")])
    await exchange.respond(response.with_body(content))


async def login(exchange: Exchange, parameters: FaultParameters) -> None:
    """The login page of a captive portal, with HTTP 200."""
    if parameters.work_done:
        await exchange.process()
    response = BufferedResponse(200, [(b"content-type", b"text/html")])
    await exchange.respond(response.with_body(LOGIN_PAGE.encode()))


async def cut_json(exchange: Exchange, parameters: FaultParameters) -> None:
    """The request is processed, but only a ``share`` of the answer's body is sent, as ``variant`` says."""
    response = await exchange.process()
    sent = response.body[: int(len(response.body) * parameters.share)]
    if parameters.variant == "complete":
        await exchange.respond(response.with_body(sent))
        return
    await exchange.send_head(response.with_body(sent, content_length=len(response.body) + 1))
    await exchange.send_chunk(sent, last=False)
    await exchange.close()


async def slow(exchange: Exchange, parameters: FaultParameters) -> None:
    """The request is processed, and the answer's body sent ``bytes_at_a_time``, ``delay_s`` apart."""
    response = await exchange.process()
    await exchange.send_head(response)
    step = parameters.bytes_at_a_time
    for start in range(0, len(response.body), step):
        if exchange.is_closed:
            return
        await asyncio.sleep(parameters.delay_s)
        await exchange.send_chunk(response.body[start : start + step], last=False)
    await exchange.send_chunk(b"", last=True)


async def duplicate(exchange: Exchange, parameters: FaultParameters) -> None:
    """The request is processed twice. The second answer is sent."""
    del parameters
    await exchange.process()
    await exchange.respond(await exchange.process())


async def error_200(exchange: Exchange, parameters: FaultParameters) -> None:
    """HTTP 200 with the platform's error object."""
    if parameters.work_done:
        await exchange.process()
    response = _error(500, "injected error with HTTP 200")
    response.status = 200
    await exchange.respond(response)


async def body(exchange: Exchange, parameters: FaultParameters) -> None:
    """Any ``status``, ``headers`` and ``body``, or any bytes (``raw_base64``), instead of the answer."""
    if parameters.work_done:
        await exchange.process()
    await exchange.write_raw(parameters.raw_answer)


KINDS: dict[str, Injection] = {
    "refuse": refuse,
    "drop_before": drop_before,
    "drop_after": drop_after,
    "timeout_before": timeout_before,
    "timeout_after": timeout_after,
    **{str(status): error_with_status(status) for status in (401, 403, 429, 500, 502, 503, 504)},
    "html": html,
    "gateway": gateway,
    "login": login,
    "cut_json": cut_json,
    "slow": slow,
    "duplicate": duplicate,
    "error_200": error_200,
    "body": body,
}

STALE_LIST_DESCRIPTION = (
    "Lists lack executions created less than ``seconds`` ago. It can be combined with another fault."
)


def describe_kinds() -> dict[str, str]:
    """Return what each kind of fault does, in one line."""
    descriptions = {kind: inject.__doc__ or "" for kind, inject in KINDS.items()}
    return {**descriptions, "stale_list": STALE_LIST_DESCRIPTION}


def _error(status: int, message: str) -> BufferedResponse:
    content = json.dumps(error_content(status, message)).encode()
    return BufferedResponse(status, [(b"content-type", b"application/json")]).with_body(content)
