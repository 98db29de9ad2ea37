"""What this package imports from Airflow and its lines have in different places.

``common.compat`` has these names from version 1.8 on. The constraints that Airflow 2.11 and 3.0 were released with hold
1.6 and 1.7, so each name is looked for in Airflow too. A name is looked for when it is first imported: importing
Airflow takes seconds.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import (  # noqa: F401
        DAG,
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
        Asset,
        BaseHook,
        BaseOperator,
        BaseOperatorLink,
        BaseSensorOperator,
        Connection,
        Context,
        ObjectStoragePath,
        Param,
        PokeReturnValue,
        XCom,
        get_parsing_context,
        redact,
    )
    from airflow.sdk import timezone  # noqa: F401
    from airflow.triggers.base import BaseEventTrigger  # noqa: F401

COMPAT = "airflow.providers.common.compat.sdk"
_EXCEPTIONS = ("airflow.sdk.exceptions", "airflow.exceptions")
HOMES: dict[str, tuple[str, ...]] = {
    "AirflowException": _EXCEPTIONS,
    "AirflowFailException": _EXCEPTIONS,
    "AirflowNotFoundException": _EXCEPTIONS,
    "AirflowSensorTimeout": _EXCEPTIONS,
    "AirflowSkipException": _EXCEPTIONS,
    "Asset": ("airflow.sdk", "airflow.datasets:Dataset"),
    "BaseEventTrigger": ("airflow.triggers.base", "airflow.triggers.base:BaseTrigger"),
    "BaseHook": ("airflow.sdk", "airflow.hooks.base"),
    "BaseOperator": ("airflow.sdk", "airflow.models.baseoperator"),
    "BaseOperatorLink": ("airflow.sdk", "airflow.models.baseoperatorlink"),
    "BaseSensorOperator": ("airflow.sdk", "airflow.sensors.base"),
    "Connection": ("airflow.sdk", "airflow.models.connection"),
    "Context": ("airflow.sdk", "airflow.utils.context"),
    "DAG": ("airflow.sdk", "airflow.models.dag"),
    "ObjectStoragePath": ("airflow.sdk", "airflow.io.path"),
    "Param": ("airflow.sdk", "airflow.models.param"),
    "PokeReturnValue": ("airflow.sdk", "airflow.sensors.base"),
    "XCom": ("airflow.sdk.execution_time.xcom", "airflow.models.xcom"),
    "get_parsing_context": ("airflow.sdk", "airflow.utils.dag_parsing_context"),
    "redact": (
        "airflow.sdk.log",
        "airflow.sdk.execution_time.secrets_masker",
        "airflow.utils.log.secrets_masker",
    ),
    "timezone": ("airflow.sdk.timezone:", "airflow.utils.timezone:"),
}
"""The modules of Airflow that have a name, the newest first; ``module:name`` where it was another name."""


def __getattr__(name: str) -> Any:
    """Return a name of Airflow's from the first module that has it.

    :raises ModuleNotFoundError: Airflow is not installed
    :raises ImportError: none has it
    """
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for module in (COMPAT, *HOMES[name]):
        try:
            found = resolve_name(module if ":" in module else f"{module}:{name}")
        except (ImportError, AttributeError) as error:
            if isinstance(error, ModuleNotFoundError) and error.name == "airflow":
                raise
            continue
        globals()[name] = found
        return found
    raise ImportError(f"this Airflow has no {name} in any of {', '.join((COMPAT, *HOMES[name]))}")


async def get_async_connection(conn_id: str) -> Connection:
    """Return a connection of Airflow's, in an event loop.

    Not by ``common.compat``: before 1.23 it asks in a way that ends in a deadlock before Airflow 3.3.2, when two
    triggers ask at once.

    :raises Exception: Airflow has no such connection, or cannot read it
    """
    from asgiref.sync import sync_to_async

    hook: type[BaseHook] = __getattr__("BaseHook")
    if hasattr(
        __getattr__("Connection"), "aextra_dejson"
    ):  # since 3.3.2, where asking masks secrets asynchronously
        return await hook.aget_connection(conn_id)
    return await sync_to_async(hook.get_connection)(conn_id)
