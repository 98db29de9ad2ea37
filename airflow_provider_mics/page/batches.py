"""A row of the page: one batch, as the platform and Airflow show it."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote

from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.core.planning.cron_ticks import Cron
from airflow_provider_mics.core.planning.cron_words import cron_in_words
from airflow_provider_mics.core.planning.tick_search import ticks_after
from airflow_provider_mics.page.drift import (
    NO_DAG,
    NO_INSTANCE,
    Drift,
    ScheduleInAirflow,
    drift_of_history,
    drift_of_schedule,
)
from airflow_provider_mics.page.marks import Mark, RunLink, RunLinks, mark_of
from airflow_provider_mics.page.platform_reading import SHOWN, History, PlatformState

ACTIVE, PAUSED, BY_HAND, GONE, UNKNOWN = "active", "paused", "by hand", "gone", "unknown"


class Source(NamedTuple):
    """An organisation behind a connection of Airflow; without an id, it is the connection's."""

    conn_id: str
    organisation_id: str | None = None


@dataclass(frozen=True)
class Dag:
    """A DAG that runs one instance.

    ``next_tick`` (UTC) is when its next scheduled run is due, or None. ``takes_start`` is whether a run may say when
    the platform starts the execution.
    """

    dag_id: str
    source: Source
    instance_id: str
    name: str
    is_paused: bool
    schedule: ScheduleInAirflow
    next_tick: datetime | None = None
    has_import_errors: bool = False
    takes_start: bool = False


@dataclass(frozen=True)
class Batch:
    """An instance with its DAG, or one of both.

    ``instance`` is None if the platform does not list it, ``dag`` if there is none. ``status`` is ``active``,
    ``paused``, ``by hand``, ``gone``, or ``unknown`` as long as the instances have not been listed. Ticks are in UTC.
    ``marks`` are the last executions, in the order of time.
    """

    source: Source
    instance_id: str
    name: str
    instance: Instance | None
    dag: Dag | None
    status: str
    timezone: str
    cron_words: str | None
    platform_tick: datetime | None
    marks: tuple[Mark, ...]
    drift: tuple[Drift, ...]

    @property
    def path(self) -> str:
        """The path of its own page, below that of the list."""
        if self.dag is not None:
            return f"dags/{quote(self.dag.dag_id, safe='')}"
        return f"instances/{quote(self.source.conn_id, safe='')}/{quote(self.instance_id, safe='')}"

    @property
    def airflow_tick(self) -> datetime | None:
        """When Airflow's next scheduled run is due (UTC); None if its DAG is paused."""
        return None if self.dag is None or self.dag.is_paused else self.dag.next_tick

    @property
    def next_tick(self) -> datetime | None:
        """When the batch runs next, whoever fires it."""
        return min(
            (each for each in (self.platform_tick, self.airflow_tick) if each is not None), default=None
        )

    @property
    def last(self) -> Mark | None:
        """The newest execution, or None."""
        return self.marks[-1] if self.marks else None

    @property
    def last_duration(self) -> timedelta | None:
        """How long the newest execution took, or has taken until now."""
        return None if self.last is None else self.last.duration

    @property
    def plugin(self) -> str:
        """The plugin as ``group : artifact``, or an empty text."""
        if self.instance is None:
            return ""
        return f"{self.instance.group_id or '?'} : {self.instance.artifact_id or '?'}"

    @property
    def unfinished(self) -> tuple[Execution, ...]:
        """The shown executions that can be canceled, the newest first."""
        return tuple(mark.execution for mark in reversed(self.marks) if not mark.execution.is_over)

    @property
    def why_no_run(self) -> str | None:
        """Why the batch cannot be run, as a sentence; None if it can."""
        if self.instance is None and (self.dag is None or self.status != UNKNOWN):
            return f"It is {self.status}."
        if self.dag is not None and self.dag.has_import_errors:
            return f"The file of the DAG {self.dag.dag_id} has import errors: Airflow starts no run of it."
        return None

    @property
    def why_no_run_at(self) -> str | None:
        """Why the batch cannot be run at a moment to come, as a sentence; None if it can."""
        if self.why_no_run is None and self.dag is not None and not self.dag.takes_start:
            return (
                f"The DAG {self.dag.dag_id} takes no start: its task uses no parameter expected_start_date that a run "
                "can set. It can be run at once."
            )
        return self.why_no_run


def batches_of(
    source: Source, state: PlatformState, dags: Iterable[Dag], links: RunLinks, now: datetime
) -> list[Batch]:
    """Return a row for each DAG of an organisation, and for each instance without a DAG.

    :param dags: those of this organisation
    :param links: the runs in Airflow by their execution
    :param now: the current time (UTC)
    """
    return [
        batch_of(source, state, instance_id, dag, links, now)
        for instance_id, dag in dags_by_instance(state, dags)
    ]


def dags_by_instance(state: PlatformState, dags: Iterable[Dag]) -> Iterator[tuple[str, Dag | None]]:
    """Return the rows that there are: the instance of each with its DAG, or None for an instance without one."""
    by_instance: dict[str, list[Dag]] = {}
    for dag in dags:
        by_instance.setdefault(dag.instance_id, []).append(dag)
    for instance_id in [*state.instances, *(key for key in by_instance if key not in state.instances)]:
        own = sorted(by_instance.get(instance_id, ()), key=lambda each: each.dag_id)
        for dag_or_none in own or (None,):
            yield instance_id, dag_or_none


def with_each_instance_once(
    rows: Mapping[Source, Sequence[Batch]], organisations: Mapping[Source, Hashable]
) -> list[Batch]:
    """Return all rows, without what several sources of one organisation have in common.

    An instance without a DAG is a row of the organisation's first source only, and only if no DAG of another one of its
    sources runs the instance.

    :param organisations: a key of the organisation that each source leads to
    """
    first: dict[Hashable, Source] = {}
    with_dag: dict[Hashable, set[str]] = {}
    for source, batches in rows.items():
        organisation = organisations[source]
        first.setdefault(organisation, source)
        ids = with_dag.setdefault(organisation, set())
        ids.update(each.instance_id for each in batches if each.dag is not None)
    return [
        each
        for source, batches in rows.items()
        for each in batches
        if each.dag is not None
        or (
            first[organisations[source]] == source and each.instance_id not in with_dag[organisations[source]]
        )
    ]


def batch_of(
    source: Source,
    state: PlatformState,
    instance_id: str,
    dag: Dag | None,
    links: RunLinks,
    now: datetime,
) -> Batch:
    """Return the row of an instance with one of its DAGs, or without a DAG."""
    instance = state.instances.get(instance_id)
    executions = state.executions.get(instance_id, ())
    history = state.history(instance_id)
    # What runs was running when it was read.
    read_at = (state.read_at if history is None else history.read_at) or now
    marks = marks_of(executions[:SHOWN], dag, links, state.user_id, read_at)
    cron = Cron(instance.cron, state.timezone) if instance is not None and instance.cron else None
    is_active = instance is not None and instance.is_active
    ticks = ticks_after(cron, now, 1) if cron is not None and is_active else []
    return Batch(
        source=source,
        instance_id=instance_id,
        name=_name(instance_id, instance, dag),
        instance=instance,
        dag=dag,
        status=_status(state, instance),
        timezone=state.timezone,
        cron_words=None if cron is None else cron_in_words(cron.expression),
        platform_tick=ticks[0] if ticks else None,
        marks=tuple(reversed(marks)),
        drift=tuple(_drift(state, history, instance, dag)),
    )


def marks_of(
    executions: Sequence[Execution], dag: Dag | None, links: RunLinks, user_id: str | None, now: datetime
) -> list[Mark]:
    """Return the marks of executions of one instance, in the same order."""
    return [mark_of(each, _own_links(links.get(each.id, ()), dag), user_id, now) for each in executions]


def _own_links(links: Sequence[RunLink], dag: Dag | None) -> list[RunLink]:
    """Return the runs with one of the instance's own DAG first: people look there."""
    return sorted(links, key=lambda each: dag is None or each.dag_id != dag.dag_id)


def _name(instance_id: str, instance: Instance | None, dag: Dag | None) -> str:
    if instance is not None and instance.name and instance.name.strip():
        return instance.name
    return dag.name if dag is not None and dag.name else f"Integration batch {instance_id}"


def _status(state: PlatformState, instance: Instance | None) -> str:
    if instance is None:
        return UNKNOWN if state.instances_read_at is None else GONE
    if not instance.cron:
        return BY_HAND
    return ACTIVE if instance.is_active else PAUSED


def _drift(
    state: PlatformState, history: History | None, instance: Instance | None, dag: Dag | None
) -> Iterable[Drift]:
    if instance is None:
        # Before the list was read, nothing can be said of what it lacks.
        return [NO_INSTANCE] if state.instances_read_at is not None else []
    found = [] if dag is not None else [NO_DAG]
    found += drift_of_schedule(instance, state.timezone, None if dag is None else dag.schedule)
    if history is not None:
        found += drift_of_history(
            instance,
            state.timezone,
            history.executions,
            known_since=history.known_since,
            read_at=history.read_at,
        )
    return found


def without_links_to(batch: Batch, readable: Collection[str]) -> Batch:
    """Return the batch without the runs of DAGs that are not among the readable ones."""
    if all(mark.run is None or mark.run.dag_id in readable for mark in batch.marks):
        return batch
    marks = (
        mark if mark.run is None or mark.run.dag_id in readable else replace(mark, run=None)
        for mark in batch.marks
    )
    return replace(batch, marks=tuple(marks))
