"""Operators for the plugins, versions, instances and executions of integration batches."""

from __future__ import annotations

from airflow_provider_mics.operators.cancellations import (
    MicsCancelExecutionOperator,
    MicsDeleteExecutionOperator,
)
from airflow_provider_mics.operators.executions import MicsCreateExecutionOperator
from airflow_provider_mics.operators.instances import (
    MicsCreateInstanceOperator,
    MicsDeleteInstanceOperator,
    MicsPauseInstanceOperator,
    MicsResumeInstanceOperator,
    MicsUpdateInstanceOperator,
)
from airflow_provider_mics.operators.plugins import MicsCreatePluginOperator, MicsCreatePluginVersionOperator

__all__ = [
    "MicsCancelExecutionOperator",
    "MicsCreateExecutionOperator",
    "MicsCreateInstanceOperator",
    "MicsCreatePluginOperator",
    "MicsCreatePluginVersionOperator",
    "MicsDeleteExecutionOperator",
    "MicsDeleteInstanceOperator",
    "MicsPauseInstanceOperator",
    "MicsResumeInstanceOperator",
    "MicsUpdateInstanceOperator",
]
