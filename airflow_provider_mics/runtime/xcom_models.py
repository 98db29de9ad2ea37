"""Which classes of this package a task may read from XCom."""

from __future__ import annotations

MODELS = (
    "airflow_provider_mics.api.executions.Cancellation",
    "airflow_provider_mics.api.models.ConnectedUser",
    "airflow_provider_mics.api.models.Execution",
    "airflow_provider_mics.api.models.ExecutionParameters",
    "airflow_provider_mics.api.models.Instance",
    "airflow_provider_mics.api.models.Plugin",
    "airflow_provider_mics.api.models.PluginProperty",
    "airflow_provider_mics.api.models.PluginVersion",
)


def allow_in_xcom() -> None:
    """Let Airflow create these classes when a task of this process reads them from XCom.

    Airflow refuses all classes but its own and those in ``[core] allowed_deserialization_classes``. It has a public
    function for more of them only since 3.3, which takes a class: that would import pydantic models in processes that
    need none. So the names are added where that function adds them.
    """
    try:
        from airflow.sdk import serde
    except ImportError:
        from airflow.serialization import serde  # type: ignore[attr-defined,no-redef]  # before Airflow 3.2

    serde._extra_allowed.update(MODELS)  # noqa: SLF001
