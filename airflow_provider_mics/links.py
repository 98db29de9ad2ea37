"""Links from a task to the page of its instance or plugin on the mediarithmics console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_mics.api.console import instance_page, plugin_page
from airflow_provider_mics.runtime.compat import BaseOperatorLink, XCom
from airflow_provider_mics.runtime.xcom_keys import INSTANCE_LINK_KEY, PLUGIN_LINK_KEY

if TYPE_CHECKING:
    from airflow_provider_mics.hooks import MicsHook
    from airflow_provider_mics.runtime.compat import BaseOperator, Context


class _ConsoleLink(BaseOperatorLink):
    """A link whose URL the task pushes to XCom before it waits, so that it works while the task runs or is deferred."""

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the URL that the task pushed, or an empty text."""
        stored = _stored_value(self.xcom_key, ti_key)
        if isinstance(stored, str) and stored.startswith(("http://", "https://")):
            return stored
        return str(XCom.get_value(key=self.xcom_key, ti_key=ti_key) or "")


class MicsInstanceLink(_ConsoleLink):
    """Link to the instance and its executions on the console, which has no page for a single execution."""

    name = "mediarithmics instance"
    xcom_key = INSTANCE_LINK_KEY


class MicsPluginLink(_ConsoleLink):
    """Link to the plugin and its versions on the console."""

    name = "mediarithmics plugin"
    xcom_key = PLUGIN_LINK_KEY


def _push(context: Context, key: str, url: str) -> None:
    """Push a URL to XCom, on Airflow 3 past a custom XCom backend.

    Airflow 3 shows what is in its database as the link, and does not ask the backend what it stands for.
    """
    task_instance: Any = context["ti"]
    is_custom = not XCom.__module__.startswith("airflow.sdk.")
    push_to_database = getattr(XCom, "_set_xcom_in_db", None)
    if push_to_database is None or not is_custom:
        task_instance.xcom_push(key=key, value=url)
        return
    push_to_database(
        key=key,
        value=url,
        dag_id=task_instance.dag_id,
        task_id=task_instance.task_id,
        run_id=task_instance.run_id,
        map_index=task_instance.map_index,
    )


def _stored_value(key: str, ti_key: Any) -> Any:
    """Return what is in Airflow's database, without the XCom backend; None where that cannot be read (Airflow 2)."""
    read = getattr(XCom, "_get_xcom_db_ref", None)
    if read is None:
        return None
    return read(
        key=key,
        dag_id=ti_key.dag_id,
        task_id=ti_key.task_id,
        run_id=ti_key.run_id,
        map_index=ti_key.map_index,
    ).value


def push_instance_link(context: Context, hook: MicsHook, instance_id: str) -> None:
    """Push the URL of the instance's page to XCom, where the organisation is known."""
    if hook.organisation_id is not None:
        page = instance_page(hook.console_url, hook.organisation_id, instance_id)
        _push(context, INSTANCE_LINK_KEY, page)


def push_plugin_link(context: Context, hook: MicsHook, plugin_id: str) -> None:
    """Push the URL of the plugin's page to XCom, where the organisation is known."""
    if hook.organisation_id is not None:
        _push(context, PLUGIN_LINK_KEY, plugin_page(hook.console_url, hook.organisation_id, plugin_id))
