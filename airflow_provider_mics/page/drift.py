"""Where the platform and Airflow differ, or where an instance's history shows that something went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from airflow_provider_mics.api.cron_syntax import normalised
from airflow_provider_mics.api.field_types import CronStatus, ExecutionType
from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.core.exactly_once.handover import DEFAULT_PLATFORM_GRACE
from airflow_provider_mics.core.planning.cron_ticks import Cron
from airflow_provider_mics.core.planning.tick_search import ticks_before
from airflow_provider_mics.doctor.checks.timezones import evidence_of

CHECKED_TICKS = 10
"""How many of the last ticks are looked for in the history."""
SETTLED_AFTER = DEFAULT_PLATFORM_GRACE + timedelta(minutes=3)
"""How long after a tick its execution is missing: Airflow leaves the platform its grace, and then needs some time."""


class Drift(NamedTuple):
    """A difference, as a short word for a list and a sentence."""

    word: str
    sentence: str


@dataclass(frozen=True)
class ScheduleInAirflow:
    """The schedule of a DAG: ``cron`` is None for a DAG without one."""

    cron: str | None
    timezone: str | None


NO_DAG = Drift("no DAG", "No DAG in Airflow runs or shows this instance.")
NO_INSTANCE = Drift(
    "no instance", "The platform's list does not have this instance any more: it is archived or gone."
)


def drift_of_schedule(instance: Instance, timezone: str, schedule: ScheduleInAirflow | None) -> list[Drift]:
    """Return where the platform's schedule and the DAG's differ.

    :param timezone: in which the platform reads its crons (IANA name)
    :param schedule: of the instance's DAG, or None if there is no DAG
    """
    if not instance.cron:
        return []
    cron = Cron(instance.cron, timezone)
    if cron.problem is not None:
        return [
            Drift("cron read differently", f"Airflow does not schedule {instance.cron!r}: it {cron.problem}.")
        ]
    found = []
    if cron.warning is not None and instance.is_active:
        found.append(Drift("doubtful cron", f"Its cron {instance.cron!r} {cron.warning}."))
    if schedule is None:
        return found
    expected = cron.normalised if instance.cron_status == CronStatus.ACTIVE else None
    given = None if schedule.cron is None else normalised(schedule.cron)
    if given != expected:
        found.append(
            Drift(
                "other schedule",
                f"The platform has {_shown(expected)}, the DAG {_shown(given)}. A change on the platform reaches "
                "the DAG when the inventory is refreshed and the DAG file parsed.",
            )
        )
    elif expected is not None and schedule.timezone not in (None, timezone):
        found.append(
            Drift(
                "other time zone",
                f"The DAG reads {instance.cron!r} in {schedule.timezone}, the connection says {timezone}.",
            )
        )
    return found


def _shown(cron: str | None) -> str:
    return "no active schedule" if cron is None else f"the schedule {cron!r}"


def drift_of_history(
    instance: Instance,
    timezone: str,
    executions: Sequence[Execution],
    *,
    known_since: datetime,
    read_at: datetime,
) -> list[Drift]:
    """Return what an instance's executions show: missed ticks, ticks that ran twice, another time zone.

    :param executions: those that are known
    :param known_since: since when all executions are known (UTC)
    :param read_at: when they were read (UTC)
    """
    found = []
    twice = ticks_that_ran_twice(executions)
    if twice:
        found.append(Drift("ran twice", f"{_ticks(twice)} ran more than once."))
    if _contradicts(instance, timezone, executions):
        # With a wrong zone every tick would seem to be missed.
        sentence = (
            f"Its executions do not match its cron in the time zone {timezone}: see the doctor's advice."
        )
        return [*found, Drift("other time zone", sentence)]
    missed = missed_ticks(instance, timezone, executions, known_since=known_since, read_at=read_at)
    if missed:
        found.append(
            Drift("missed tick", f"{_ticks(missed)}: neither the platform nor Airflow created an execution.")
        )
    return found


def _contradicts(instance: Instance, timezone: str, executions: Sequence[Execution]) -> bool:
    """Whether the history contradicts the time zone, as the doctor judges it."""
    cron = Cron(instance.cron or "", timezone)
    due = [each.expected_start_date for each in executions if _is_tick(each) and each.expected_start_date]
    if cron.problem is None and all(_is_exact(cron, each) for each in due):
        return False  # What mostly holds takes little time.
    evidence = evidence_of([instance], [(instance.id, each) for each in executions])
    return any(each.contradicts(timezone) for each in evidence)


def _is_exact(cron: Cron, moment: datetime) -> bool:
    """Whether a moment is in the minute of a tick. A date of another age may be none that time zones are known for."""
    try:
        return cron.fires_at(moment.replace(second=0, microsecond=0))
    except (OverflowError, ValueError):
        return False


def missed_ticks(
    instance: Instance,
    timezone: str,
    executions: Sequence[Execution],
    *,
    known_since: datetime,
    read_at: datetime,
) -> list[datetime]:
    """Return the ticks, of the last `CHECKED_TICKS`, that have no execution; the latest first.

    Only ticks since the last change of the instance count: before it, the cron may have been another. Nor do those
    before the oldest tick that is known: the platform may keep executions for a limited time.
    """
    changed = instance.last_modified_ts or instance.creation_ts
    if not instance.is_active or instance.cron is None or changed is None:
        return []
    cron = Cron(instance.cron, timezone)
    fired = [each.expected_start_date for each in executions if _is_tick(each) and each.expected_start_date]
    since = max(changed, known_since, *(fired and [min(fired)]))
    if since >= read_at:
        return []
    ticks = ticks_before(cron, read_at - SETTLED_AFTER, CHECKED_TICKS, since=since + cron.tolerance)
    minutes = {each.replace(second=0, microsecond=0) for each in fired}
    return [tick for tick in ticks if tick not in minutes and not _was_fired(cron, tick, fired)]


def _was_fired(cron: Cron, tick: datetime, fired: Sequence[datetime]) -> bool:
    """Whether a tick was fired, perhaps some seconds beside it, or at another moment around a change of clocks."""
    return any(
        abs(moment - time) <= cron.tolerance for time in cron.candidate_times(tick) for moment in fired
    )


def ticks_that_ran_twice(executions: Sequence[Execution]) -> list[datetime]:
    """Return the ticks with two executions of which neither is a retry of the other; the latest first."""
    by_tick: dict[datetime, list[Execution]] = {}
    for each in executions:
        if _is_tick(each) and each.expected_start_date is not None and not _was_canceled_early(each):
            tick = each.expected_start_date.replace(second=0, microsecond=0)
            by_tick.setdefault(tick, []).append(each)
    return sorted((tick for tick, several in by_tick.items() if _overlap(several)), reverse=True)


def _is_tick(execution: Execution) -> bool:
    return execution.execution_type == ExecutionType.CRON


def _was_canceled_early(execution: Execution) -> bool:
    """Whether an execution was canceled before it started, as Airflow does with a second one."""
    return execution.canceled and not execution.start_date


def _overlap(several: Sequence[Execution]) -> bool:
    """Whether one was created although an earlier one had not failed by then."""
    ordered = sorted(several, key=lambda each: (each.creation_date is None, each.creation_date, each.id))
    return any(
        not (earlier.failed or earlier.canceled)
        or (
            earlier.end_date is not None
            and later.creation_date is not None
            and later.creation_date < earlier.end_date
        )
        for number, earlier in enumerate(ordered)
        for later in ordered[number + 1 :]
    )


def _ticks(moments: Sequence[datetime]) -> str:
    shown = ", ".join(f"{each:%Y-%m-%d %H:%M} UTC" for each in moments[:3])
    more = f" and {len(moments) - 3} more" if len(moments) > 3 else ""
    return f"Tick{'s' * (len(moments) > 1)} {shown}{more}"
