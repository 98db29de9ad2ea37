"""What Airflow knows of batches: the DAGs that run them, and the runs that wait, or waited, for an execution."""

from __future__ import annotations

import json
import logging
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.configuration import conf
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
    from sqlalchemy.orm import Session

TASK_TYPE = "MicsCreateExecutionOperator"
START_FIELD = "expected_start_date"
"""The field of the task, and the parameter of the DAG, that say when the platform starts the execution."""
_USES_START_PARAM = re.compile(rf"{{{{.*\bparams(\.|\[['\"]|\.get\(['\"]){START_FIELD}\b.*}}}}", re.DOTALL)
MOST_LINKS = 100_000
"""Links that are kept; the oldest go first."""
OVERLAP = timedelta(minutes=2)
"""How far back the XComs are read again: a transaction may end after a later one."""
DAGS_AT_ONCE = 200
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AirflowState:
    """What was last read of Airflow's database.

    ``dags`` are those that run an instance, ``links`` the runs by the id of their execution. ``tasks`` are what each
    DAG runs, with the hash of the serialized DAG that says so, and ``links_until`` is the moment of the newest link.
    """

    dags: tuple[Dag, ...] = ()
    links: Mapping[str, tuple[RunLink, ...]] = field(default_factory=dict)
    tasks: Mapping[str, tuple[str, _Task | None]] = field(default_factory=dict)
    links_until: datetime | None = None


def read_airflow(previous: AirflowState | None) -> AirflowState:
    """Return what Airflow knows now; only what is new is read in full."""
    known = previous or AirflowState()
    with create_session() as session:
        rows = session.execute(
            select(
                DagModel.dag_id,
                DagModel.is_paused,
                DagModel.next_dagrun_create_after,
                DagModel.has_import_errors,
                DagModel._dag_display_property_value,  # noqa: SLF001 - no other column has it
            ).where(_IS_OURS, DagModel.is_stale.is_(False))
        ).all()
        tasks = _tasks(session, known.tasks, [row.dag_id for row in rows])
        links, links_until = _links(session, known)
    dags = (
        Dag(
            dag_id,
            task.source,
            task.instance_id,
            display_name or dag_id,
            bool(is_paused),
            task.schedule,
            next_tick,
            bool(has_import_errors),
            task.takes_start,
        )
        for dag_id, is_paused, next_tick, has_import_errors, display_name in rows
        if (task := tasks.get(dag_id, ("", None))[1]) is not None
    )
    return AirflowState(tuple(dags), links, tasks, links_until)


_IS_OURS = or_(
    DagModel.dag_id.like(f"%{DAG_ID_STEM.replace('_', '!_')}%", escape="!"),
    DagModel.dag_id.in_(select(DagTag.dag_id).where(DagTag.name == TAG)),
)


def _tasks(
    session: Session, known: Mapping[str, tuple[str, _Task | None]], dag_ids: list[str]
) -> dict[str, tuple[str, _Task | None]]:
    """Return what the DAGs run. Those whose serialized form is the one that was read before are not read again."""
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
    tasks = {
        dag_id: known[dag_id]
        for dag_id in dag_ids
        if dag_id in known and known[dag_id][0] == hashes.get(dag_id)
    }
    changed = [dag_id for dag_id in dag_ids if dag_id in hashes and dag_id not in tasks]
    for start in range(0, len(changed), DAGS_AT_ONCE):
        rows = session.execute(
            select(
                SerializedDagModel.dag_id,
                SerializedDagModel.dag_hash,
                SerializedDagModel._data,  # noqa: SLF001 - the property loads the whole row
                SerializedDagModel._data_compressed,  # noqa: SLF001
            )
            .join(newest, is_newest)
            .where(SerializedDagModel.dag_id.in_(changed[start : start + DAGS_AT_ONCE]))
        )
        tasks |= {
            dag_id: (dag_hash, _task_in(data, compressed)) for dag_id, dag_hash, data, compressed in rows
        }
    return tasks


def _links(
    session: Session, known: AirflowState
) -> tuple[Mapping[str, tuple[RunLink, ...]], datetime | None]:
    columns = select(XComModel.dag_id, XComModel.run_id, XComModel.value, XComModel.timestamp)
    query = columns.where(XComModel.key == EXECUTION_ID_KEY)
    if known.links_until is not None:
        query = query.where(XComModel.timestamp > known.links_until - OVERLAP)
    rows = session.execute(query.order_by(XComModel.timestamp.desc()).limit(MOST_LINKS)).all()
    if not rows:
        return known.links, known.links_until
    links = dict(known.links)
    for dag_id, run_id, value, _ in reversed(rows):
        execution_id, link = _text_of(value), RunLink(dag_id, run_id)
        if execution_id is not None and link not in links.get(execution_id, ()):
            # The newest links stand last.
            links[execution_id] = (*links.pop(execution_id, ()), link)
    for execution_id in list(links)[: max(0, len(links) - MOST_LINKS)]:
        del links[execution_id]
    return links, rows[0].timestamp


class _Task:
    """What the task of a DAG runs, whether a run may say when it starts, and the DAG's schedule."""

    def __init__(
        self, source: Source, instance_id: str, schedule: ScheduleInAirflow, *, takes_start: bool
    ) -> None:
        self.source, self.instance_id, self.schedule = source, instance_id, schedule
        self.takes_start = takes_start


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
        return _Task(source, instance_id, _schedule_in(dag), takes_start=_takes_start(dag, task))
    except Exception as error:  # noqa: BLE001 - another version of Airflow may write it in another form
        logger.debug("A serialized DAG cannot be read: %s", error)
        return None


def _takes_start(dag: Mapping[str, Any], task: Mapping[str, Any]) -> bool:
    """Whether the configuration of a run reaches the field that says when the platform starts the execution."""
    if not conf.getboolean("core", "dag_run_conf_overrides_params", fallback=True):
        return False
    template = task.get(START_FIELD)
    has_param = START_FIELD in dict(dag.get("params") or {})
    return has_param and isinstance(template, str) and _USES_START_PARAM.search(template) is not None


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
