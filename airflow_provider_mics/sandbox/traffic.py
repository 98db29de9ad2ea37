"""The request log: counts requests to the platform and records the latest ones."""

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
"""Key of the ASGI scope for the connection's transport, which inner middleware cannot reach through ``send``."""
MAX_RECORDED = 2_000
MAX_BODY = 20_000
ID_SEGMENT = re.compile(r"/\d+(?=/|$)")
SELECTED_SEGMENT = re.compile(r"(/[a-z_]+=)[^/]+")


@dataclass
class RecordedRequest:
    """A request without its token. ``status`` is None if it has no answer."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: str
    user_agent: str
    status: int | None = None


class Traffic:
    """Counts of requests by method and route, and the latest requests."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._recorded: deque[RecordedRequest] = deque(maxlen=MAX_RECORDED)

    def reset(self) -> None:
        self.counts.clear()
        self._recorded.clear()

    def record(self, scope: Scope) -> RecordedRequest:
        """Count and record a request."""
        path = scope["path"]
        self.counts[f"{scope['method']} {route_of(path)}"] += 1
        headers = dict(scope["headers"])
        recorded = RecordedRequest(
            method=scope["method"],
            path=path,
            query=parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True),
            body="",
            user_agent=headers.get(b"user-agent", b"").decode("latin-1"),
        )
        self._recorded.append(recorded)
        return recorded

    def requests(self) -> list[dict[str, Any]]:
        """Return the latest requests, oldest first."""
        return [asdict(each) for each in self._recorded]


def route_of(path: str) -> str:
    """Replace the ids in a path by ``{id}`` and the names of properties by ``{name}``."""
    return SELECTED_SEGMENT.sub(r"\1{name}", ID_SEGMENT.sub("/{id}", path))


class TrafficMiddleware:
    """ASGI middleware that records each request to the platform with the status of its answer, but no admin request."""

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(ADMIN_PREFIX):
            await self._app(scope, receive, send)
            return
        recorded = self._traffic.record(scope)
        scope[TRANSPORT] = getattr(getattr(send, "__self__", None), "transport", None)

        async def recording_receive() -> Message:
            message = await receive()
            if message["type"] == "http.request" and len(recorded.body) < MAX_BODY:
                recorded.body += message.get("body", b"").decode("utf-8", "replace")[:MAX_BODY]
            return message

        async def recording_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                recorded.status = message["status"]
            await send(message)

        await self._app(scope, recording_receive, recording_send)
