"""Whose token it is."""

from __future__ import annotations

from airflow_provider_mics.api.calls import Call
from airflow_provider_mics.api.models import ConnectedUser
from airflow_provider_mics.api.responses import one


def get_connected_user() -> Call[ConnectedUser]:
    """The profile of the token's owner (as the vendor's web client asks for it)."""
    return Call("GET", "connected_user", one(ConnectedUser))
