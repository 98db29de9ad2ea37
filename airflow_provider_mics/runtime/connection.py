"""Settings of an Airflow connection of type ``mediarithmics``, checked, with defaults for all but the token."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from difflib import get_close_matches
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from airflow_provider_mics import api
from airflow_provider_mics.api.console import DEFAULT_CONSOLE_URL
from airflow_provider_mics.api.list_history import ListHistory
from airflow_provider_mics.api.token_history import TokenHistory
from airflow_provider_mics.api.validation import seconds_of
from airflow_provider_mics.core.planning.cron_ticks import zone_of
from airflow_provider_mics.provider_info import FIELDS, ORGANISATION_KEY

if TYPE_CHECKING:
    from airflow_provider_mics.api.settings import LogLines
    from airflow_provider_mics.runtime.compat import Connection

C = TypeVar("C", api.MicsClient, api.AsyncMicsClient)
CONN_TYPE = "mediarithmics"
KNOWN_KEYS = (ORGANISATION_KEY, *FIELDS)
"""The keys of the extra that mean something."""
EXAMPLE = f'{{"conn_type": "{CONN_TYPE}", "password": "<API_TOKEN>", "login": "1185"}}'
DEFAULT_CONNECT_TIMEOUT = 10.0
"""Seconds."""
DEFAULT_READ_TIMEOUT = 60.0
"""Seconds, for a whole response."""


class UnreadableConnectionError(api.MicsConnectionError):
    """Airflow cannot read the connection, or does not find it: it finds none where a secrets backend is down.

    ``retriable`` is False where Airflow does not find it, so that a mistyped id fails at once. A wait goes on then.
    """


def unreadable_connection(conn_id: str, error: Exception) -> UnreadableConnectionError:
    """Return the error to raise for ``error`` of Airflow."""
    from airflow_provider_mics.runtime.compat import AirflowNotFoundException
    from airflow_provider_mics.runtime.failures import one_line_of

    is_missing = isinstance(error, AirflowNotFoundException)
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    if not is_missing:
        message = f"connection {conn_id!r} cannot be read: {one_line_of(error)}"
    elif os.environ.get(variable):
        # Airflow passes over what it cannot parse: a number, an unknown key, a URI whose host is not escaped or, on 3.0
        # and 3.1, an extra that is no JSON object.
        message = (
            f"there is no connection {conn_id!r} that Airflow can read in {variable}: "
            f"write it as JSON whose values are texts, like {EXAMPLE}"
        )
    else:
        what_to_do = f"add one of type {CONN_TYPE!r}, with the API token as its password"
        message = f"there is no connection {conn_id!r}: {what_to_do}"
    return UnreadableConnectionError(message, certainly_not_sent=True, retriable=not is_missing)


_token_histories: dict[bytes, TokenHistory] = {}
"""By a hash of host and token: what is known of the tokens that this process has used."""


def _history_of(host: str, token: str) -> TokenHistory:
    key = sha256(f"{host} {token}".encode()).digest()
    return _token_histories.setdefault(key, TokenHistory())


_list_histories: dict[str, ListHistory] = {}
"""By host: what this process knows of its lists."""


class ConnectionSettings:
    """The settings of one connection.

    :param organisation_id: the organisation of the form; ``organisation_id`` in the extra comes before it
    :raises MicsError: a setting cannot be used; the message names the connection and says what to write
    """

    def __init__(
        self,
        conn_id: str,
        host: str,
        token: str,
        extra: Mapping[str, Any],
        *,
        organisation_id: str | None = None,
    ) -> None:
        self._conn_id = conn_id
        self._extra = extra
        self.host = host
        self._token = token
        self.organisation_id = self._text(ORGANISATION_KEY) or (organisation_id or "").strip() or None
        self.timezone = self._text("timezone") or "UTC"
        self.size_fields = self._text("size_fields") or "documented"
        self.console_url = (self._text("console_url") or DEFAULT_CONSOLE_URL).rstrip("/")
        self._check_timezone()
        self._check_console_url()

    @classmethod
    def of(cls, connection: Connection) -> ConnectionSettings:
        """Read a connection of Airflow.

        :raises MicsError: it is of another type, or a setting cannot be used
        """
        try:
            return cls._read(connection)
        except api.MicsError as error:
            # Without the variables that hold it: a traceback may show them, and on Airflow 3 the password in them.
            del connection
            raise error.with_traceback(None) from None

    @classmethod
    def _read(cls, connection: Connection) -> ConnectionSettings:
        conn_id = connection.conn_id or "?"
        if connection.conn_type not in (CONN_TYPE, "", None) or not (
            connection.conn_type or connection.password
        ):
            raise api.MicsError(
                f"connection {conn_id} is of type {connection.conn_type!r}: make it one of type {CONN_TYPE!r}"
            )
        return cls(
            conn_id,
            _base_url(connection),
            connection.password or "",
            _extra_of(connection),
            organisation_id=connection.login,
        )

    def make_client(self, kind: type[C], organisation_id: str | None, log: LogLines, **overrides: Any) -> C:
        """Return a blocking or an async client; ``overrides`` replace arguments from the connection.

        :raises MicsError: no client can be made with this host, token or CA bundle
        """
        arguments = self.client_arguments(organisation_id, log) | overrides
        try:
            return kind(**arguments)
        except api.MicsError as error:
            del arguments  # they hold the token
            raise api.MicsError(f"connection {self._conn_id}: {error}") from None

    def client_arguments(self, organisation_id: str | None, log: LogLines) -> dict[str, Any]:
        """Return the constructor arguments of both clients."""
        return {
            "base_url": self.host,
            "token": self._token,
            "organisation_id": organisation_id or self.organisation_id,
            "timeout": (
                self._seconds("connect_timeout", DEFAULT_CONNECT_TIMEOUT),
                self._seconds("read_timeout", DEFAULT_READ_TIMEOUT),
            ),
            "size_fields": self.size_fields,
            "verify": self._verify(),
            "proxies": self._proxies(),
            "log": log,
            "token_history": _history_of(self.host, self._token),
            "list_history": _list_histories.setdefault(self.host, ListHistory()),
            "environ": os.environ,
        }

    def describe_unknown_keys(self) -> str:
        """Return a sentence for each key of the extra that means nothing, or an empty text."""
        sentences = [
            f"{key!r} in the extra means nothing: "
            + (f"did you mean {meant}?" if meant else f"known are {', '.join(KNOWN_KEYS)}.")
            for key, meant in self.unknown_keys.items()
        ]
        return " ".join(sentences)

    @property
    def unknown_keys(self) -> dict[str, str | None]:
        """The keys of the extra that mean nothing, each with the one that was probably meant, or None."""
        return {key: _meant_by(key) for key in self._extra if key not in KNOWN_KEYS}

    def _text(self, name: str) -> str | None:
        value = self._extra.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return None if value is None else str(value).strip() or None

    def _seconds(self, name: str, default: float) -> float:
        value = self._extra.get(name)
        if value is None or value == "":
            return default
        try:
            return seconds_of(self._conn_id, name, float(value))
        except (TypeError, ValueError):
            raise self._error(f"{name} {value!r}", "give a number of seconds above 0") from None

    def _verify(self) -> bool | str:
        value = self._extra.get("verify", True)
        if value is None or value == "":
            return True
        if isinstance(value, bool):
            return value
        words = {"true": True, "1": True, "false": False, "0": False}
        return words.get(str(value).strip().lower(), str(value))

    def _proxies(self) -> dict[str, str]:
        value = self._extra.get("proxies")
        if isinstance(value, str):
            value = value.strip()
        if value is None or value == "":
            return {}
        if isinstance(value, str) and not value.startswith("{"):
            return {"http": value, "https": value}
        by_scheme = _json_object(value) if isinstance(value, str) else value
        if isinstance(by_scheme, Mapping):
            return {str(scheme): str(url) for scheme, url in by_scheme.items()}
        # The value is not shown: the address of a proxy may contain a password.
        raise self._error("proxies", 'give a URL, or an object such as {"https": "http://proxy:3128"}')

    def _check_timezone(self) -> None:
        if zone_of(self.timezone) is None:
            raise self._error(f"timezone {self.timezone!r}", "give an IANA name such as Europe/Paris")

    def _check_console_url(self) -> None:
        try:
            parts = urlsplit(self.console_url)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            is_address = False
        if not is_address:
            raise self._error(
                f"console_url {self.console_url!r}", f"give an address such as {DEFAULT_CONSOLE_URL}"
            )

    def _error(self, setting: str, advice: str) -> api.MicsError:
        return api.MicsError(f"connection {self._conn_id}: {setting} in its extra: {advice}")


def _meant_by(key: str) -> str | None:
    """Return the key of the extra that a misspelled or shortened one (``org_id``) probably stands for, or None."""
    name = key.lower().removeprefix(f"extra__{CONN_TYPE}__")
    alike = get_close_matches(name, KNOWN_KEYS, n=1)
    longer = [key for key in KNOWN_KEYS if len(name) > 1 and key[0] == name[0] and _is_within(name, key)]
    return next(iter([*alike, *longer]), None)


def _is_within(letters: str, word: str) -> bool:
    """Whether a word has these letters in this order."""
    rest = iter(word)
    return all(letter in rest for letter in letters)


def _extra_of(connection: Connection) -> dict[str, Any]:
    """Parse the connection's extra.

    Airflow's ``extra_dejson`` registers each value as a secret, which would block a trigger's event loop, and returns
    an empty dict for text that is not JSON.
    """
    extra = _json_object(connection.extra or "{}")
    if extra is None:
        example = '{"organisation_id": "1185"}'
        raise api.MicsError(
            f"connection {connection.conn_id}: its extra is not a JSON object: write it like {example}"
        )
    return extra


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _base_url(connection: Connection) -> str:
    """Return the connection's host as a URL, with scheme and port from their own fields where the host lacks them.

    An invalid address is returned unchanged: the client reports what is wrong with it.
    """
    host = (connection.host or "").strip() or api.DEFAULT_BASE_URL
    scheme = (connection.schema or "").strip()
    url = f"{scheme}://{host}" if "://" not in host and scheme in ("http", "https") else host
    try:
        parts = urlsplit(url)
        has_port = parts.port is not None
    except ValueError:
        return url
    if has_port or not connection.port or not parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rstrip(':')}:{connection.port}"))
