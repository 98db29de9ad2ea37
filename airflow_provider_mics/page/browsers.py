"""Who sent a request, from where, and the form in it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import parse_qsl, unquote, urlsplit

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser  # noqa: TC002 - FastAPI reads it
from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, HTTPException, Request

from airflow_provider_mics.core.planning.cron_ticks import zone_of
from airflow_provider_mics.page.permissions import Viewer
from airflow_provider_mics.page.queries import Query
from airflow_provider_mics.page.registration import URL_PREFIX
from airflow_provider_mics.page.rendering import View

ZONE_COOKIE = "mics_zone"
FORM_KEY_COOKIE = "mics_form_key"
DEFAULT_ZONE = "UTC"
LARGEST_FORM = 20_000
"""Bytes."""
MOST_FIELDS = 50
FORM_TYPE = "application/x-www-form-urlencoded"
OTHER_SITES = ("cross-site", "same-site")
"""Values of the header with which a browser says that a page of another origin sent a request."""


@dataclass(frozen=True)
class Browser:
    """A user's browser.

    ``form_key`` is the random value of the page's own cookie; without a cookie, a new one. ``has_form_key`` is whether
    the browser has it already. Airflow may replace its JWT at any request, so that cannot prove whose form it is.
    """

    viewer: Viewer
    form_key: str
    has_form_key: bool
    view: View

    @property
    def session(self) -> str:
        """What forms and answers are bound to: the user, and the browser."""
        return f"{self.viewer.user_id}\0{self.form_key}"


def browser_of(request: Request, user: Annotated[BaseUser, Depends(get_user)]) -> Browser:
    """Return who sent a request; Airflow refuses one without a user."""
    form_key = request.cookies.get(FORM_KEY_COOKIE, "")
    return Browser(
        Viewer(user),
        form_key or secrets.token_urlsafe(32),
        bool(form_key),
        view_of(request, user.get_name()),
    )


def view_of(request: Request, user: str) -> View:
    """Return how the page is shown to a user: its path, and the user's time zone."""
    root = str(request.scope.get("root_path", "")).rstrip("/")
    name = unquote(request.cookies.get(ZONE_COOKIE, DEFAULT_ZONE))
    zone = zone_of(name)
    if zone is None:
        name, zone = DEFAULT_ZONE, zone_of(DEFAULT_ZONE)
    return View(
        root=root,
        airflow=root.removesuffix(URL_PREFIX),
        zone=zone or UTC,
        zone_name=name,
        now=datetime.now(UTC),
        user=user,
    )


Form = Mapping[str, str]


async def form_of(request: Request) -> Form:
    """Return the fields of a form that a page of this origin sent.

    :raises HTTPException: 403 for a form of another site, 415 or 413 for what is no form of ours
    """
    if request.headers.get("sec-fetch-site") in OTHER_SITES:
        raise HTTPException(403, "The form was sent by a page of another site. Nothing was done.")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise HTTPException(415, f"A form of type {FORM_TYPE} is expected. Nothing was done.")
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > LARGEST_FORM:
            raise HTTPException(413, "The form is too large. Nothing was done.")
    return _fields_in(content.decode("utf-8", "replace"))


def _fields_in(text: str) -> dict[str, str]:
    """Return the fields of a form or of a query; none of one with more than any of ours."""
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        return {}


def list_query_before(request: Request, root: str) -> str:
    """Return the query of the list that led here, such as ``?q=crm``; ``?`` alone for the whole list, or empty."""
    before = urlsplit(request.headers.get("referer", ""))
    return list_query(before.query) if before.path == f"{root}/" else ""


def list_query(text: str) -> str:
    """Return the query of a list with nothing in it but what the list knows; ``?`` alone for the whole list."""
    return Query.of(_fields_in(text.removeprefix("?"))).url()


def new_request_id() -> str:
    """Return an id that no other form has."""
    return secrets.token_hex(8)
