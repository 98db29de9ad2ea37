"""The settings of both clients, and how a call becomes a request. No I/O but reading a CA bundle."""

from __future__ import annotations

import json
import logging
import math
import ssl
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypedDict, TypeVar
from urllib.parse import urlsplit

from airflow_provider_mics import __version__
from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.errors import MicsAuthError, MicsConnectionError, MicsError
from airflow_provider_mics.api.list_history import ListHistory
from airflow_provider_mics.api.models import SizeFields, spell_sizes
from airflow_provider_mics.api.network import Network, proxy_problem, proxy_variables, resolve_network
from airflow_provider_mics.api.responses import Response, read_response
from airflow_provider_mics.api.text import excerpt, redact
from airflow_provider_mics.api.token_history import TokenHistory
from airflow_provider_mics.api.transport import ACCEPTED_ENCODING, root_cause

T = TypeVar("T")
DEFAULT_BASE_URL = "https://api.mediarithmics.com"
"""The vendor's public API: https://developer.mediarithmics.io/resources/api-overview"""
POOL_SIZE = 10
"""Connections that a client keeps open."""
SMALLEST_CLOCK_DIFFERENCE = timedelta(seconds=5)
"""A ``Date`` has whole seconds and takes time to arrive: a smaller difference tells nothing."""
LARGEST_CLOCK_DIFFERENCE = timedelta(hours=1)
"""A larger difference is no clock that somebody keeps, but a cached or invented ``Date``."""
_JSON_OPTIONS = {"ensure_ascii": True, "separators": (",", ":"), "allow_nan": False}
logger = logging.getLogger(__name__)


class LogLines(Protocol):
    """Where a client logs: a logger of the standard library, or Airflow's."""

    def log(self, level: int, message: str, /, *args: object) -> Any: ...


class ClientOptions(TypedDict, total=False):
    """The optional arguments of `ClientSettings`, for the signatures of both clients."""

    timeout: float | tuple[float, float]
    max_retries: int
    size_fields: SizeFields
    verify: bool | str
    proxies: Mapping[str, str] | None
    log: LogLines
    token_history: TokenHistory | None
    list_history: ListHistory | None
    environ: Mapping[str, str] | None


class ClientSettings:
    """The settings of a client, checked, and what turns a call into a request."""

    def __init__(
        self,
        base_url: str,
        token: str,
        organisation_id: str | None = None,
        *,
        timeout: float | tuple[float, float] = (10.0, 60.0),
        max_retries: int = 4,
        size_fields: SizeFields = "documented",
        verify: bool | str = True,
        proxies: Mapping[str, str] | None = None,
        log: LogLines = logger,
        token_history: TokenHistory | None = None,
        list_history: ListHistory | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Check the settings.

        :param base_url: scheme and host, such as ``https://api.mediarithmics.com``; a trailing ``/v1`` is ignored
        :param token: the API token, sent in the ``Authorization`` header as it is
        :param organisation_id: for calls that name no organisation
        :param timeout: seconds to connect, and seconds for the whole response; one number for both
        :param max_retries: how often a request is retried if that is safe (see ``retries.py``)
        :param size_fields: the names of container sizes in requests: ``documented`` is the vendor's page,
            ``console`` the vendor's web client
        :param verify: whether to verify the server's certificate, or the path of a CA bundle
        :param proxies: proxy URL by scheme, ``{"https": "http://proxy:3128"}``; None means the environment's
        :param log: where retries and the `Log` steps of flows are logged
        :param token_history: shared by all clients of one token; by default the client has its own
        :param list_history: shared by all clients of one host; by default the client has its own
        :param environ: the environment variables that hold proxies and CA bundles, see ``network.py``; by default the
            proxies that Python finds, and no CA bundle
        :raises MicsError: an argument is invalid
        """
        self.base_url = _checked_base_url(base_url)
        self.organisation_id = None if organisation_id is None else str(organisation_id)
        self.connect_timeout, self.read_timeout = _checked_timeouts(timeout)
        self.max_retries = _checked_retries(max_retries)
        if size_fields not in ("documented", "console"):
            raise MicsError(f"size_fields {size_fields!r} is not one of documented, console")
        self.size_fields = size_fields
        self._token = _checked_token(token)
        self.verify = _checked_verify(verify)
        self.proxies = _checked_proxies(proxies or {})
        self.log = log
        self._token_history = token_history or TokenHistory()
        self.list_history = ListHistory() if list_history is None else list_history
        self._environ = environ
        self._clock_difference = timedelta(0)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r}, organisation_id={self.organisation_id!r})"

    @property
    def _resolved_network(self) -> Network:
        """How the client's own transport reaches the host."""
        environ = proxy_variables() if self._environ is None else self._environ
        try:
            return resolve_network(self.base_url, self.proxies, self.verify, environ)
        except MicsError as error:
            raise MicsError(f"cannot connect to {self.base_url}: {error}") from None

    def url(self, call: Call[Any]) -> str:
        return f"{self.base_url}/v1/{call.path}"

    def headers(self, call: Call[Any]) -> dict[str, str]:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": ACCEPTED_ENCODING,
            "User-Agent": f"airflow-provider-mics/{__version__}",
        }
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        return headers

    def complete(self, call: Call[T]) -> Call[T]:
        """Return the call as a transport gets it: with an organisation, and sizes under the names of ``size_fields``.

        :raises MicsError: the call needs an organisation, and the client has none
        """
        query = {
            name: value
            for name, value in self._with_organisation(call, call.query).items()
            if value is not None
        }
        if call.body is None:
            return replace(call, query=query)
        return replace(
            call, query=query, body=spell_sizes(self._with_organisation(call, call.body), self.size_fields)
        )

    def query(self, call: Call[Any]) -> dict[str, str]:
        """Return the query as text."""
        return {name: str(value) for name, value in call.query.items()}

    def content(self, call: Call[Any]) -> bytes | None:
        """Return the body as JSON.

        :raises MicsError: it holds a value that JSON does not have
        """
        if call.body is None:
            return None
        try:
            return json.dumps(call.body, **_JSON_OPTIONS).encode()  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise MicsError(f"{call}: the body cannot be written as JSON: {error}") from None

    def _with_organisation(self, call: Call[Any], fields: Mapping[str, Any]) -> Mapping[str, Any]:
        if "organisation_id" not in fields or fields["organisation_id"] is not None:
            return fields
        if self.organisation_id is None:
            raise MicsError(
                f"{call} needs an organisation: give organisation_id, or set it in the connection's extra"
            )
        return {**fields, "organisation_id": self.organisation_id}

    def has_settings_of(self, other: ClientSettings) -> bool:
        """Whether ``other`` reaches the same platform with the same token, in the same way."""
        return self._essentials == other._essentials

    @property
    def _essentials(self) -> tuple[object, ...]:
        timeouts = self.connect_timeout, self.read_timeout
        return (self.base_url, self._token, self.organisation_id, self.verify, self.proxies, timeouts)

    def read(self, call: Call[T], response: Response, now: datetime) -> T:
        """Return the value of a response that came at ``now`` (UTC), see `read_response`."""
        try:
            value = read_response(call, response, self._token)
        except MicsError as error:
            if isinstance(error, MicsAuthError):
                self._token_history.refused(call, error, now)
            # Without the frames that hold the token: a traceback may show their variables.
            raise error.with_traceback(None) from None
        self._token_history.accepted(call)
        self._note_date(response, now)
        return value

    def _note_date(self, response: Response, now: datetime) -> None:
        """Note what the ``Date`` of a response that came at ``now`` tells of the platform's clock."""
        difference = timedelta(0) if response.date is None else response.date - now
        is_plausible = SMALLEST_CLOCK_DIFFERENCE <= abs(difference) <= LARGEST_CLOCK_DIFFERENCE
        self._clock_difference = difference if is_plausible else timedelta(0)

    def platform_time(self, now: datetime) -> datetime:
        """Return the time that the platform's clock shows at ``now``."""
        return now + self._clock_difference

    def connection_error(
        self,
        call: Call[Any],
        error: BaseException,
        *,
        timed_out: bool,
        certainly_not_sent: bool,
        retriable: bool,
    ) -> MicsConnectionError:
        """Return the error to raise for ``error`` of an HTTP library."""
        why = excerpt(root_cause(error), self._token)
        if timed_out and certainly_not_sent:
            why = f"timed out: no connection within {self.connect_timeout:g} s"
        elif timed_out:
            why = f"timed out: no complete response within {self.read_timeout:g} s"
        message = f"{redact(str(call), self._token)}: no response from {self.base_url}: {why}"
        return MicsConnectionError(message, certainly_not_sent=certainly_not_sent, retriable=retriable)


def _checked_base_url(base_url: str) -> str:
    url = str(base_url).strip().rstrip("/")
    # What follows these characters may be a secret, so the error does not show it.
    if "@" in url:
        raise MicsError(
            "host contains a user name or password: the token goes into the connection's password"
        )
    if "?" in url or "#" in url:
        raise MicsError(
            f"host contains more than an address, from ? or # on: write it like {DEFAULT_BASE_URL}"
        )
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise MicsError(f"host {base_url!r} is not an address: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise MicsError(f"host {base_url!r} has no scheme: write it like {DEFAULT_BASE_URL}")
    if any(char.isspace() or not char.isprintable() for char in url):
        raise MicsError(f"host {base_url!r} contains more than an address: write it like {DEFAULT_BASE_URL}")
    return url.removesuffix("/v1").rstrip("/")


def _checked_token(token: str) -> str:
    stripped = token.strip() if isinstance(token, str) else ""
    if not stripped:
        raise MicsError("no API token: put it into the connection's password")
    if not stripped.isascii() or not stripped.isprintable() or " " in stripped:
        raise MicsError(
            "the API token contains a space or another character that no token has: copy it again from the platform"
        )
    return stripped


def _checked_timeouts(timeout: Any) -> tuple[float, float]:
    both = tuple(timeout) if isinstance(timeout, tuple | list) else (timeout, timeout)
    if len(both) != 2:
        raise MicsError(f"timeout {timeout!r} is not one or two numbers of seconds")
    return _checked_seconds("connect_timeout", both[0]), _checked_seconds("read_timeout", both[1])


def _checked_seconds(name: str, value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value < math.inf:
        raise MicsError(f"{name} {value!r} is not a number of seconds above 0")
    return float(value)


def _checked_retries(max_retries: Any) -> int:
    if not isinstance(max_retries, int) or isinstance(max_retries, bool) or max_retries < 0:
        raise MicsError(f"max_retries {max_retries!r} is not a whole number of at least 0")
    return max_retries


def _checked_verify(verify: bool | str) -> bool | str:
    if isinstance(verify, bool):
        return verify
    bundle = Path(verify)
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(**{"capath" if bundle.is_dir() else "cafile": str(bundle)})
    except (OSError, ValueError, TypeError) as error:
        raise MicsError(f"verify {str(verify)!r} is not a readable CA bundle: {root_cause(error)}") from None
    return str(bundle)


def _checked_proxies(proxies: Mapping[str, str]) -> dict[str, str]:
    # A proxy's address may contain a password, so no error shows it, also where it stands in place of a scheme.
    for scheme, url in proxies.items():
        if scheme not in {"http", "https", "all"}:
            given = repr(scheme) if str(scheme).isalnum() else "a scheme"
            raise MicsError(f"proxies: {given} is not one of http, https, all")
        problem = proxy_problem(str(url))
        if problem:
            raise MicsError(f"proxies: the address for {scheme} {problem}")
    return dict(proxies)
