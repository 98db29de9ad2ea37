"""Names that the tests, and the DAG files that they write, import from Airflow, on every line of it.

As `common.compat` has them; the versions that Airflow 2.11.0 and 3.0 were released with do not.
"""

from __future__ import annotations

try:
    from airflow.providers.common.compat.sdk import (
        DAG,
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        BaseOperator,
        TaskDeferred,
        TaskGroup,
        XCom,
        chain,
        task,
    )
except ImportError:
    from airflow.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        TaskDeferred,
    )

    try:
        from airflow.sdk import DAG, BaseOperator, TaskGroup, chain, task
        from airflow.sdk.execution_time.xcom import XCom
    except ImportError:
        from airflow.decorators import task
        from airflow.models import DAG, BaseOperator
        from airflow.models.baseoperator import chain
        from airflow.models.xcom import XCom
        from airflow.utils.task_group import TaskGroup

__all__ = [
    "DAG",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "BaseOperator",
    "TaskDeferred",
    "TaskGroup",
    "XCom",
    "chain",
    "task",
]
