"""A call over ``requests``: one HTTP exchange, blocking, within its time and its size."""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any

import requests
import requests.adapters
import requests.auth
import urllib3
import urllib3.connection

from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.responses import Response
from airflow_provider_mics.api.settings import POOL_SIZE, ClientSettings
from airflow_provider_mics.api.transport import CHUNK, Body, NoCookies, causes, is_untrusted_certificate


class RequestsTransport:
    """Sends calls over one pooled session."""

    def __init__(self, settings: ClientSettings, token: str) -> None:
        self._settings = settings
        self._session = _Session()
        self._session.auth = _Token(token)
        self._session.cookies.set_policy(NoCookies())
        adapter = _Adapter(pool_maxsize=POOL_SIZE, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def close(self) -> None:
        self._session.close()

    def send(self, call: Call[Any]) -> Response:
        """The answer to a call, whatever it says.

        :raises MicsConnectionError: no whole answer came
        :raises MicsResponseError: it is too large, or cannot be decoded
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
                verify=settings.verify,
                proxies=settings.proxies,
                allow_redirects=False,
                stream=True,
            ) as response:
                return _received(call, response)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            not_sent = _never_connected(error)
            raise settings.no_answer(
                call,
                error,
                timed_out=_timed_out(error),
                certainly_not_sent=not_sent or _cannot_be_sent(error),
                retriable=not _cannot_be_sent(error),
            ) from None


def _received(call: Call[Any], response: requests.Response) -> Response:
    headers = {name.lower(): value for name, value in response.headers.items()}
    body = Body(call, headers)
    # urllib3 1.26 takes a body that ends early for a whole one, unless told otherwise.
    response.raw.enforce_content_length = True
    for chunk in response.raw.stream(CHUNK, decode_content=False):
        body.add(chunk)
    response.raw.release_conn()
    return Response(response.status_code, headers, body.whole())


def _never_connected(error: BaseException) -> bool:
    """Whether no connection was made, so that nothing can have been sent."""
    names = ("NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "ConnectTimeout")
    return any(type(each).__name__ in names for each in causes(error))


def _cannot_be_sent(error: BaseException) -> bool:
    """Whether the request was never begun, for a reason that another try does not mend."""
    unusable = (
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.InvalidProxyURL,
        requests.exceptions.InvalidHeader,
    )
    return isinstance(error, unusable) or is_untrusted_certificate(error)


def _timed_out(error: BaseException) -> bool:
    return any(isinstance(each, TimeoutError | requests.exceptions.Timeout) for each in causes(error))


class _Token(requests.auth.AuthBase):
    """Sets the header itself, so that a ``.netrc`` file never replaces the token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._token
        return request


class _Session(requests.Session):
    """A session without redirects. Told not to follow one, ``requests`` still reads its whole body to look ahead."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


class _Adapter(requests.adapters.HTTPAdapter):
    """Connections whose answers have a deadline."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = POOLS
        return manager


class _DeadlineResponse(http.client.HTTPResponse):
    """An answer for which the socket's timeout is that of the whole, not that of each byte."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(_DeadlineSocket(sock), *args, **kwargs)  # type: ignore[arg-type]


class _DeadlineSocket:
    """The one method of a socket that an answer is read by."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineReader(self._sock, mode))


class _DeadlineReader(io.RawIOBase):
    """The bytes that come from a socket until its deadline."""

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


POOLS = {"http": _HTTPPool, "https": _HTTPSPool}
