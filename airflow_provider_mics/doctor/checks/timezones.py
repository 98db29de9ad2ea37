"""Which time zone the history of all instances supports, judged as the tasks judge that of one.

See ``core/exactly_once/cron_evidence.py``: an instance contradicts a zone where more than a quarter of its newest ticks
do not match the cron that was certainly in force then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import available_timezones

from airflow_provider_mics.api.cron_syntax import cron_problem
from airflow_provider_mics.api.field_types import ExecutionType
from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.api.outages import readable
from airflow_provider_mics.core.exactly_once.cron_evidence import (
    CHECKED_FIRINGS,
    EXCEPTIONS,
    periods_in_force,
)
from airflow_provider_mics.core.exactly_once.handover import DEFAULT_PLATFORM_GRACE
from airflow_provider_mics.core.planning.cron_ticks import (
    DAY,
    WELL_KNOWN_ZONES,
    Cron,
    Firing,
    common_timezone,
    zone_of,
)
from airflow_provider_mics.doctor.checks.rows import Result, Row, counted, names

MOST_INSTANCES = 20
"""How many instances are compared with all time zones: those with the most evidence."""

PLAUSIBLE_YEARS = range(1990, 2200)
"""A date of another year is no tick of a platform, and time zones are not known for it."""
SOLSTICES = (datetime(2026, 6, 21, tzinfo=UTC), datetime(2026, 12, 21, tzinfo=UTC))
"""Days of summer time and of winter time, in either hemisphere."""


@dataclass(frozen=True)
class Evidence:
    """The newest ticks of one instance, newest first, and how long after each its first execution was created."""

    instance: Instance
    firings: tuple[Firing, ...]
    latenesses: tuple[timedelta, ...]

    def contradicts(self, timezone: str) -> bool:
        crons = {each.cron: Cron(each.cron, timezone) for each in self.firings}
        wrong = sum(not crons[each.cron].could_fire_at(each.moment) for each in self.firings)
        return wrong > EXCEPTIONS * len(self.firings)


def evidence_of(instances: Iterable[Instance], executions: Iterable[tuple[str, Execution]]) -> list[Evidence]:
    """Return the ticks of the instances that were certainly fired with their present cron, most of them first.

    :param executions: with the ids of their instances
    """
    by_instance: dict[str, dict[str, Execution]] = defaultdict(dict)
    for instance_id, execution in executions:
        by_instance[instance_id][execution.id] = execution
    found = [_evidence(each, by_instance[each.id].values()) for each in instances if each.id in by_instance]
    return sorted((each for each in found if each.firings), key=lambda each: -len(each.firings))


def _evidence(instance: Instance, executions: Iterable[Execution]) -> Evidence:
    period = next(iter(periods_in_force(instance, [])), None)
    if period is None or cron_problem(period.cron) is not None:
        return Evidence(instance, (), ())
    crons = [
        (due, each.creation_date)
        for each in executions
        if each.execution_type == ExecutionType.CRON
        and (due := each.expected_start_date) is not None
        and due.year in PLAUSIBLE_YEARS
        and due in period
        and (each.creation_date or due) in period
    ]
    newest = sorted({due for due, _ in crons}, reverse=True)[:CHECKED_FIRINGS]
    # What was created later for a tick is a retry, or that of a second scheduler.
    created = {due: [moment for each, moment in crons if each == due and moment] for due in newest}
    latenesses = tuple(min(moments) - due for due, moments in created.items() if moments)
    return Evidence(instance, tuple(Firing(period.cron, due) for due in newest), latenesses)


def timezone_row(evidence: Sequence[Evidence], timezone: str, looked_at: str) -> Row:
    """Return whether the history supports the connection's time zone, and which other it supports.

    :param timezone: that of the connection (IANA name)
    """
    check = "time zone"
    number = sum(len(each.firings) for each in evidence)
    looked_at = f"{counted(number, 'tick')} of {counted(len(evidence), 'instance')}; {looked_at}"
    if not evidence:
        means = (
            "No execution shows in which time zone the platform reads crons: none of type CRON since an instance was "
            "last changed. A wrong zone would run batches twice."
        )
        advice = f"Compare one tick on the platform's console with its cron; now {timezone} is assumed."
        return Row(check, Result.UNKNOWN, f"{timezone}: no evidence", means, advice, looked_at)
    contradicting = [each for each in evidence if each.contradicts(timezone)]
    if not contradicting:
        return _supported_row(evidence, timezone, looked_at)
    ids = names([each.instance.id for each in contradicting])
    found = (
        f"{timezone} is contradicted by {len(contradicting)} of {counted(len(evidence), 'instance')} ({ids})"
    )
    means = "Scheduled runs of these create nothing and fail: with a wrong zone every batch would run twice."
    best, remaining = _best_zone(evidence, timezone)
    if best is None or len(remaining) >= len(contradicting):
        advice = (
            "No time zone fits better. Look at these instances on the platform: their executions of type CRON may "
            "have been created by hand, or by another scheduler."
        )
        return Row(check, Result.TO_DO, found, means, advice, looked_at)
    found += f"; {best} matches {'all' if not remaining else len(evidence) - len(remaining)}"
    advice = f"Set timezone to {best}."
    if remaining:
        advice += f" Then look at {names([each.instance.id for each in remaining])}: no zone fits these too."
    return Row(check, Result.TO_DO, found, means, advice, looked_at)


def _supported_row(evidence: Sequence[Evidence], timezone: str, looked_at: str) -> Row:
    moments = [firing.moment for each in evidence for firing in each.firings]
    matching = [
        name
        for name in ("UTC", *WELL_KNOWN_ZONES)
        if name != timezone and not any(each.contradicts(name) for each in evidence)
    ]
    differing = [name for name in matching if not _agree(name, timezone, moments)]
    alike = [name for name in matching if name not in differing and not _agree(name, timezone, SOLSTICES)]
    found = f"{timezone} matches all"
    if differing:
        means = f"The crons fire too often to tell zones apart: {names(differing)} match too."
        advice = "Compare one tick of a daily cron on the platform's console."
        return Row("time zone", Result.NOTE, found, means, advice, looked_at)
    means = "Ticks are where Airflow expects them."
    if alike or (_agree_among(moments, timezone) and not _agree_among(SOLSTICES, timezone)):
        such_as = f", such as {names(alike)}," if alike else ""
        means += (
            " The history has no change of clocks yet: a zone with the same time and another summer time"
            f"{such_as} would match too."
        )
    return Row("time zone", Result.OK, found, means, looked_at=looked_at)


def _agree(name: str, other: str, moments: Sequence[datetime]) -> bool:
    """Whether two time zones show the same time at these moments."""
    return all(_offset(name, each) == _offset(other, each) for each in moments)


def _agree_among(moments: Sequence[datetime], timezone: str) -> bool:
    """Whether the clocks of a time zone are set alike at these moments."""
    return len({_offset(timezone, each) for each in moments}) == 1


def _offset(timezone: str, moment: datetime) -> timedelta | None:
    return moment.astimezone(zone_of(timezone)).utcoffset()


def _best_zone(evidence: Sequence[Evidence], timezone: str) -> tuple[str | None, list[Evidence]]:
    """Return the time zone that the fewest instances contradict, and these."""
    judged = evidence[:MOST_INSTANCES]
    exact = common_timezone([firing for each in judged for firing in each.firings])
    if exact is not None:
        return exact, [each for each in evidence if each.contradicts(exact)]
    best, fewest = None, len(judged) + 1
    for name in _differing_zones([firing.moment for each in judged for firing in each.firings]):
        against = _number_against(judged, name, fewest)
        if name != timezone and against < fewest:
            best, fewest = name, against
        if fewest == 0:
            break
    return best, [each for each in evidence if best is not None and each.contradicts(best)]


def _differing_zones(moments: Sequence[datetime]) -> list[str]:
    """Return a time zone for each way in which clocks were set at these moments, and a day before each."""
    by_offsets: dict[tuple[timedelta | None, ...], str] = {}
    looked_at = sorted({moment - before for moment in moments for before in (timedelta(0), DAY)})
    for name in ("UTC", *WELL_KNOWN_ZONES, *sorted(available_timezones())):
        by_offsets.setdefault(tuple(_offset(name, each) for each in looked_at), name)
    return list(by_offsets.values())


def _number_against(evidence: Sequence[Evidence], timezone: str, limit: int) -> int:
    """Return how many instances contradict a zone; the counting stops at ``limit``."""
    number = 0
    for each in evidence:
        number += each.contradicts(timezone)
        if number >= limit:
            break
    return number


def grace_row(evidence: Sequence[Evidence], looked_at: str) -> Row:
    """Return how long after its tick the platform creates an execution."""
    check = "platform_grace"
    late = sorted(
        ((lateness, each.instance.id) for each in evidence for lateness in each.latenesses), reverse=True
    )
    looked_at = (
        f"{counted(len(late), 'tick')} of {counted(len({key for _, key in late}), 'instance')}; {looked_at}"
    )
    if not late:
        means = "No execution shows how long after its tick the platform creates it."
        return Row(check, Result.UNKNOWN, "no evidence", means, looked_at=looked_at)
    latest, slowest = late[0]
    if latest <= timedelta(0):
        found = f"executions are created {readable(-latest)} before their tick, or earlier"
        return Row(check, Result.OK, found, "Airflow adopts each at its tick.", looked_at=looked_at)
    found = f"executions are created at the latest {readable(latest)} after their tick (instance {slowest})"
    default = readable(DEFAULT_PLATFORM_GRACE)
    if latest <= DEFAULT_PLATFORM_GRACE:
        means = f"Airflow leaves the platform {default} for each tick, and adopts its execution."
        return Row(check, Result.OK, found, means, looked_at=looked_at)
    too_late = sum(lateness > DEFAULT_PLATFORM_GRACE for lateness, _ in late)
    if too_late <= EXCEPTIONS * len(late):
        means = f"Only {counted(too_late, 'tick')} of these came later than the default of {default}."
        return Row(check, Result.NOTE, found, means, looked_at=looked_at)
    means = (
        f"With the default of {default}, Airflow creates an execution before the platform does. If Airflow created "
        "these, since the platform does not fire, nothing ran twice."
    )
    minutes = -(-latest * 1.5 // timedelta(minutes=1))
    advice = f"Set platform_grace to timedelta(minutes={minutes:g}); to timedelta(0) if the platform fires nothing."
    return Row(check, Result.TO_DO, found, means, advice, looked_at)
