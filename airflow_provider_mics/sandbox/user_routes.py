"""/v1/connected_user: whose token it is."""

from __future__ import annotations

from fastapi import APIRouter, Response

from airflow_provider_mics.sandbox.answers import one
from airflow_provider_mics.sandbox.request_context import Asked

router = APIRouter(prefix="/v1")
ORGANISATION_NAMES = {"1185": "Acme Retail"}


@router.get("/connected_user")
async def get_connected_user(ask: Asked) -> Response:
    ask.needs_route(ask.quirks.connected_user)
    user = {
        "id": ask.caller.user_id,
        "email": f"airflow+{ask.caller.user_id}@example.com",
        "first_name": "Airflow",
        "last_name": "Service Account",
        "locale": "en-US",
        "workspaces": [
            {
                "organisation_id": organisation_id,
                "organisation_name": ORGANISATION_NAMES.get(
                    organisation_id, f"Organisation {organisation_id}"
                ),
                "role": "ORGANISATION_ADMIN",
            }
            for organisation_id in ask.caller.organisations
        ],
    }
    return one(user, ask.quirks)
