"""The links from a task to what it is about, on the platform's console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

from airflow_provider_mics.api.console import instance_page, plugin_page
from airflow_provider_mics.runtime.xcom_keys import LINK_KEY, PLUGIN_LINK_KEY

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_mics.hooks import MicsHook


class _ConsoleLink(BaseOperatorLink):
    """Its URL is an XCom that the task writes before it waits, so it is there while the task runs or is deferred."""

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """The URL the task wrote, or nothing where it has written none yet."""
        return str(XCom.get_value(key=self.xcom_key, ti_key=ti_key) or "")


class MicsInstanceLink(_ConsoleLink):
    """Opens the instance, with its executions, on the platform's console; there is no page for one execution."""

    name = "mediarithmics instance"
    xcom_key = LINK_KEY


class MicsPluginLink(_ConsoleLink):
    """Opens the plugin, with its versions, on the platform's console."""

    name = "mediarithmics plugin"
    xcom_key = PLUGIN_LINK_KEY


def push_link(context: Context, hook: MicsHook, instance_id: str) -> str | None:
    """Write the link to the instance's page into the task's XCom, and return it, where the organisation is known."""
    if hook.organisation_id is None:
        return None
    page = instance_page(hook.console_url, hook.organisation_id, instance_id)
    context["ti"].xcom_push(key=LINK_KEY, value=page)
    return page


def push_plugin_link(context: Context, hook: MicsHook, plugin_id: str) -> None:
    """Write the link to the plugin's page into the task's XCom, where the organisation is known."""
    if hook.organisation_id is not None:
        page = plugin_page(hook.console_url, hook.organisation_id, plugin_id)
        context["ti"].xcom_push(key=PLUGIN_LINK_KEY, value=page)
