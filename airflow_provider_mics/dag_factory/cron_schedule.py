"""How an instance's cron becomes the schedule of its DAG: the timetable, the start date, and the ticks of its task.

Which cron a DAG is scheduled on is decided before, in ``core/planning/dag_plans.py``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Any

from airflow.timetables.trigger import CronTriggerTimetable
from croniter import croniter

from airflow_provider_mics.api.cron_syntax import cron_problem, normalised, read_cron
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.field_types import CronStatus
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.api.validation import parse_datetime
from airflow_provider_mics.core.exactly_once.handover import TickContext
from airflow_provider_mics.core.planning.cron_ticks import zone_of
from airflow_provider_mics.core.planning.dag_plans import DagPlan
from airflow_provider_mics.runtime.compat import get_parsing_context, timezone
from airflow_provider_mics.timetables import LONGEST_DESCRIPTION, is_registered, shared_timetable

YEARS_OF_CHECK = (2003, 2004)
"""An ordinary year and a leap year."""
UNSCHEDULED_START_DATE = datetime(2015, 1, 1, tzinfo=UTC)
"""Start date of a DAG without a schedule, before any run that a user could trigger."""


def timetable_of(plan: DagPlan) -> CronTriggerTimetable | None:
    """Return the timetable of a plan's cron, or None if it has none.

    :raises Exception: Airflow cannot read the cron or the time zone
    """
    return None if plan.cron is None else cron_timetable(plan.cron, plan.timezone)


@cache
def cron_timetable(cron: str, timezone: str) -> CronTriggerTimetable:
    """Return a timetable, created once for all DAGs on the same cron.

    :raises Exception: Airflow cannot read the cron or the time zone
    """
    fields = cron.split()
    if len(fields) != 5:
        raise MicsError(
            f"it has {len(fields)} field(s), not five: minute hour day-of-month month day-of-week"
        )
    is_ours = _is_storable()
    timetable = shared_timetable(cron, timezone) if is_ours else CronTriggerTimetable(cron, timezone=timezone)
    timetable.validate()
    if not is_ours and len(timetable.description) > LONGEST_DESCRIPTION:
        raise MicsError(
            f"Airflow describes it in {len(timetable.description)} characters, and its database takes "
            f"{LONGEST_DESCRIPTION}: load the plugin of this package, which shortens them, or write ranges"
        )
    _check_end_of_february(*fields[2:4])
    return timetable


@cache
def _is_storable() -> bool:
    """Return whether Airflow can store our timetable. A worker stores none, and need not load its plugins for that."""
    return get_parsing_context().dag_id is not None or is_registered()


@cache
def _check_end_of_february(days: str, months: str) -> None:
    """Check that the installed croniter reads the days of a cron rightly where a month is short.

    Up to 6.0 it leaves out 1 or 2 March where the cron has a day after the 28th too, as ``*/5`` and ``1,31`` have.

    :raises ValueError: it does not
    """
    cron = f"0 0 {days} {months} *"
    problem = cron_problem(cron)
    if problem is not None or days == "*":
        return
    expected = read_cron(cron)
    for year in YEARS_OF_CHECK:
        day, end = datetime(year, 2, 20), datetime(year, 3, 5)  # noqa: DTZ001 - as croniter is given them by Airflow
        iterator = croniter(cron, day)
        following = iterator.get_next(datetime)
        while (day := day + timedelta(days=1)) < end:
            is_due = day.day in expected.days and day.month in expected.months
            if is_due != (following == day):
                raise ValueError(
                    f"the installed croniter does not read its days {days!r} as cron does in February and March: "
                    f"upgrade croniter, or write no day after the 28th"
                )
            if is_due:
                following = iterator.get_next(datetime)


def shared_date(default_args: dict[str, Any], name: str) -> datetime | None:
    """Take a date out of ``default_args`` and return it: it is the DAG's.

    A task whose own ``start_date`` has not come, or whose ``end_date`` is over, is left out of its runs, which then
    succeed without having run anything.

    :raises ValueError: it is no date
    """
    return date_of(f"default_args: {name}", default_args.pop(name, None))


def date_of(name: str, given: object) -> datetime | None:
    """Return a date that an author of a DAG file gave, also as text.

    :raises ValueError: it is none
    """
    try:
        moment: Any = timezone.parse(given) if isinstance(given, str) else given
        return None if moment is None else timezone.convert_to_utc(moment)
    except Exception:  # noqa: BLE001 - Airflow raises what its parser does
        raise ValueError(f"{name} {given!r} is not a date and time: give an aware datetime") from None


def zone_name(given: str | tzinfo | None) -> str | None:
    """Return the IANA name of a time zone that an author of a DAG file gave, also as an object of Python or pendulum.

    :raises ValueError: there is no such time zone
    """
    if given is None:
        return None
    name = "UTC" if given is UTC else getattr(given, "key", None) or getattr(given, "name", given)
    if not isinstance(name, str) or zone_of(name) is None:
        raise ValueError(f"timezone {given!r} is not known: give an IANA name such as Europe/Paris")
    return name


def start_date_of(plan: DagPlan, start_date: datetime | None) -> datetime:
    """Return since when the plan's schedule is in force, or ``start_date`` if that is later.

    No tick from before a change of the schedule may fire. Without a schedule there are no ticks, and a run that a user
    triggers before the start date of its DAG has no tasks.
    """
    return UNSCHEDULED_START_DATE if plan.cron is None else first_tick_of(plan, start_date)


def first_tick_of(plan: DagPlan, start_date: datetime | None) -> datetime:
    """Return the moment before which no tick of a DAG may run, whatever its schedule is."""
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
    not start an execution that nobody asked for. Only a plan with a schedule of its own has no ticks: another cron, or
    that of an instance that is paused.
    """
    own = instance.cron or ""
    if plan.cron is None:
        return own
    return own if normalised(own) == plan.cron and instance.cron_status != CronStatus.PAUSED else None


def tick_cron_on(timetable: Any, instance: Instance, timezone: str) -> str | None:
    """Return the cron whose ticks the runs of a user's timetable are, or None if it has nothing to do with it."""
    own = instance.cron or ""
    if not timetable.can_be_scheduled:
        return own
    is_own = (normalised(own), timezone) in _crons_of(timetable)
    return own if is_own and instance.cron_status != CronStatus.PAUSED else None


def _crons_of(timetable: Any) -> set[tuple[str, str]]:
    """Return the crons and time zones of a timetable, whether it is one of Airflow's core or of its SDK."""
    found: set[tuple[str, str]] = set()
    for each in (*_first_of(timetable, "_timetables", "timetables", default=()), timetable):
        cron, zone = _first_of(each, "_expression", "expression"), _first_of(each, "_timezone", "timezone")
        if isinstance(cron, str):
            found.add(
                (normalised(cron), zone if isinstance(zone, str) else str(_first_of(zone, "key", "name")))
            )
    inner = getattr(timetable, "timetable", None)
    return found if inner is None else found | _crons_of(inner)


def _first_of(owner: object, *names: str, default: Any = None) -> Any:
    return next((getattr(owner, name) for name in names if hasattr(owner, name)), default)
