"""What Airflow's API server mounts, and where the UI links to it. Nothing of the page is loaded before a request."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

URL_PREFIX = "/mediarithmics"
NAME = "Integration batches"
FIRST_VERSION = (3, 1)
"""The first version of Airflow whose UI embeds pages, and whose API takes the UI's login from a plugin's page."""
Scope = MutableMapping[str, Any]
Asgi = Callable[[Scope, Callable[..., Awaitable[Any]], Callable[..., Awaitable[Any]]], Awaitable[None]]
logger = logging.getLogger(__name__)


class LazyPage:
    """An ASGI application that is built at its first request: Airflow makes plugins in every one of its processes."""

    def __init__(self) -> None:
        self._app: Asgi | None = None

    async def __call__(
        self, scope: Scope, receive: Callable[..., Awaitable[Any]], send: Callable[..., Awaitable[Any]]
    ) -> None:
        if self._app is None:
            from airflow_provider_mics.page.app import make_app

            self._app = make_app()
        await self._app(scope, receive, send)


def is_supported(version: str) -> bool:
    """Whether a version of Airflow can show the page."""
    numbers = version.split(".")[:2]
    return all(number.isdecimal() for number in numbers) and tuple(map(int, numbers)) >= FIRST_VERSION


def plugin_attributes(version: str, base_url: str | None) -> Mapping[str, list[dict[str, Any]]]:
    """Return the attributes of the Airflow plugin that make the page, or none where Airflow cannot show it.

    :param version: of Airflow
    :param base_url: the address of its API server, which may have a path
    """
    if not is_supported(version):
        return {}
    root = urlsplit(base_url or "").path.rstrip("/") + URL_PREFIX
    icons = {"icon": f"{root}/static/icon.svg", "icon_dark_mode": f"{root}/static/icon-dark.svg"}
    return {
        "fastapi_apps": [
            {"app": LazyPage(), "url_prefix": URL_PREFIX, "name": f"mediarithmics {NAME.lower()}"}
        ],
        "external_views": [
            {
                "name": NAME,
                "href": f"{root}/",
                "destination": "nav",
                "category": "browse",
                "url_route": "mediarithmics",
                **icons,
            },
            {
                "name": "Integration batch",
                "href": f"{root}/dags/{{DAG_ID}}?tab=1",
                "destination": "dag",
                "url_route": "mediarithmics-batch",
                **icons,
            },
        ],
    }


def log_why_not(version: str) -> None:
    """Say once in each process why there is no page."""
    if not is_supported(version):
        logger.debug(
            "The page of all mediarithmics integration batches needs Airflow %d.%d or later; this is %s.",
            *FIRST_VERSION,
            version,
        )
