"""Declare plugins and their versions."""

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
from airflow_provider_mics.operators.arguments import refuse_both, refuse_unknown
from airflow_provider_mics.operators.mics_operator import PLUGIN_ID_KEY, VERSION_ID_KEY, MicsResourceOperator
from airflow_provider_mics.runtime.failures import readable_failures
from airflow_provider_mics.runtime.task_context import task_try_of
from airflow_provider_mics.runtime.templates import is_literal, rendered

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_mics.core.provisioning.properties import Properties


class MicsCreatePluginOperator(MicsResourceOperator):
    """Declare a plugin, unless it is declared already: ``(group_id, artifact_id)`` makes it the same one.

    Its value in XCom is the plugin as JSON; ``output["plugin_id"]`` is its id.

    :param group_id: such as ``com.acme.batches`` (templated)
    :param artifact_id: the plugin's name within the group (templated)
    :param plugin_type: what kind of plugin it is (templated)
    :param if_exists: ``update`` fails where an existing plugin is of another type, which cannot be changed; ``skip``
        takes an existing one as it is; ``fail`` wants to be the one who creates it
    """

    template_fields: Sequence[str] = (
        *MicsResourceOperator.template_fields,
        "group_id",
        "artifact_id",
        "plugin_type",
    )
    operator_extra_links = (MicsPluginLink(),)  # type: ignore[assignment]  # there is no instance yet

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
        refuse_unknown(self.task_id, "if_exists", if_exists, IF_EXISTS)

    def execute(self, context: Context) -> dict[str, Any]:
        with readable_failures():
            plugin = self.hook.run(
                ensure_plugin(
                    self.group_id,
                    self.artifact_id,
                    plugin_type=self.plugin_type,
                    organisation_id=self.hook.organisation_id,
                    if_exists=self.if_exists,
                    is_retry=task_try_of(context).is_retry,
                    submission_timeout=self._patience,
                )
            ).resource
            push_plugin_link(context, self.hook, plugin.id)
        context["ti"].xcom_push(key=PLUGIN_ID_KEY, value=plugin.id)
        return plugin.to_json()


class MicsCreatePluginVersionOperator(MicsResourceOperator):
    """Declare a version of a plugin with its parameters, unless it is declared already: its number makes it the same.

    Its value in XCom is the version as JSON; ``output["version_id"]`` is the platform's id of it.

    :param version: the number for people, ``1.0.0`` or ``1.2.0-rc1`` (templated)
    :param plugin_id: the plugin by its id (templated); or
    :param group_id: the plugin by its coordinates (templated)
    :param artifact_id: the other half of them (templated)
    :param properties: the version's parameters (templated): values by name, such as ``{"import_path": "s3://..."}``,
        whose type is that of the Python value; whole property objects by name; or a list of those
    :param provider: the property of that name, which the platform demands (templated)
    :param name: the property of that name; by default the plugin's artifact_id (templated)
    :param maintainer_id: who maintains it, where that is said (templated)
    :param max_qps: requests a second, where that is limited
    :param if_exists: ``update`` fails where an existing version has other properties, which cannot be changed;
        ``skip`` takes an existing one as it is; ``fail`` wants to be the one who creates it
    """

    template_fields: Sequence[str] = (
        *MicsResourceOperator.template_fields,
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
    operator_extra_links = (MicsPluginLink(),)  # type: ignore[assignment]  # there is no instance yet

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
        self.provider = provider
        self.name = name
        self.maintainer_id = maintainer_id
        self.max_qps = max_qps
        self.if_exists = if_exists
        self._refuse_contradictions()

    def _refuse_contradictions(self) -> None:
        refuse_unknown(self.task_id, "if_exists", self.if_exists, IF_EXISTS)
        refuse_both(self.task_id, plugin_id=self.plugin_id, group_id=self.group_id)
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
        with readable_failures():
            version = self.hook.run(
                ensure_plugin_version(
                    self.version,
                    plugin_id=rendered(self.plugin_id),
                    group_id=rendered(self.group_id),
                    artifact_id=rendered(self.artifact_id),
                    properties=self.properties,
                    provider=self.provider,
                    name=rendered(self.name),
                    maintainer_id=rendered(self.maintainer_id),
                    max_qps=self.max_qps,
                    organisation_id=self.hook.organisation_id,
                    if_exists=self.if_exists,
                    is_retry=task_try_of(context).is_retry,
                    submission_timeout=self._patience,
                )
            ).resource
            plugin_id = version.plugin_id or rendered(self.plugin_id)
            if plugin_id is not None:
                push_plugin_link(context, self.hook, plugin_id)
        context["ti"].xcom_push(key=VERSION_ID_KEY, value=version.id)
        return version.to_json()
