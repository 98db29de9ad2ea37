"""The functions behind the buttons of Airflow 2.11: reads one JSON request a line, writes one answer a line."""

from __future__ import annotations

import json
import sys
from typing import Any

from airflow.api.common.trigger_dag import trigger_dag
from airflow.exceptions import DagNotFound, DagRunAlreadyExists
from airflow.models import DagRun, TaskInstance
from airflow.models.dagbag import DagBag
from airflow.models.taskinstancekey import TaskInstanceKey
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState


def trigger(dag_id: str, run_id: str, conf: dict[str, Any]) -> str | None:
    try:
        run = trigger_dag(dag_id, run_id=run_id, conf=conf)
    except DagRunAlreadyExists:
        return run_id
    except (DagNotFound, KeyError):
        return None
    return run.run_id if run else None


def set_task_state(dag_id: str, run_id: str, task_id: str, state: str, map_index: int) -> None:
    _dag(dag_id).set_task_instance_state(
        task_id=task_id,
        map_indexes=None if map_index < 0 else [map_index],
        run_id=run_id,
        state=TaskInstanceState(state),
        commit=True,
    )


def clear_task(dag_id: str, run_id: str, task_id: str) -> None:
    with create_session() as session:
        moment = session.query(DagRun.execution_date).filter_by(dag_id=dag_id, run_id=run_id).scalar()
    _dag(dag_id).clear(task_ids=[task_id], start_date=moment, end_date=moment)


def task_state(dag_id: str, run_id: str, task_id: str, map_index: int) -> str | None:
    with create_session() as session:
        row = session.query(TaskInstance.state).filter_by(
            dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index
        )
        found = row.scalar()
    return str(getattr(found, "value", found)) if found else None


def link(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    task = _dag(dag_id).get_task(task_id)
    [extra_link] = task.operator_extra_links
    url: str = extra_link.get_link(task, ti_key=TaskInstanceKey(dag_id, task_id, run_id, 1, map_index))
    return url


def _dag(dag_id: str) -> Any:
    return DagBag(read_dags_from_db=True).get_dag(dag_id)


BUTTONS = {each.__name__: each for each in (trigger, set_task_state, clear_task, task_state, link)}

if __name__ == "__main__":
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        answer = BUTTONS[name](*arguments)
        sys.stdout.write(f"answer: {json.dumps(answer)}\n")
        sys.stdout.flush()
