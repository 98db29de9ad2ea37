"""Where the doctor takes the settings from: environment variables, or a connection of Airflow."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any

from airflow_provider_mics import api
from airflow_provider_mics.api.text import one_line
from airflow_provider_mics.doctor.checks.rows import Result, Row
from airflow_provider_mics.runtime.connection import KNOWN_KEYS, ConnectionSettings, unreadable_connection

PREFIX = "MICS_"
VARIABLES = {
    "TOKEN": "the API token (required)",
    "ORGANISATION_ID": "the organisation",
    "HOST": f"address of the API with its scheme (default: {api.DEFAULT_BASE_URL})",
    "TIMEZONE": "time zone in which the platform reads crons (default: UTC)",
    "SIZE_FIELDS": "documented or console (default: documented)",
    "CONNECT_TIMEOUT": "seconds to connect (default: 10)",
    "READ_TIMEOUT": "seconds for a whole response (default: 60)",
    "PROXIES": "a proxy URL, or a JSON object by scheme (default: the usual variables)",
    "VERIFY": "true, false, or the path of a CA bundle (default: true)",
}
"""What each variable means, by its name without the prefix; see ``docs/connection.md``."""

LEAST_LIKENESS = 0.85
"""Of a misspelled variable: others have variables that begin alike, and ``MICS_VERSION`` is no ``MICS_VERIFY``."""


class VariableSettings(ConnectionSettings):
    """The settings in environment variables."""

    def _error(self, setting: str, advice: str) -> api.MicsError:
        name, _, value = setting.partition(" ")
        return api.MicsError(f"{' '.join(filter(None, (f'{PREFIX}{name.upper()}', value)))}: {advice}")


def settings_of_variables(environ: Mapping[str, str]) -> ConnectionSettings:
    """Return the settings in the variables ``MICS_...``; an empty one counts as missing.

    :raises MicsError: the token is missing, or a value cannot be used
    """
    given = {
        name.removeprefix(PREFIX): value.strip()
        for name, value in environ.items()
        if name.startswith(PREFIX) and value.strip()
    }
    token, host = given.pop("TOKEN", ""), given.pop("HOST", api.DEFAULT_BASE_URL)
    if not token:
        raise api.MicsError(
            "nothing to ask with: give --conn-id ID for a connection of Airflow, or set MICS_TOKEN and "
            "MICS_ORGANISATION_ID"
        )
    return VariableSettings("of MICS_...", host, token, {name.lower(): each for name, each in given.items()})


def settings_row(settings: ConnectionSettings) -> Row:
    """Return the settings that mean nothing, as they are misspelled."""
    is_of_variables = isinstance(settings, VariableSettings)
    unknown = settings.unknown_keys
    if is_of_variables:
        # Other programs may have variables that begin alike.
        unknown = {
            key: meant for key, meant in unknown.items() if meant is not None and _is_misspelled(key, meant)
        }
    if not unknown:
        return Row(
            "settings",
            Result.OK,
            f"time zone {settings.timezone}, {settings.size_fields} sizes",
            "All are known.",
        )
    known = ", ".join(KNOWN_KEYS)
    lines = [
        f"{_name(key, is_of_variables)}: did you mean {_name(meant, is_of_variables)}?"
        if meant
        else f"{key}: known are {known}"
        for key, meant in unknown.items()
    ]
    means = "What is not known is ignored."
    return Row("settings", Result.TO_DO, "; ".join(lines), means, "Rename or remove it.")


def _is_misspelled(key: str, meant: str) -> bool:
    """Whether a variable is a setting in another spelling, or a part of its words: ``org_id``, ``time_zone``."""
    likeness = SequenceMatcher(None, key.replace("_", ""), meant.replace("_", "")).ratio()
    parts = meant.split("_")
    words = key.split("_")
    is_shortened = len(words) == len(parts) and all(
        part.startswith(word) for word, part in zip(words, parts, strict=True)
    )
    return is_shortened or likeness >= LEAST_LIKENESS


def unusable(settings: ConnectionSettings, conn_id: str | None, error: api.MicsError) -> api.MicsError:
    """Return the error of a client with these settings, with the name of what is to be changed."""
    if not isinstance(settings, VariableSettings):
        return api.MicsError(f"connection {conn_id}: {error}")
    message = str(error)
    name = "token" if "API token" in message else message.replace(":", " ").partition(" ")[0]
    return api.MicsError(f"{_name(name, True)}: {message}" if name.upper() in VARIABLES else message)


def _name(key: str, is_of_variables: bool) -> str:
    return f"{PREFIX}{key.upper()}" if is_of_variables else key


def settings_of_connection(conn_id: str) -> ConnectionSettings:
    """Return the settings of a connection of Airflow, from wherever Airflow keeps it, its database included.

    :raises MicsError: Airflow is not installed, has no such connection or cannot read it, or a setting cannot be used
    """
    try:
        from airflow.models.connection import Connection
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("airflow"):
            raise _broken_airflow(error) from None
        raise api.MicsError(
            "--conn-id needs Airflow, which is not installed here: set MICS_TOKEN and MICS_ORGANISATION_ID instead"
        ) from None
    except Exception as error:  # noqa: BLE001 - Airflow reads its configuration while it is imported
        raise _broken_airflow(error) from None
    try:
        connection: Any = Connection.get_connection_from_secrets(conn_id)
    except Exception as error:  # noqa: BLE001 - whatever a secrets backend or the database raises
        raise unreadable_connection(conn_id, error) from None
    return ConnectionSettings.of(connection)


def _broken_airflow(error: Exception) -> api.MicsError:
    return api.MicsError(
        f"--conn-id needs Airflow, which cannot be imported ({one_line(f'{type(error).__name__}: {error}', 200)}): "
        "mend its configuration, or set MICS_TOKEN and MICS_ORGANISATION_ID instead"
    )
