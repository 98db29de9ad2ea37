"""The async transport, on ``httpx``: one HTTP request, with limits on its time and on its response's size."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Generator
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import httpx

from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.network import Network
from airflow_provider_mics.api.responses import Response
from airflow_provider_mics.api.settings import POOL_SIZE, ClientSettings
from airflow_provider_mics.api.transport import BodyReader, is_untrusted_certificate, no_cookies, root_cause

NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
INVALID_REQUEST = (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError)


class HttpxTransport:
    """Sends requests over one pool of connections, in one event loop.

    :raises MicsError: the proxy or the CA bundle cannot be used
    """

    def __init__(self, settings: ClientSettings, token: str, network: Network) -> None:
        self._settings = settings
        try:
            self._http = _http(settings, token, network)
        except (ValueError, ImportError, OSError, httpx.InvalidURL) as error:
            raise MicsError(f"cannot connect to {settings.base_url}: {root_cause(error)}") from None

    async def aclose(self) -> None:
        await self._http.aclose()

    async def send(self, call: Call[Any]) -> Response:
        """Send one request and return the response, whatever its status code.

        :raises MicsConnectionError: no complete response
        :raises MicsResponseError: the response is too large, or cannot be decoded
        """
        settings = self._settings
        try:
            async with (
                asyncio.timeout(settings.connect_timeout + settings.read_timeout),
                self._http.stream(
                    call.method,
                    settings.url(call),
                    params=settings.query(call),
                    content=settings.content(call),
                    headers=settings.headers(call),
                ) as response,
            ):
                headers = dict(response.headers)
                body = BodyReader(call, headers)
                # Not `aiter_raw`, which gives the connection back to the pool at the end of the response.
                async for chunk in cast("httpx.AsyncByteStream", response.stream):
                    body.add(chunk)
                _drop_if_unread(response)
                return Response(response.status_code, headers, body.content())
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            is_permanent = isinstance(error, INVALID_REQUEST) or is_untrusted_certificate(error)
            raise settings.connection_error(
                call,
                error,
                timed_out=isinstance(error, httpx.TimeoutException | TimeoutError),
                certainly_not_sent=is_permanent or isinstance(error, NOT_CONNECTED),
                retriable=not is_permanent,
            ) from None


def _drop_if_unread(response: httpx.Response) -> None:
    """Let the connection be closed if more has been read from it than this response.

    A server that answers twice must not have its second answer taken for that to the next request. ``httpcore`` keeps
    what it has read ahead, and shows it nowhere else.
    """
    part: Any = response.stream
    for name in ("_stream", "_httpcore_stream", "_stream", "_connection", "_h11_state"):
        part = getattr(part, name, None)
    if part is not None and part.trailing_data[0]:
        part.send_failed()


class _Token(httpx.Auth):
    """Sets the ``Authorization`` header, so that a ``.netrc`` file never replaces the token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._token
        yield request


def _http(settings: ClientSettings, token: str, network: Network) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        auth=_Token(token),
        verify=_ssl_context(network.verify),
        timeout=httpx.Timeout(settings.read_timeout, connect=settings.connect_timeout),
        limits=httpx.Limits(max_connections=POOL_SIZE, max_keepalive_connections=POOL_SIZE),
        follow_redirects=False,
        cookies=no_cookies(),
        # The environment is in ``network``, which the blocking client gets too.
        trust_env=False,
        proxy=network.proxy,
    )


def _ssl_context(verify: bool | str) -> ssl.SSLContext:
    return _loaded_context(verify, 0.0 if isinstance(verify, bool) else Path(verify).stat().st_mtime)


@lru_cache(maxsize=8)
def _loaded_context(verify: bool | str, modified_at: float) -> ssl.SSLContext:
    """Load a CA bundle once: it takes about 50 ms, during which the event loop is blocked."""
    del modified_at
    if isinstance(verify, bool):
        return httpx.create_ssl_context(verify=verify, trust_env=False)
    if Path(verify).is_dir():
        return ssl.create_default_context(capath=verify)
    return ssl.create_default_context(cafile=verify)
