"""The web application of the sandbox, and the server that runs it on a port."""

from __future__ import annotations

import asyncio
import socket
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from email.utils import formatdate
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from airflow_provider_mics.sandbox import admin_routes, execution_routes, instance_routes, plugin_routes
from airflow_provider_mics.sandbox.answers import ApiError, error_content, error_response, json_response
from airflow_provider_mics.sandbox.fault_injection import Downtime, FaultMiddleware, reset_connection
from airflow_provider_mics.sandbox.faults import FaultPlan
from airflow_provider_mics.sandbox.quirks import Quirks
from airflow_provider_mics.sandbox.scheduler import Scheduler
from airflow_provider_mics.sandbox.state import PlatformState
from airflow_provider_mics.sandbox.traffic import ADMIN_PREFIX, Traffic, TrafficMiddleware

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


BACKLOG = 1024


class PortTakenError(Exception):
    """An address that cannot be listened on. Its text is one line for the user."""


def application(platform: PlatformState, plan: FaultPlan, downtime: Downtime) -> TrafficMiddleware:
    """Return the ASGI application of a platform. The platform's scheduler runs as long as the application."""
    scheduler = Scheduler(platform)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(scheduler.run())
        task.add_done_callback(_print_crash)
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        platform.database.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    app.state.platform = platform
    app.state.scheduler = scheduler
    app.state.traffic = Traffic()
    app.state.fault_plan = plan
    for routes in (plugin_routes, execution_routes, instance_routes, admin_routes):
        app.include_router(routes.router)
    app.add_exception_handler(ApiError, _answer_api_error)
    app.add_exception_handler(HTTPException, _answer_missing_route)
    app.add_exception_handler(Exception, _answer_crash)
    return TrafficMiddleware(
        DateMiddleware(FaultMiddleware(app, plan, downtime), platform), app.state.traffic
    )


class DateMiddleware:
    """ASGI middleware that gives each answer a ``Date`` by the platform's clock, in place of uvicorn's."""

    def __init__(self, app: ASGIApp, platform: PlatformState) -> None:
        self._app = app
        self._platform = platform

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dated_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = formatdate(self._platform.now_ms / 1000, usegmt=True).encode()
                message["headers"] = [*message.get("headers", ()), (b"date", date)]
            await send(message)

        await self._app(scope, receive, dated_send)


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address. Port 0 selects a free port.

    :raises PortTakenError: the port is in use, or the host is not an address of this machine
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off, which costs 40 ms a request, only if the protocol is given.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise PortTakenError(
            f"cannot listen on {host}:{port} ({error.strerror}): choose another --port, or 0 for a free one"
        ) from None
    return listening


def serve(app: ASGIApp, listening: socket.socket, downtime: Downtime, on_ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM. ``on_ready`` is called when the server answers connections."""
    config = uvicorn.Config(
        app,
        loop="asyncio",
        # The simplest of uvicorn's protocols: faults write to its connections directly.
        http="h11",
        ws="none",
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=1,
        backlog=BACKLOG,
    )
    server = _Server(config, on_ready)
    downtime.take_offline = server.take_offline
    server.run(sockets=[listening])


class _Server(uvicorn.Server):
    """A server that exits with 0 on a signal, instead of raising the signal again, and that can go offline."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._return: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_ready()

    def take_offline(self, seconds: float) -> None:
        """Reset all connections, and refuse new ones for some seconds."""
        if self._return is None or self._return.done():
            host, port = self.servers[-1].sockets[0].getsockname()[:2]
            self.servers[-1].close()
            self._return = asyncio.create_task(self._return_online(host, port, seconds))
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                reset_connection(transport)

    async def _return_online(self, host: str, port: int, seconds: float) -> None:
        await asyncio.sleep(seconds)
        listening = listening_socket(host, port)
        loop = asyncio.get_running_loop()
        self.servers.append(await loop.create_server(self._protocol, sock=listening, backlog=BACKLOG))

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


def _quirks(request: Request) -> Quirks:
    if request.url.path.startswith(ADMIN_PREFIX):
        return Quirks()
    platform: PlatformState = request.app.state.platform
    return platform.quirks


async def _answer_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101  it is registered for nothing else
    return error_response(error.status, error.message, _quirks(request))


async def _answer_missing_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    path = request.url.path
    messages = {404: f"no route {path}", 405: f"{request.method} is not allowed on {path}"}
    return error_response(status, messages.get(status, str(error)), _quirks(request))


async def _answer_crash(_: Request, crash: Exception) -> Response:
    traceback.print_exception(crash, file=sys.stderr)
    return json_response(error_content(500, f"the sandbox itself failed: {crash!r}"), 500)


def _print_crash(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (crash := task.exception()) is not None:
        traceback.print_exception(crash, file=sys.stderr)
