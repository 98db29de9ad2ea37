"""The body of an answer as it comes in: decoded as it comes, and never larger than any answer should be."""

from __future__ import annotations

import ssl
import zlib
from collections.abc import Iterator, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Protocol

from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.errors import MicsConnectionError, MicsResponseError
from airflow_provider_mics.api.responses import Response

LARGEST_BODY = 64 * 1024 * 1024

"""Bytes, decoded. No answer of the platform comes near; what is larger is not read to its end."""

CHUNK = 64 * 1024

"""Bytes. How much is taken from the network at a time."""

ACCEPTED_ENCODING = "gzip"

GZIP_WINDOW = 16 + zlib.MAX_WBITS


class Transport(Protocol):
    """Sends requests for a `MicsClient`, which retries them, reads the responses and redacts the token."""

    def send(self, call: Call[Any]) -> Response:
        """Send one request and return the response, whatever its status code.

        :param call: complete: its organisation is filled in, and no value of its ``query`` is None
        :raises MicsConnectionError: no complete response; what it says decides whether the client tries again
        """
        ...

    def close(self) -> None:
        """Release what the transport holds. The client calls this once."""
        ...


class AsyncTransport(Protocol):
    """Sends requests for an `AsyncMicsClient`; see `Transport`."""

    async def send(self, call: Call[Any]) -> Response:
        """Send one request and return the response, whatever its status code.

        :param call: complete: its organisation is filled in, and no value of its ``query`` is None
        :raises MicsConnectionError: no complete response; what it says decides whether the client tries again
        """
        ...

    async def aclose(self) -> None:
        """Release what the transport holds. The client calls this once."""
        ...


class Body:
    """Collects one body.

    It undoes gzip itself: HTTP libraries decode a whole chunk at once, and a few kilobytes can become gigabytes.

    :raises MicsResponseError: the body is larger than `LARGEST_BODY`, or encoded in a way that was not asked for
    """

    def __init__(self, call: Call[Any], headers: Mapping[str, str]) -> None:
        self._call = call
        self._content = bytearray()
        encoding = headers.get("content-encoding", "").strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            raise MicsResponseError(
                f"{call}: the answer is encoded as {encoding[:40]!r}, which was not asked for"
            )
        self._gzip = zlib.decompressobj(GZIP_WINDOW) if encoding.endswith("gzip") else None
        self._is_begun = False

    def add(self, chunk: bytes) -> None:
        """Take the next bytes from the network."""
        self._is_begun = self._is_begun or bool(chunk)
        if self._gzip is None:
            self._keep(chunk)
            return
        while chunk and not self._gzip.eof:
            try:
                self._keep(self._gzip.decompress(chunk, CHUNK))
            except zlib.error as error:
                raise MicsResponseError(
                    f"{self._call}: the answer is not the gzip it says: {error}"
                ) from None
            chunk = self._gzip.unconsumed_tail

    def whole(self) -> bytes:
        """All of it, once the network gave all.

        :raises MicsConnectionError: the encoded body breaks off
        """
        if self._gzip is not None and self._is_begun and not self._gzip.eof:
            raise MicsConnectionError(f"{self._call}: the answer breaks off after {len(self._content)} bytes")
        return bytes(self._content)

    def _keep(self, piece: bytes) -> None:
        if len(self._content) + len(piece) > LARGEST_BODY:
            raise MicsResponseError(f"{self._call}: the answer is larger than {LARGEST_BODY >> 20} MiB")
        self._content += piece


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, the one it was made from, and so on down to the one that says what happened.

    What was being handled meanwhile (``__context__``) does not count: it may be of another request.
    """
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        below = (getattr(current, "reason", None), *current.args, current.__cause__)
        current = next((each for each in below if isinstance(each, BaseException)), None)


def reason(error: BaseException) -> str:
    """What happened, on one line."""
    *_, innermost = causes(error)
    return " ".join(str(innermost).split()) or type(innermost).__name__


def is_untrusted_certificate(error: BaseException) -> bool:
    """Whether the server's certificate did not verify: nothing was sent, and trying again changes nothing."""
    # urllib3 before 2 has a class of its own for a name that does not match.
    return any(
        isinstance(each, ssl.SSLCertVerificationError) or type(each).__name__ == "CertificateError"
        for each in causes(error)
    )


class NoCookies(DefaultCookiePolicy):
    """Takes and sends no cookie, whoever sets it."""

    def __init__(self) -> None:
        super().__init__(allowed_domains=[])


def no_cookies() -> CookieJar:
    return CookieJar(NoCookies())
