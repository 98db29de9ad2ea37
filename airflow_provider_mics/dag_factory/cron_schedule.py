"""How an instance's cron becomes the schedule of its DAG: the timetable, the start date, and the ticks of its task.

Which cron a DAG is scheduled on is decided before, in ``core/planning/dag_plans.py``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from airflow.timetables.trigger import CronTriggerTimetable

from airflow_provider_mics.api.cron_syntax import normalised
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.api.validation import parse_datetime
from airflow_provider_mics.core.exactly_once.handover import TickContext
from airflow_provider_mics.core.planning.dag_plans import DagPlan

UNSCHEDULED_START_DATE = datetime(2015, 1, 1, tzinfo=UTC)
"""Start date of a DAG without a schedule, before any run that a user could trigger."""


def timetable_of(plan: DagPlan) -> CronTriggerTimetable | None:
    """Return the timetable of a plan's cron, or None if it has none.

    :raises Exception: Airflow cannot read the cron or the time zone
    """
    return None if plan.cron is None else _cron_timetable(plan.cron, plan.timezone)


@cache
def _cron_timetable(cron: str, timezone: str) -> CronTriggerTimetable:
    """Return a timetable, created once for all DAGs on the same cron."""
    timetable = CronTriggerTimetable(cron, timezone=timezone)
    timetable.validate()
    return timetable


def start_date_of(plan: DagPlan, start_date: datetime | None) -> datetime:
    """Return since when the plan's schedule is in force, or ``start_date`` if that is later.

    No tick from before a change of the schedule may fire.
    """
    dates = [each for each in (plan.schedule_since, start_date) if each is not None]
    return max(dates, default=UNSCHEDULED_START_DATE)


def tick_context_of(instance: Instance, plan: DagPlan, platform_grace: timedelta | None) -> TickContext:
    """Return what the DAG's task has to know of the schedule in order to run a tick.

    :raises MicsError: the plan's ``schedule_since`` has no time zone
    """
    return TickContext(
        cron=_tick_cron(instance, plan),
        timezone=plan.timezone,
        schedule_since=parse_datetime(plan.schedule_since, "schedule_since"),
        platform_grace=platform_grace,
        cron_periods=plan.cron_periods,
    )


def _tick_cron(instance: Instance, plan: DagPlan) -> str | None:
    """Return the cron whose ticks the DAG's scheduled runs are: the instance's, empty if it has none now.

    A scheduled run may be older than the instance's present state. After a pause, it must still count as a tick, and
    not start an execution that nobody asked for. Only a plan with a cron of its own has no ticks.
    """
    own = instance.cron or ""
    return own if plan.cron is None or normalised(own) == plan.cron else None
