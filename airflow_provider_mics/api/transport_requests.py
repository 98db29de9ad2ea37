"""The blocking transport, on ``requests``: one HTTP request, with limits on its time and on its response's size."""

from __future__ import annotations

import http.client
import io
import re
import socket
import time
from typing import Any

import requests
import requests.adapters
import requests.auth
import urllib3
import urllib3.connection

from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.network import Network
from airflow_provider_mics.api.responses import Response
from airflow_provider_mics.api.settings import POOL_SIZE, ClientSettings
from airflow_provider_mics.api.transport import (
    CHUNK_SIZE,
    BodyReader,
    NoCookies,
    causes,
    is_untrusted_certificate,
)

LARGEST_HEAD = 100 * 1024
"""Bytes of the status line and the headers of a response, as in ``httpcore``."""
MOST_HEADERS = 90
LONGEST_HEADER = 60_000
"""Bytes. Of more headers, or of longer ones, only `NEEDED_HEADERS` are kept: `http.client` takes no more."""
NEEDED_HEADERS = frozenset(
    [
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"date",
        b"keep-alive",
        b"location",
        b"retry-after",
        b"transfer-encoding",
    ]
)
_INTERIM = re.compile(rb"HTTP/\S+\s+1(?!01)\d\d\b")


class RequestsTransport:
    """Sends requests over one session with a pool of connections."""

    def __init__(self, settings: ClientSettings, token: str, network: Network) -> None:
        self._settings = settings
        self._network = network
        self._session = _Session()
        # The environment is in ``network``, which the async client gets too.
        self._session.trust_env = False
        self._session.auth = _Token(token)
        self._session.cookies.set_policy(NoCookies())
        adapter = _Adapter(pool_maxsize=POOL_SIZE, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def close(self) -> None:
        self._session.close()

    def send(self, call: Call[Any]) -> Response:
        """Send one request and return the response, whatever its status code.

        :raises MicsConnectionError: no complete response
        :raises MicsResponseError: the response is too large, or cannot be decoded
        """
        settings = self._settings
        try:
            with self._session.request(
                call.method,
                settings.url(call),
                params=settings.query(call),
                data=settings.content(call),
                headers=settings.headers(call),
                timeout=(settings.connect_timeout, settings.read_timeout),
                verify=self._network.verify,
                proxies={} if self._network.proxy is None else {"all": self._network.proxy},
                allow_redirects=False,
                stream=True,
            ) as response:
                return _read(call, response)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            is_permanent = _is_permanent(error)
            raise settings.connection_error(
                call,
                error,
                timed_out=_timed_out(error),
                certainly_not_sent=is_permanent or _never_connected(error),
                retriable=not is_permanent,
            ) from None


def _read(call: Call[Any], response: requests.Response) -> Response:
    headers = {name.lower(): value for name, value in response.headers.items()}
    body = BodyReader(call, headers)
    # By default, urllib3 1.26 accepts a body that is shorter than its Content-Length.
    response.raw.enforce_content_length = True
    for chunk in response.raw.stream(CHUNK_SIZE, decode_content=False):
        body.add(chunk)
    response.raw.release_conn()
    return Response(response.status_code, headers, body.content())


def _never_connected(error: BaseException) -> bool:
    """Whether no connection was made, so that nothing was sent."""
    names = ("NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "ConnectTimeout")
    return any(type(each).__name__ in names for each in causes(error))


def _is_permanent(error: BaseException) -> bool:
    """Whether nothing was sent, for a reason that a retry does not change."""
    invalid_request = (
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.InvalidProxyURL,
        requests.exceptions.InvalidHeader,
    )
    return isinstance(error, invalid_request) or is_untrusted_certificate(error)


def _timed_out(error: BaseException) -> bool:
    return any(isinstance(each, TimeoutError | requests.exceptions.Timeout) for each in causes(error))


class _Token(requests.auth.AuthBase):
    """Sets the ``Authorization`` header, so that a ``.netrc`` file never replaces the token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._token
        return request


class _Session(requests.Session):
    """A session without redirects: even with ``allow_redirects=False``, ``requests`` reads a redirect's whole body."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


class _Adapter(requests.adapters.HTTPAdapter):
    """Connections whose responses have a deadline."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        # The pools of a SOCKS proxy connect through it; ours would connect past it.
        if not str(proxy).lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager


class _DeadlineResponse(http.client.HTTPResponse):
    """A response for which the socket's timeout limits the whole response, not each read.

    `http.client` takes any interim answer but 100 for the response, and leaves the response to the next request; and
    it takes at most 100 headers. Here, as in ``httpx``, interim answers are skipped, and the size of the headers is
    limited in place of their number.
    """

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(_DeadlineSocket(sock), *args, **kwargs)  # type: ignore[arg-type]

    def begin(self) -> None:
        if self.headers is not None:
            return
        from_server = self.fp
        self.fp = io.BufferedReader(io.BytesIO(_final_head(from_server)))
        try:
            super().begin()
        finally:
            self.fp = from_server
        # After this answer, the server speaks another protocol.
        self.will_close = self.will_close or self.status == http.client.SWITCHING_PROTOCOLS


def _final_head(stream: io.BufferedIOBase) -> bytes:
    """Read the status line and the headers of the next response that is no interim one.

    :raises http.client.HTTPException: they are larger than `LARGEST_HEAD`
    """
    while True:
        lines = _head_lines(stream)
        if _INTERIM.match(lines[0]) is None:
            break
    if len(lines) > MOST_HEADERS or max(map(len, lines)) > LONGEST_HEADER:
        lines = [lines[0], *(line for line in lines[1:] if line.partition(b":")[0].lower() in NEEDED_HEADERS)]
    return b"".join([*lines, b"\r\n"])


def _head_lines(stream: io.BufferedIOBase) -> list[bytes]:
    lines: list[bytes] = []
    left = LARGEST_HEAD
    while True:
        line = stream.readline(left + 1)
        left -= len(line)
        if left < 0:
            raise http.client.HTTPException(f"the headers are larger than {LARGEST_HEAD >> 10} KiB")
        if lines and line in (b"", b"\n", b"\r\n"):
            return lines
        lines.append(line)
        if not line.startswith(b"HTTP/") and len(lines) == 1:
            return lines


class _DeadlineSocket:
    """The only method of a socket that `http.client.HTTPResponse` uses."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineReader(self._sock, mode))


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until a deadline."""

    def __init__(self, sock: socket.socket, mode: str) -> None:
        self._sock = sock
        self._bytes: Any = sock.makefile(mode, buffering=0)  # type: ignore[call-overload]
        timeout = sock.gettimeout()
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(left)
        count: int | None = self._bytes.readinto(buffer)
        return count

    def close(self) -> None:
        self._bytes.close()
        super().close()


class _HTTPConnection(urllib3.connection.HTTPConnection):
    response_class = _DeadlineResponse


class _HTTPSConnection(urllib3.connection.HTTPSConnection):
    response_class = _DeadlineResponse


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}
