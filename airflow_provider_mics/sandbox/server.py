"""The HTTP server: the application with its routes and middleware, served on a port until a signal stops it."""

from __future__ import annotations

import asyncio
import socket
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
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
    from starlette.types import ASGIApp

BACKLOG = 1024


def application(platform: PlatformState, plan: FaultPlan, downtime: Downtime) -> TrafficMiddleware:
    """Return the ASGI application of a platform, with its faults. Its scheduler runs as long as the application."""
    scheduler = Scheduler(platform)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(scheduler.run())
        task.add_done_callback(_report_crash)
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
    app.add_exception_handler(HTTPException, _answer_no_route)
    app.add_exception_handler(Exception, _answer_crash)
    return TrafficMiddleware(FaultMiddleware(app, plan, downtime), app.state.traffic)


def _quirks(request: Request) -> Quirks:
    if request.url.path.startswith(ADMIN_PREFIX):
        return Quirks()
    platform: PlatformState = request.app.state.platform
    return platform.quirks


async def _answer_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101  registered for this type only
    return error_response(error.status, error.message, _quirks(request))


async def _answer_no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    path = request.url.path
    message = {404: f"no route {path}", 405: f"{request.method} is not allowed on {path}"}.get(
        status, str(error)
    )
    return error_response(status, message, _quirks(request))


async def _answer_crash(_: Request, crash: Exception) -> Response:
    traceback.print_exception(crash, file=sys.stderr)
    return json_response(error_content(500, f"the sandbox itself failed: {crash!r}"), 500)


def _report_crash(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (crash := task.exception()) is not None:
        traceback.print_exception(crash, file=sys.stderr)


class PortTakenError(Exception):
    """The address is in use, or not one of this machine. Its text is one line for the user."""


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket. Port 0 selects a free port.

    :raises PortTakenError: the port is in use, or the host is not one of this machine's
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without the protocol, asyncio does not disable Nagle's algorithm, which costs 40 ms per request.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise PortTakenError(
            f"cannot listen on {host}:{port} ({error.strerror}): choose another --port, 0 takes a free one"
        ) from None
    return listening


def serve(app: ASGIApp, listening: socket.socket, downtime: Downtime, when_ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM. ``when_ready`` is called when the server accepts connections."""
    config = uvicorn.Config(
        app,
        loop="asyncio",
        # The simplest protocol class: faults need access to its transport.
        http="h11",
        ws="none",
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        backlog=BACKLOG,
    )
    server = _LocalServer(config, when_ready)
    downtime.take_offline = server.take_offline
    server.run(sockets=[listening])


class _LocalServer(uvicorn.Server):
    """A server that exits with 0 on a signal instead of raising it again, and that can be offline for a time."""

    def __init__(self, config: uvicorn.Config, when_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_ready = when_ready
        self._offline: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._when_ready()

    def take_offline(self, seconds: float) -> None:
        """Reset all connections, and refuse new ones for some real seconds."""
        if self._offline is None or self._offline.done():
            host, port = self.servers[-1].sockets[0].getsockname()[:2]
            self.servers[-1].close()
            self._offline = asyncio.create_task(self._go_online(host, port, seconds))
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                reset_connection(transport)

    async def _go_online(self, host: str, port: int, seconds: float) -> None:
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
