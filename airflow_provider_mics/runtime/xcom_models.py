"""Which classes of this package tasks may write to XCom and read from it."""

from __future__ import annotations

import sys
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

PYDANTIC_MODELS = (
    "airflow_provider_mics.api.models.ConnectedUser",
    "airflow_provider_mics.api.models.Execution",
    "airflow_provider_mics.api.models.ExecutionParameters",
    "airflow_provider_mics.api.models.Instance",
    "airflow_provider_mics.api.models.Plugin",
    "airflow_provider_mics.api.models.PluginProperty",
    "airflow_provider_mics.api.models.PluginVersion",
)
MODELS = ("airflow_provider_mics.api.executions.Cancellation", *PYDANTIC_MODELS)


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
    registries = (serde._serializers, serde._deserializers)  # noqa: SLF001
    if not hasattr(serde, "_is_pydantic") and "pydantic.main.BaseModel" not in registries[0]:
        for registry in registries:
            registry.update(dict.fromkeys(PYDANTIC_MODELS, sys.modules[__name__]))


def serialize(model: BaseModel) -> tuple[dict[str, Any], str, int, bool]:
    """Return what Airflow 3.1 and later write of a model, so that they can read it after an upgrade.

    :return: as a serializer of Airflow's: the fields, the name of the class, the version, and that it is serialized
    """
    kind = type(model)
    return model.model_dump(mode="json"), f"{kind.__module__}.{kind.__qualname__}", 1, True


def deserialize(class_name: str, _version: int, fields: dict[str, Any]) -> BaseModel:
    """Create a model, also from what Airflow 2 wrote of it."""
    kind: type[BaseModel] = resolve_name(class_name)
    return kind.model_validate(fields)
