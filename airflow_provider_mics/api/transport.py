"""What both HTTP transports share: their interface, reading a body, the cause of an error, and no cookies."""

from __future__ import annotations

import ssl
import zlib
from collections.abc import Iterator, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Protocol

from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.errors import MicsConnectionError, MicsResponseError
from airflow_provider_mics.api.responses import Response
from airflow_provider_mics.api.text import one_line

LARGEST_BODY = 64 * 1024 * 1024
"""Bytes, decoded. A larger body is not read to its end; no response of the platform comes near."""
CHUNK_SIZE = 64 * 1024
"""Bytes read from the network at a time."""
ACCEPTED_ENCODING = "gzip"
COMPRESSIONS = frozenset(
    ["gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress", "dcb", "dcz", "exi", "pack200-gzip"]
)
"""Content encodings that change the bytes. Others, such as ``identity``, ``none`` or ``utf-8``, say nothing."""
GZIP_WINDOW = 16 + zlib.MAX_WBITS


class Transport(Protocol):
    """Sends requests for a `MicsClient`, which retries them, reads the responses and redacts the token."""

    def send(self, call: Call[Any]) -> Response:
        """Send one request and return the response, whatever its status code.

        :param call: complete: its organisation is filled in, and no value of its ``query`` is None
        :raises MicsConnectionError: no complete response; its attributes decide whether the client retries
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
        :raises MicsConnectionError: no complete response; its attributes decide whether the client retries
        """
        ...

    async def aclose(self) -> None:
        """Release what the transport holds. The client calls this once."""
        ...


class BodyReader:
    """Collects the body of one response.

    It decodes gzip itself: HTTP libraries decode a whole chunk at once, and a few kilobytes can become gigabytes.

    :raises MicsResponseError: the body is larger than `LARGEST_BODY`, or has an encoding that was not requested
    """

    def __init__(self, call: Call[Any], headers: Mapping[str, str]) -> None:
        self._call = call
        self._content = bytearray()
        encodings = [each.strip().lower() for each in headers.get("content-encoding", "").split(",")]
        compressions = [each for each in encodings if each in COMPRESSIONS]
        if compressions not in ([], ["gzip"], ["x-gzip"]):
            encoding = one_line(", ".join(compressions), 40)
            raise MicsResponseError(
                f"{call}: the response has the encoding {encoding!r}, which was not requested"
            )
        self._gzip = zlib.decompressobj(GZIP_WINDOW) if compressions else None
        self._has_begun = False

    def add(self, chunk: bytes) -> None:
        """Add the next bytes from the network."""
        self._has_begun = self._has_begun or bool(chunk)
        if self._gzip is None:
            self._append(chunk)
            return
        while chunk and not self._gzip.eof:
            try:
                self._append(self._gzip.decompress(chunk, CHUNK_SIZE))
            except zlib.error as error:
                raise MicsResponseError(f"{self._call}: the response is not valid gzip: {error}") from None
            chunk = self._gzip.unconsumed_tail

    def content(self) -> bytes:
        """Return the body, after the last `add`.

        :raises MicsConnectionError: the gzip stream is cut off
        """
        if self._gzip is not None and self._has_begun and not self._gzip.eof:
            raise MicsConnectionError(
                f"{self._call}: the response is cut off after {len(self._content)} bytes"
            )
        return bytes(self._content)

    def _append(self, piece: bytes) -> None:
        if len(self._content) + len(piece) > LARGEST_BODY:
            raise MicsResponseError(f"{self._call}: the response is larger than {LARGEST_BODY >> 20} MiB")
        self._content += piece


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, its cause, and so on down to the first cause.

    ``__context__`` is left out: it may be an error of another request.
    """
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        below = (getattr(current, "reason", None), *current.args, current.__cause__)
        current = next((each for each in below if isinstance(each, BaseException)), None)


def root_cause(error: BaseException) -> str:
    """Return the message of the first cause of an error, on one line."""
    *_, cause = causes(error)
    return one_line(str(cause)) or type(cause).__name__


def is_untrusted_certificate(error: BaseException) -> bool:
    """Whether the server's certificate did not verify. Nothing was sent, and a retry would fail too."""
    # urllib3 before 2 has a class of its own for a host name that does not match.
    return any(
        isinstance(each, ssl.SSLCertVerificationError) or type(each).__name__ == "CertificateError"
        for each in causes(error)
    )


class NoCookies(DefaultCookiePolicy):
    """A cookie policy that neither stores nor sends cookies."""

    def __init__(self) -> None:
        super().__init__(allowed_domains=[])


def no_cookies() -> CookieJar:
    return CookieJar(NoCookies())
