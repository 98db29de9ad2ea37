"""What one task of a ``dag.test()`` has logged, out of all that the run has."""

from __future__ import annotations

import re

from tests.provider.dag_runs import DagRun


def log_of(run: DagRun, task_id: str) -> str:
    """All tries and mapped instances of the task, in order."""
    parts = re.split(r"\[DAG TEST\] starting task_id=(\S+)", run.log)
    return "".join(text for name, text in zip(parts[1::2], parts[2::2], strict=True) if name == task_id)


def failure_of(run: DagRun, task_id: str) -> str:
    """The one line with which the task failed: what its exception says."""
    lines = re.findall(r"^airflow\S*xceptions\.\w+: (.*)$", log_of(run, task_id), re.MULTILINE)
    assert lines, f"{task_id} did not fail with an exception of Airflow's: {log_of(run, task_id)[-1500:]}"
    return str(lines[-1])
