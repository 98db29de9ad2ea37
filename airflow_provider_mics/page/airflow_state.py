"""What Airflow knows of batches: the DAGs that run them, and the runs that wait, or waited, for an execution."""

from __future__ import annotations

import json
import logging
import threading
import time
import zlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.models.dag import DagModel, DagTag
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import func, or_, select

from airflow_provider_mics.core.planning.dag_plans import DAG_ID_STEM, TAG
from airflow_provider_mics.hooks import MicsHook
from airflow_provider_mics.page.batches import Dag, Source
from airflow_provider_mics.page.drift import ScheduleInAirflow
from airflow_provider_mics.page.marks import RunLink
from airflow_provider_mics.runtime.xcom_keys import EXECUTION_ID_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sqlalchemy.orm import Session

KEPT_FOR = 5.0
"""Seconds for which DAGs and runs are kept, for all viewers."""
TASK_TYPE = "MicsCreateExecutionOperator"
LINKS_SINCE = timedelta(days=400)
"""How far back runs are linked with their executions."""
MOST_LINKS = 100_000
"""Links that are kept; the oldest go first."""
OVERLAP = timedelta(minutes=2)
"""How far back the XComs are read again: a transaction may end after a later one."""
DAGS_AT_ONCE = 200
logger = logging.getLogger(__name__)


class AirflowState:
    """The DAGs and links of this process, read again when they are older than `KEPT_FOR`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at = -KEPT_FOR
        self._dags: tuple[Dag, ...] = ()
        self._tasks: dict[str, tuple[str, _Task | None]] = {}
        self._links: dict[str, list[RunLink]] = {}
        self._links_until: datetime | None = None

    def read(self) -> tuple[tuple[Dag, ...], Mapping[str, list[RunLink]]]:
        """Return the DAGs that run an instance, and the runs by the id of their execution."""
        with self._lock:
            if time.monotonic() - self._read_at >= KEPT_FOR:
                with create_session() as session:
                    self._dags = tuple(self._read_dags(session))
                    self._read_links(session)
                self._read_at = time.monotonic()
            return self._dags, self._links

    def links_of(self, execution_ids: Iterable[str]) -> dict[str, list[RunLink]]:
        """Return the runs of some executions."""
        with self._lock:
            return {each: list(self._links.get(each, ())) for each in execution_ids}

    def expire(self) -> None:
        """Have the next viewer see what was changed."""
        with self._lock:
            self._read_at = -KEPT_FOR

    def _read_dags(self, session: Session) -> Iterator[Dag]:
        is_ours = or_(
            DagModel.dag_id.like(f"%{DAG_ID_STEM.replace('_', '!_')}%", escape="!"),
            DagModel.dag_id.in_(select(DagTag.dag_id).where(DagTag.name == TAG)),
        )
        rows = session.execute(
            select(
                DagModel.dag_id,
                DagModel.is_paused,
                DagModel.next_dagrun_create_after,
                DagModel.has_import_errors,
                DagModel._dag_display_property_value,  # noqa: SLF001 - no other column has it
            ).where(is_ours, DagModel.is_stale.is_(False))
        ).all()
        self._read_tasks(session, [row.dag_id for row in rows])
        for dag_id, is_paused, next_tick, has_import_errors, display_name in rows:
            task = self._tasks.get(dag_id, ("", None))[1]
            if task is not None:
                yield Dag(
                    dag_id,
                    task.source,
                    task.instance_id,
                    display_name or dag_id,
                    bool(is_paused),
                    task.schedule,
                    next_tick,
                    bool(has_import_errors),
                )

    def _read_tasks(self, session: Session, dag_ids: list[str]) -> None:
        """Read what the DAGs run: of those whose serialized form is not the one that was read before."""
        newest = (
            select(SerializedDagModel.dag_id, func.max(SerializedDagModel.created_at).label("created_at"))
            .group_by(SerializedDagModel.dag_id)
            .subquery()
        )
        is_newest = (SerializedDagModel.dag_id == newest.c.dag_id) & (
            SerializedDagModel.created_at == newest.c.created_at
        )
        columns = select(SerializedDagModel.dag_id, SerializedDagModel.dag_hash).join(newest, is_newest)
        hashes = dict(session.execute(columns).tuples().all())
        wanted = set(dag_ids)
        changed = [
            dag_id
            for dag_id in dag_ids
            if dag_id in hashes and self._tasks.get(dag_id, ("", None))[0] != hashes[dag_id]
        ]
        for start in range(0, len(changed), DAGS_AT_ONCE):
            some = changed[start : start + DAGS_AT_ONCE]
            rows = session.execute(
                select(
                    SerializedDagModel.dag_id,
                    SerializedDagModel.dag_hash,
                    SerializedDagModel._data,  # noqa: SLF001 - the property loads the whole row
                    SerializedDagModel._data_compressed,  # noqa: SLF001
                )
                .join(newest, is_newest)
                .where(SerializedDagModel.dag_id.in_(some))
            )
            for dag_id, dag_hash, data, compressed in rows:
                self._tasks[dag_id] = (dag_hash, _task_in(data, compressed))
        self._tasks = {dag_id: each for dag_id, each in self._tasks.items() if dag_id in wanted}

    def _read_links(self, session: Session) -> None:
        columns = select(XComModel.dag_id, XComModel.run_id, XComModel.value, XComModel.timestamp)
        query = columns.where(XComModel.key == EXECUTION_ID_KEY)
        if self._links_until is not None:
            query = query.where(XComModel.timestamp > self._links_until - OVERLAP)
        rows = session.execute(query.order_by(XComModel.timestamp.desc()).limit(MOST_LINKS)).all()
        if not rows:
            return
        # Others may be reading the links that there were.
        self._links = dict(self._links)
        for dag_id, run_id, value, moment in reversed(rows):
            execution_id = _text_of(value)
            if execution_id is None:
                continue
            links, link = self._links.pop(execution_id, []), RunLink(dag_id, run_id)
            self._links[execution_id] = links if link in links else [*links, link]
            self._links_until = max(self._links_until or moment, moment)
        for execution_id in list(self._links)[: max(0, len(self._links) - MOST_LINKS)]:
            del self._links[execution_id]


class _Task:
    """What the task of a DAG runs, and the DAG's schedule."""

    def __init__(self, source: Source, instance_id: str, schedule: ScheduleInAirflow) -> None:
        self.source, self.instance_id, self.schedule = source, instance_id, schedule


def _task_in(data: Any, compressed: bytes | None) -> _Task | None:
    """Return the one task of a serialized DAG that runs an instance; None if the DAG is of another kind."""
    try:
        if data is None and compressed is not None:
            data = json.loads(zlib.decompress(compressed))
        dag = data["dag"]
        defaults = _plain(dag.get("default_args") or {})
        found = [task for task in map(_plain, dag["tasks"]) if _type_of(task) == TASK_TYPE]
        if len(found) != 1:
            return None
        task = found[0]
        instance_id = task.get("instance_id")
        if not isinstance(instance_id, str) or "{{" in instance_id:
            return None
        conn_id = task.get("mics_conn_id") or defaults.get("mics_conn_id") or MicsHook.default_conn_name
        organisation_id = task.get("organisation_id")
        source = Source(str(conn_id), None if organisation_id is None else str(organisation_id))
        return _Task(source, instance_id, _schedule_in(dag))
    except Exception as error:  # noqa: BLE001 - another version of Airflow may write it in another form
        logger.debug("A serialized DAG cannot be read: %s", error)
        return None


def _plain(encoded: Any) -> dict[str, Any]:
    """Return an object of a serialized DAG, which has its type beside it."""
    inner = encoded.get("__var", encoded)
    return inner if isinstance(inner, dict) else {}


def _type_of(task: Mapping[str, Any]) -> str:
    return str(task.get("task_type") or task.get("_task_type") or "")


def _schedule_in(dag: Mapping[str, Any]) -> ScheduleInAirflow:
    timetable = _plain(dag.get("timetable") or {})
    expression, timezone = timetable.get("expression"), timetable.get("timezone")
    return ScheduleInAirflow(
        expression if isinstance(expression, str) else None, timezone if isinstance(timezone, str) else None
    )


def _text_of(value: Any) -> str | None:
    """Return an XCom that is a text, which is stored as JSON."""
    if isinstance(value, str) and value.startswith('"'):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return value if isinstance(value, str) else None


def sources_of(dags: Iterable[Dag]) -> list[Source]:
    """Return the organisations whose batches have DAGs; if there are none, that of the default connection."""
    return sorted({dag.source for dag in dags}, key=str) or [Source(MicsHook.default_conn_name)]
