"""The user that the token belongs to."""

from __future__ import annotations

from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.models import ConnectedUser
from airflow_provider_mics.api.responses import one


def get_connected_user() -> Call[ConnectedUser]:
    """Get the user that the token belongs to: a good test of a connection.

    Source: ``AuthService.ts`` of the vendor's web client, https://github.com/mnguyen-mics/mcu-nx. It is not documented
    that an API token may send this request.

    :raises MicsAuthError: when run: the token is wrong or has expired
    :raises MicsNotFoundError: when run: this platform does not have the route
    """
    return Call("GET", "connected_user", one(ConnectedUser))
