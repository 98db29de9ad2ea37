"""Serving an application on a port, until a signal ends it quickly and quietly."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn

from airflow_provider_mics.sandbox.exchanges import reset
from airflow_provider_mics.sandbox.outages import Outages

if TYPE_CHECKING:
    from starlette.types import ASGIApp


BACKLOG = 1024


class PortTakenError(Exception):
    """The address cannot be listened on; one line for a person."""


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that takes connections; port 0 takes a free one.

    :raises PortTakenError: it is taken, or the host is not one of this machine's
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only where the protocol is said does asyncio turn Nagle's algorithm off, which costs 40 ms a request.
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


def serve(app: ASGIApp, listening: socket.socket, outages: Outages, when_ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; ``when_ready`` is called once connections are answered."""
    config = uvicorn.Config(
        app,
        loop="asyncio",
        # The plainest of the protocols: faults reach through it to the connection.
        http="h11",
        ws="none",
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        backlog=BACKLOG,
    )
    server = _LocalServer(config, when_ready)
    outages.happen_by(server.go_away)
    server.run(sockets=[listening])


class _LocalServer(uvicorn.Server):
    """A server that ends with 0 on a signal, instead of raising that signal again, and that can be away a while."""

    def __init__(self, config: uvicorn.Config, when_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_ready = when_ready
        self._return: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._when_ready()

    def go_away(self, seconds: float) -> None:
        """Reset all connections, and refuse new ones for a while."""
        if self._return is None or self._return.done():
            host, port = self.servers[-1].sockets[0].getsockname()[:2]
            self.servers[-1].close()
            self._return = asyncio.create_task(self._come_back(host, port, seconds))
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                reset(transport)

    async def _come_back(self, host: str, port: int, seconds: float) -> None:
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
