"""Judge an instance's history: does what the platform fired match the cron that was in force then, in our time zone?

The API does not show in which time zone the platform reads crons, and with a wrong one every batch would run twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.field_types import ExecutionType
from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.api.progress import utc
from airflow_provider_mics.core.planning.cron_ticks import (
    Cron,
    CronPeriod,
    Firing,
)
from airflow_provider_mics.core.planning.cron_timezones import FEWEST_FIRINGS, fitting_zones

CHECKED_FIRINGS = 10
"""How many of the newest ticks are checked against the cron that was in force."""
MOST_FIRINGS = 100
"""How many of the newest ticks a recommended time zone must match."""
SHOWN_ZONES = 3
MOST_EXECUTIONS = 400
"""How many of the newest executions are searched for these ticks."""
FIRST_MOMENT = datetime.min.replace(tzinfo=UTC)
EXCEPTIONS = 0.25
"""The share of ticks beside the cron that is no evidence: people may create CRON executions by hand."""


def check_history(
    instance: Instance,
    timezone: str,
    periods: Sequence[CronPeriod],
    tick: datetime,
    executions: Sequence[Execution],
) -> None:
    """Refuse a tick that the instance's history contradicts.

    :param timezone: the time zone of the crons (IANA name)
    :param periods: which crons were in force, and when, as far as the inventory knows
    :param executions: the executions of the instance
    :raises MicsError: earlier executions do not match the cron that was in force in this time zone
    """
    firings = _firings(instance, periods, tick, executions)
    checked = firings[:CHECKED_FIRINGS]
    mismatches = [each for each in checked if not Cron(each.cron, timezone).could_fire_at(each.moment)]
    if len(mismatches) <= EXCEPTIONS * len(checked):
        return
    advice = _advice(firings[:MOST_FIRINGS])
    first = mismatches[0]
    fired = "this cron" if first.cron == instance.cron else f"{first.cron!r}, its cron then,"
    raise MicsError(
        f"Instance {instance.id} ({instance.name}): no execution created for {utc(tick)}, a tick of {instance.cron!r}. "
        f"The platform fired {fired} at {utc(first.moment)}, which does not match the cron in time zone {timezone}: "
        f"{advice}"
    )


def _advice(firings: Sequence[Firing]) -> str:
    """Return what to do where firings do not match the connection's time zone."""
    zones = fitting_zones(firings)
    if zones.missed or not zones.names:
        return "compare the connection's timezone with the platform's"
    if not zones.show_one_time or len(firings) < FEWEST_FIRINGS:
        named = ", ".join(map(repr, zones.names[:SHOWN_ZONES]))
        return f"compare the connection's timezone with the platform's: {named} would match"
    advice = f"set the connection's timezone to {zones.names[0]!r}"
    if zones.is_clear:
        return advice
    return f"{advice}, or to the platform's if it had the same time then, such as {zones.names[1]!r}"


def shows_enough_firings(
    instance: Instance, periods: Sequence[CronPeriod], tick: datetime
) -> Callable[[Execution], bool]:
    """Return a condition that gets executions from the newest on, and tells when `check_history` needs no older one.

    It needs the newest ticks while the cron is known. Where there are few among other executions, the newest
    `MOST_EXECUTIONS` have to do.
    """
    known = periods_in_force(instance, periods)
    first = min((each.since for each in known), default=tick)
    firings = count = 0

    def is_enough(execution: Execution) -> bool:
        nonlocal firings, count
        count += 1
        firings += len(_firings(instance, periods, tick, [execution]))
        created = execution.creation_date
        is_older = created is not None and created < first
        return is_older or firings >= CHECKED_FIRINGS or count >= MOST_EXECUTIONS

    return is_enough


def _firings(
    instance: Instance, periods: Sequence[CronPeriod], tick: datetime, executions: Sequence[Execution]
) -> list[Firing]:
    """Return what the platform fired before ``tick`` while its cron is known, newest first."""
    known = [*periods_in_force(instance, periods)]
    firings = [
        Firing(period.cron, each.expected_start_date)
        for each in executions
        if each.execution_type == ExecutionType.CRON
        and each.expected_start_date is not None
        and each.expected_start_date < tick
        and (period := next((one for one in known if _was_planned_in(each, one)), None)) is not None
    ]
    return sorted(firings, key=lambda each: each.moment, reverse=True)


def periods_in_force(instance: Instance, periods: Sequence[CronPeriod]) -> list[CronPeriod]:
    """Return when which cron was certainly in force, the present cron included.

    An instance was not modified since ``last_modified_ts``; one that never was has had no other cron. A period
    without an end counts only while the instance still has its cron: when another cron replaced it is not known.
    """
    known = [each for each in periods if each.until is not None or each.is_of(instance.cron)]
    created, modified = instance.creation_ts, instance.last_modified_ts
    if instance.cron and modified is not None:
        was_never_modified = created is not None and modified <= created
        known.append(CronPeriod(instance.cron, FIRST_MOMENT if was_never_modified else modified))
    return known


def _was_planned_in(execution: Execution, period: CronPeriod) -> bool:
    """Whether the execution was created, and was due, while the cron was in force.

    A platform that creates executions ahead may have created one with the cron before.
    """
    due = execution.expected_start_date
    return due is not None and due in period and (execution.creation_date or due) in period


def is_tick_of_earlier_cron(
    instance: Instance, planned_cron: str, timezone: str, periods: Sequence[CronPeriod], tick: datetime
) -> bool:
    """Whether a moment that is no tick of the instance's cron is one of a cron that the instance no longer has.

    ``planned_cron`` is the cron with which the DAG was built here. It also holds where the present cron is known to
    be newer than ``tick``, and after a change of clocks, where Airflow makes runs beside an hourly cron.
    """
    others = {planned_cron, *(each.cron for each in periods)} - {instance.cron}
    if any(Cron(other, timezone).is_tick(tick) for other in others):
        return True
    present = [each for each in periods if each.is_of(instance.cron)]
    if any(tick < each.since for each in present) or Cron(instance.cron or "", timezone).may_be_stepped_to(
        tick
    ):
        return True
    modified = instance.last_modified_ts
    return planned_cron != instance.cron and modified is not None and tick < modified
