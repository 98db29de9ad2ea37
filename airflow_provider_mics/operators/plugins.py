"""Operators that create plugins and their versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.validation import checked_version_number
from airflow_provider_mics.core.provisioning.find_or_create import IF_EXISTS, IfExists
from airflow_provider_mics.core.provisioning.plugins import (
    DEFAULT_PROVIDER,
    ensure_plugin,
    ensure_plugin_version,
)
from airflow_provider_mics.links import MicsPluginLink, push_plugin_link
from airflow_provider_mics.operators.arguments import (
    check_choice,
    check_exclusive,
    missing_values,
    rendered_properties,
)
from airflow_provider_mics.operators.mics_operator import MicsOperator
from airflow_provider_mics.runtime.failures import errors_as_task_failures
from airflow_provider_mics.runtime.task_context import task_try_of
from airflow_provider_mics.runtime.templates import is_literal, rendered
from airflow_provider_mics.runtime.xcom_keys import PLUGIN_ID_KEY, VERSION_ID_KEY
from airflow_provider_mics.runtime.xcom_values import xcom_value

if TYPE_CHECKING:
    from airflow_provider_mics.core.provisioning.properties import Properties
    from airflow_provider_mics.runtime.compat import Context


class MicsCreatePluginOperator(MicsOperator):
    """Create a plugin, unless one with the same ``group_id`` and ``artifact_id`` exists.

    XCom: the plugin as JSON, and its id as ``output["plugin_id"]``.

    :param group_id: the plugin's group, such as ``com.acme.batches`` (templated)
    :param artifact_id: the plugin's name within the group (templated)
    :param plugin_type: the plugin's type (templated)
    :param if_exists: ``update``: raise if the existing plugin has another type, which cannot be changed; ``skip``: use
        the existing plugin as it is; ``fail``: raise if the plugin already exists
    :param submission_timeout: how long to retry during an outage within one try of the task, in seconds or as a
        timedelta; 0 does not retry
    :param mics_conn_id: the Airflow connection of type ``mediarithmics`` (templated)
    :param organisation_id: the organisation's id; by default the connection's (templated)
    :raises ValueError: invalid or contradictory arguments, when the DAG is parsed
    """

    template_fields: Sequence[str] = (
        *MicsOperator.template_fields,
        "group_id",
        "artifact_id",
        "plugin_type",
    )
    operator_extra_links = (MicsPluginLink(),)  # type: ignore[assignment]  # no instance exists yet

    def __init__(
        self,
        *,
        group_id: str,
        artifact_id: str,
        plugin_type: str = "INTEGRATION_BATCH",
        if_exists: IfExists = "update",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id
        self.artifact_id = artifact_id
        self.plugin_type = plugin_type
        self.if_exists = if_exists
        check_choice(self.task_id, "if_exists", if_exists, IF_EXISTS)

    def execute(self, context: Context) -> dict[str, Any]:
        with errors_as_task_failures():
            plugin = self.hook.run(
                ensure_plugin(
                    self.group_id,
                    self.artifact_id,
                    plugin_type=self.plugin_type,
                    organisation_id=self.hook.organisation_id,
                    if_exists=self.if_exists,
                    is_retry=task_try_of(context).is_retry,
                    submission_timeout=self._retry_for,
                )
            ).resource
            push_plugin_link(context, self.hook, plugin.id)
        context["ti"].xcom_push(key=PLUGIN_ID_KEY, value=plugin.id)
        return xcom_value(plugin)


class MicsCreatePluginVersionOperator(MicsOperator):
    """Create a version of a plugin with its properties, unless the plugin has a version with the same number.

    XCom: the version as JSON, and its id as ``output["version_id"]``.

    :param version: the version number, such as ``1.0.0`` or ``1.2.0-rc1`` (templated)
    :param plugin_id: the plugin's id (templated); give this, or ``group_id`` and ``artifact_id``
    :param group_id: the plugin's group (templated)
    :param artifact_id: the plugin's name within the group (templated)
    :param properties: the version's properties (templated): values by name, such as ``{"import_path": "s3://..."}``,
        typed as the Python value; property objects by name; or a list of property objects
    :param provider: value of the property ``provider``, which the platform requires (templated)
    :param name: value of the property ``name``; by default the plugin's ``artifact_id`` (templated)
    :param maintainer_id: id of the version's maintainer (templated)
    :param max_qps: limit of requests per second
    :param if_exists: ``update``: raise if the existing version has other properties, which cannot be changed;
        ``skip``: use the existing version as it is; ``fail``: raise if the version already exists
    :param submission_timeout: how long to retry during an outage within one try of the task, in seconds or as a
        timedelta; 0 does not retry
    :param mics_conn_id: the Airflow connection of type ``mediarithmics`` (templated)
    :param organisation_id: the organisation's id; by default the connection's (templated)
    :raises ValueError: invalid or contradictory arguments, when the DAG is parsed
    """

    template_fields: Sequence[str] = (
        *MicsOperator.template_fields,
        "version",
        "plugin_id",
        "group_id",
        "artifact_id",
        "properties",
        "provider",
        "name",
        "maintainer_id",
    )
    template_fields_renderers = {"properties": "json"}  # noqa: RUF012 - as Airflow declares it
    operator_extra_links = (MicsPluginLink(),)  # type: ignore[assignment]  # no instance exists yet

    def __init__(
        self,
        *,
        version: str,
        plugin_id: str | None = None,
        group_id: str | None = None,
        artifact_id: str | None = None,
        properties: Properties | None = None,
        provider: str = DEFAULT_PROVIDER,
        name: str | None = None,
        maintainer_id: str | None = None,
        max_qps: int | None = None,
        if_exists: IfExists = "update",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.version = version
        self.plugin_id = plugin_id
        self.group_id = group_id
        self.artifact_id = artifact_id
        self.properties = properties
        self._meant_none = missing_values(properties)
        self.provider = provider
        self.name = name
        self.maintainer_id = maintainer_id
        self.max_qps = max_qps
        self.if_exists = if_exists
        self._check_arguments()

    def _check_arguments(self) -> None:
        check_choice(self.task_id, "if_exists", self.if_exists, IF_EXISTS)
        self._drop_overruled("plugin_id", "group_id")
        self._drop_overruled("plugin_id", "artifact_id")
        check_exclusive(self.task_id, plugin_id=self.plugin_id, group_id=self.group_id)
        coordinates = (self.group_id, self.artifact_id)
        if self.plugin_id is None and None in coordinates:
            raise ValueError(f"{self.task_id}: give plugin_id, or group_id and artifact_id")
        if self.plugin_id is not None and self.artifact_id is not None:
            raise ValueError(f"{self.task_id}: give plugin_id or artifact_id, not both")
        if is_literal(self.version):
            try:
                checked_version_number(self.version)
            except MicsError as error:
                raise ValueError(f"{self.task_id}: {error}") from None

    def execute(self, context: Context) -> dict[str, Any]:
        with errors_as_task_failures():
            version = self.hook.run(
                ensure_plugin_version(
                    self.version,
                    plugin_id=rendered(self.plugin_id),
                    group_id=rendered(self.group_id),
                    artifact_id=rendered(self.artifact_id),
                    properties=rendered_properties(self.properties, self._meant_none),
                    provider=self.provider,
                    name=rendered(self.name),
                    maintainer_id=rendered(self.maintainer_id),
                    max_qps=self.max_qps,
                    organisation_id=self.hook.organisation_id,
                    if_exists=self.if_exists,
                    is_retry=task_try_of(context).is_retry,
                    submission_timeout=self._retry_for,
                )
            ).resource
            plugin_id = version.plugin_id or rendered(self.plugin_id)
            if plugin_id is not None:
                push_plugin_link(context, self.hook, plugin_id)
        context["ti"].xcom_push(key=VERSION_ID_KEY, value=version.id)
        return xcom_value(version)
