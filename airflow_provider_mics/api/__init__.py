"""The mediarithmics API for integration batches: values, calls, flows and two clients. Knows nothing of Airflow."""

from __future__ import annotations

from airflow_provider_mics.api.calls import Call, Flow, Job, Log, Now, PlatformNow, Sleep, Step, adrive, drive
from airflow_provider_mics.api.clients import AsyncMicsClient, MicsClient
from airflow_provider_mics.api.errors import (
    MicsApiError,
    MicsAuthError,
    MicsConnectionError,
    MicsError,
    MicsNotFoundError,
    MicsRateLimitError,
    MicsResponseError,
    MicsTimeoutError,
)
from airflow_provider_mics.api.executions import (
    Cancellation,
    cancel_execution,
    create_execution,
    delete_execution,
    get_execution,
    list_executions,
    list_organisation_executions,
    update_execution,
)
from airflow_provider_mics.api.field_types import ContainerSize, CronStatus, ExecutionStatus, ExecutionType
from airflow_provider_mics.api.instances import (
    create_instance,
    delete_instance,
    get_instance,
    list_instance_properties,
    list_instances,
    pause_instance,
    resume_instance,
    set_instance_property,
    update_instance,
)
from airflow_provider_mics.api.models import (
    ConnectedUser,
    Execution,
    Instance,
    Plugin,
    PluginProperty,
    PluginVersion,
)
from airflow_provider_mics.api.plugins import (
    create_plugin,
    create_plugin_version,
    deploy_plugin_version,
    get_plugin,
    get_plugin_of_version,
    get_plugin_version,
    list_plugin_version_properties,
    list_plugin_versions,
    list_plugins,
)
from airflow_provider_mics.api.progress import wait_for_execution
from airflow_provider_mics.api.responses import Response
from airflow_provider_mics.api.settings import DEFAULT_BASE_URL
from airflow_provider_mics.api.transport import AsyncTransport, Transport
from airflow_provider_mics.api.users import get_connected_user

__all__ = [
    "DEFAULT_BASE_URL",
    "AsyncMicsClient",
    "AsyncTransport",
    "Call",
    "Cancellation",
    "ConnectedUser",
    "ContainerSize",
    "CronStatus",
    "Execution",
    "ExecutionStatus",
    "ExecutionType",
    "Flow",
    "Instance",
    "Job",
    "Log",
    "MicsApiError",
    "MicsAuthError",
    "MicsClient",
    "MicsConnectionError",
    "MicsError",
    "MicsNotFoundError",
    "MicsRateLimitError",
    "MicsResponseError",
    "MicsTimeoutError",
    "Now",
    "PlatformNow",
    "Plugin",
    "PluginProperty",
    "PluginVersion",
    "Response",
    "Sleep",
    "Step",
    "Transport",
    "adrive",
    "cancel_execution",
    "create_execution",
    "create_instance",
    "create_plugin",
    "create_plugin_version",
    "delete_execution",
    "delete_instance",
    "deploy_plugin_version",
    "drive",
    "get_connected_user",
    "get_execution",
    "get_instance",
    "get_plugin",
    "get_plugin_of_version",
    "get_plugin_version",
    "list_executions",
    "list_instance_properties",
    "list_instances",
    "list_organisation_executions",
    "list_plugin_version_properties",
    "list_plugin_versions",
    "list_plugins",
    "pause_instance",
    "resume_instance",
    "set_instance_property",
    "update_execution",
    "update_instance",
    "wait_for_execution",
]
