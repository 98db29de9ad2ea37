"""The public names with their arguments: none may be removed by accident."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest

CONNECTION = {"mics_conn_id", "organisation_id"}
NAMES: dict[str, dict[str, set[str]]] = {
    "hooks": {
        "MicsHook": {
            "get_conn",
            "run",
            "arun",
            "test_connection",
            "list_instances",
            "get_instance",
            "create_instance",
            "update_instance",
            "pause_instance",
            "resume_instance",
            "delete_instance",
            "list_executions",
            "get_execution",
            "create_execution",
            "wait_for_execution",
            "cancel_execution",
        }
    },
    "operators": {
        "MicsCreatePluginOperator": {"group_id", "artifact_id", "plugin_type", "if_exists"} | CONNECTION,
        "MicsCreatePluginVersionOperator": {"version", "properties", "if_exists"} | CONNECTION,
        "MicsCreateInstanceOperator": {"group_id", "artifact_id", "name", "version", "cron", "cron_status"}
        | {"if_exists"}
        | CONNECTION,
        "MicsUpdateInstanceOperator": {"instance_id", "cron", "cron_status"} | CONNECTION,
        "MicsDeleteInstanceOperator": {"instance_id"} | CONNECTION,
        "MicsPauseInstanceOperator": {"instance_id"} | CONNECTION,
        "MicsResumeInstanceOperator": {"instance_id"} | CONNECTION,
        "MicsCreateExecutionOperator": {
            "instance_id",
            "execution_type",
            "expected_start_date",
            "wait_for_completion",
            "deferrable",
            "poll_interval",
            "timeout",
            "cancel_on_kill",
        }
        | CONNECTION,
        "MicsCancelExecutionOperator": {"instance_id", "execution_id"} | CONNECTION,
        "MicsDeleteExecutionOperator": {"instance_id", "execution_id"} | CONNECTION,
    },
    "sensors": {
        "MicsExecutionSensor": {"instance_id", "execution_id", "expected_start_date", "appear_timeout"}
        | {"deferrable", "poll_interval"}
        | CONNECTION
    },
    "triggers": {
        "MicsExecutionTrigger": {"instance_id", "execution_id", "poll_interval"} | CONNECTION,
        "MicsExecutionEventTrigger": {"instance_id", "statuses", "poll_interval"} | CONNECTION,
    },
    "links": {"MicsInstanceLink": {"get_link"}, "MicsPluginLink": {"get_link"}},
    "dag_factory": {
        "integration_batch_dags": {
            "group_id",
            "artifact_id",
            "select",
            "customize",
            "default_args",
            "start_date",
            "platform_grace",
            "snapshot",
            "snapshot_ttl",
            "shard",
        }
        | CONNECTION,
        "inventory_refresh_dag": {"snapshot", "timezone", "schedule", "dag_id", "default_args"} | CONNECTION,
    },
}


@pytest.mark.parametrize(("module", "name"), [(each, name) for each in NAMES for name in NAMES[each]])
def test_every_public_name_has_its_arguments(module: str, name: str) -> None:
    thing: Any = getattr(importlib.import_module(f"airflow_provider_mics.{module}"), name)
    has = set(inspect.signature(thing).parameters) | set(dir(thing))
    for each in thing.__mro__ if inspect.isclass(thing) else ():
        if each.__module__.startswith("airflow_provider_mics"):
            has |= set(inspect.signature(each.__init__).parameters)
    assert NAMES[module][name] <= has
    assert inspect.getdoc(thing)


DOCUMENTED = [
    (module, name)
    for module, name in ((each, name) for each in NAMES for name in NAMES[each])
    if module != "links"
]


@pytest.mark.parametrize(("module", "name"), DOCUMENTED)
def test_every_argument_is_in_the_docstring(module: str, name: str) -> None:
    thing: Any = getattr(importlib.import_module(f"airflow_provider_mics.{module}"), name)
    arguments = set(inspect.signature(thing).parameters)
    for each in thing.__mro__ if inspect.isclass(thing) else ():
        if each.__module__.startswith("airflow_provider_mics"):
            arguments |= set(inspect.signature(each.__init__).parameters)
    doc = inspect.getdoc(thing) or ""
    assert {each for each in arguments - {"self", "kwargs"} if f":param {each}:" not in doc} == set()


def test_the_defaults_are_those_of_the_design() -> None:
    from airflow_provider_mics.hooks import MicsHook
    from airflow_provider_mics.operators import MicsCreateExecutionOperator

    assert (MicsHook.conn_name_attr, MicsHook.default_conn_name) == ("mics_conn_id", "mics_default")
    assert (MicsHook.conn_type, MicsHook.hook_name) == ("mediarithmics", "mediarithmics")
    task = MicsCreateExecutionOperator(task_id="run", instance_id="1")
    assert (task.execution_type, task.expected_start_date, task.timeout) == (None, None, None)
    assert (task.wait_for_completion, task.deferrable, task.cancel_on_kill) == (True, False, True)
    assert (task.poll_interval, task.mics_conn_id, task.organisation_id) == (30, "mics_default", None)
