"""Every request that reaches the platform, counted and remembered: the outermost layer but for the network."""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


ADMIN_PREFIX = "/_sandbox"
TRANSPORT = "mics.transport"
"""Where in a request's ASGI scope its connection is, for the layers inside, whose ``send`` is not the server's."""
REMEMBERED = 2_000
LONGEST_BODY = 20_000
ID_SEGMENT = re.compile(r"/\d+(?=/|$)")
SELECTED_SEGMENT = re.compile(r"(/[a-z_]+=)[^/]+")


@dataclass
class SeenRequest:
    """A request as it came, without its token. ``status`` is None while, or where, it got no answer."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: str
    user_agent: str
    status: int | None = None


class Traffic:
    """How many requests came, by method and route; and the last of them, as they were."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._seen: deque[SeenRequest] = deque(maxlen=REMEMBERED)

    def reset(self) -> None:
        self.counts.clear()
        self._seen.clear()

    def note(self, scope: Scope) -> SeenRequest:
        """Count a request and remember it."""
        path = scope["path"]
        self.counts[f"{scope['method']} {route_of(path)}"] += 1
        headers = dict(scope["headers"])
        seen = SeenRequest(
            method=scope["method"],
            path=path,
            query=parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True),
            body="",
            user_agent=headers.get(b"user-agent", b"").decode("latin-1"),
        )
        self._seen.append(seen)
        return seen

    def requests(self) -> list[dict[str, Any]]:
        """The last requests, oldest first."""
        return [asdict(seen) for seen in self._seen]


def route_of(path: str) -> str:
    """A path with its ids as ``{id}`` and its selected names as ``{name}``."""
    return SELECTED_SEGMENT.sub(r"\1{name}", ID_SEGMENT.sub("/{id}", path))


class CountingLayer:
    """ASGI: notes each request to the platform, and the status it was answered with. Admin requests do not count."""

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(ADMIN_PREFIX):
            await self._app(scope, receive, send)
            return
        seen = self._traffic.note(scope)
        scope[TRANSPORT] = getattr(getattr(send, "__self__", None), "transport", None)

        async def noting_receive() -> Message:
            message = await receive()
            if message["type"] == "http.request" and len(seen.body) < LONGEST_BODY:
                seen.body += message.get("body", b"").decode("utf-8", "replace")[:LONGEST_BODY]
            return message

        async def noting_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
            await send(message)

        await self._app(scope, noting_receive, noting_send)
