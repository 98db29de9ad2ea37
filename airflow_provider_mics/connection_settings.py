"""What an Airflow connection of type ``mediarithmics`` says, checked, with a default for all but the token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

from airflow_provider_mics import api
from airflow_provider_mics.api.console import DEFAULT_CONSOLE_URL

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_mics.api.settings import LogLines

C = TypeVar("C", api.MicsClient, api.AsyncMicsClient)
CONN_TYPE = "mediarithmics"
DEFAULT_CONNECT_TIMEOUT = 10.0
DEFAULT_READ_TIMEOUT = 60.0


class ConnectionSettings:
    """The settings of one connection.

    :raises MicsError: one of them cannot be used; the line names the connection and what to write
    """

    def __init__(self, conn_id: str, host: str, token: str, extra: Mapping[str, Any]) -> None:
        self._conn_id = conn_id
        self._extra = extra
        self.host = host
        self._token = token
        self.organisation_id = self._text("organisation_id")
        self.timezone = self._text("timezone") or "UTC"
        self.size_fields = self._text("size_fields") or "documented"
        self.console_url = (self._text("console_url") or DEFAULT_CONSOLE_URL).rstrip("/")
        self._check_timezone()

    @classmethod
    def of(cls, connection: Connection) -> ConnectionSettings:
        conn_id = connection.conn_id or "?"
        if connection.conn_type not in (CONN_TYPE, "", None):
            raise api.MicsError(
                f"connection {conn_id} is of type {connection.conn_type!r}: make it one of type {CONN_TYPE!r}"
            )
        try:
            extra = connection.extra_dejson
        except Exception:  # noqa: BLE001 - each Airflow raises another
            raise api.MicsError(f"connection {conn_id}: its extra is not JSON") from None
        return cls(conn_id, _base_url(connection), connection.password or "", extra)

    def make_client(self, kind: type[C], organisation_id: str | None, log: LogLines, **instead: Any) -> C:
        """A client of either kind.

        :raises MicsError: none can be made with this host, token or CA bundle
        """
        arguments = self.client_arguments(organisation_id, log) | instead
        try:
            return kind(**arguments)
        except api.MicsError as error:
            raise api.MicsError(f"connection {self._conn_id}: {error}") from None

    def client_arguments(self, organisation_id: str | None, log: LogLines) -> dict[str, Any]:
        """The arguments for either client."""
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
        }

    def _text(self, name: str) -> str | None:
        value = self._extra.get(name)
        return None if value is None or value == "" else str(value).strip()

    def _seconds(self, name: str, default: float) -> float:
        value = self._extra.get(name)
        if value is None or value == "":
            return default
        try:
            seconds = float(value)
        except (TypeError, ValueError):
            seconds = 0.0
        if not 0 < seconds < float("inf"):
            raise self._wrong(name, value, "give a number of seconds above 0")
        return seconds

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
        if value is None or value == "":
            return {}
        if isinstance(value, str):
            return {"http": value, "https": value}
        if isinstance(value, Mapping):
            return {str(scheme): str(url) for scheme, url in value.items()}
        raise self._wrong("proxies", value, 'give a URL, or an object such as {"https": "http://proxy:3128"}')

    def _check_timezone(self) -> None:
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            raise self._wrong("timezone", self.timezone, "give an IANA name such as Europe/Paris") from None

    def _wrong(self, name: str, value: object, what_to_do: str) -> api.MicsError:
        return api.MicsError(f"connection {self._conn_id}: {name} {value!r} in its extra: {what_to_do}")


def _extra_of(connection: Connection) -> dict[str, Any]:
    """What is in the connection's extra. ``extra_dejson`` would mask each value, which a trigger must not wait for."""
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise api.MicsError(f"connection {connection.conn_id}: its extra is not a JSON object")
    return extra


def _base_url(connection: Connection) -> str:
    """The address from a connection: its host, or scheme and port where they are given apart from it."""
    host = (connection.host or "").strip()
    if not host:
        return api.DEFAULT_BASE_URL
    scheme = (connection.schema or "").strip()
    url = f"{scheme}://{host}" if "://" not in host and scheme in ("http", "https") else host
    has_port = url.rsplit(":", 1)[-1].rstrip("/").isdigit()
    return f"{url.rstrip('/')}:{connection.port}" if connection.port and not has_port else url
