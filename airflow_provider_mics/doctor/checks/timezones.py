"""Which time zone the history of all instances supports, judged as the tasks judge that of one.

See ``core/exactly_once/cron_evidence.py``: an instance contradicts a zone where more than a quarter of its newest ticks
do not match the cron that was certainly in force then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import dropwhile, takewhile

from airflow_provider_mics.api.cron_syntax import cron_problem
from airflow_provider_mics.api.field_types import ExecutionType
from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.api.progress import utc
from airflow_provider_mics.core.exactly_once.cron_evidence import (
    CHECKED_FIRINGS,
    EXCEPTIONS,
    MOST_FIRINGS,
    periods_in_force,
)
from airflow_provider_mics.core.planning.cron_ticks import WELL_KNOWN_ZONES, Cron, Firing
from airflow_provider_mics.core.planning.cron_timezones import FEWEST_FIRINGS, fitting_zones, offset
from airflow_provider_mics.doctor.checks.rows import Result, Row, counted, names

MOST_INSTANCES = 20
"""How many instances are compared with all time zones: those with the most evidence."""
MOST_COMPARED = 400
"""How many ticks of all these together."""
SHOWN_ZONES = 4

PLAUSIBLE_YEARS = range(1990, 2200)
"""A date of another year is no tick of a platform, and time zones are not known for it."""
SOLSTICES = (datetime(2026, 6, 21, tzinfo=UTC), datetime(2026, 12, 21, tzinfo=UTC))
"""Days of summer time and of winter time, in either hemisphere."""


@dataclass(frozen=True)
class Evidence:
    """The newest ticks of one instance, newest first, and how long after each its first execution was created.

    Of the time zone of the settings the newest are judged, as the tasks do; another one has to fit them all.
    """

    instance: Instance
    firings: tuple[Firing, ...]
    latenesses: tuple[timedelta, ...]

    @property
    def judged(self) -> tuple[Firing, ...]:
        return self.firings[:CHECKED_FIRINGS]

    def contradicts(self, timezone: str) -> bool:
        return len(missed(self.judged, timezone)) > EXCEPTIONS * len(self.judged)

    def newest_missed(self, timezone: str) -> tuple[Firing, ...]:
        """Return the ticks that do not match a time zone and are newer than all that do."""
        return tuple(takewhile(lambda each: missed([each], timezone), self.firings))

    def newest_matching(self, timezone: str) -> tuple[Firing, ...]:
        """Return the ticks that match a time zone, if these are newer than all that do not."""
        matching = tuple(dropwhile(lambda each: missed([each], timezone), reversed(self.firings)))
        return () if missed(matching, timezone) else matching


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
    newest = sorted({due for due, _ in crons}, reverse=True)[:MOST_FIRINGS]
    # What was created later for a tick is a retry, or that of a second scheduler.
    created = {
        due: [moment for each, moment in crons if each == due and moment] for due in newest[:CHECKED_FIRINGS]
    }
    latenesses = tuple(min(moments) - due for due, moments in created.items() if moments)
    return Evidence(instance, tuple(Firing(period.cron, due) for due in newest), latenesses)


def timezone_row(evidence: Sequence[Evidence], timezone: str, looked_at: str) -> Row:
    """Return whether the history supports the connection's time zone, and which other it supports.

    :param timezone: that of the connection (IANA name)
    """
    check = "time zone"
    number = sum(len(each.judged) for each in evidence)
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
    better, advice = _better_zone(evidence, timezone)
    return Row(check, Result.TO_DO, found + better, means, advice, looked_at)


def _better_zone(evidence: Sequence[Evidence], timezone: str) -> tuple[str, str]:
    """Return what else fits a history that contradicts a time zone, as the end of a sentence, and what to do."""
    compared = evidence[:MOST_INSTANCES]
    share = max(CHECKED_FIRINGS, MOST_COMPARED // len(compared))
    firings = [firing for each in compared for firing in each.firings[:share]]
    zones = fitting_zones(firings)
    gained = len(missed(firings, timezone)) - zones.missed
    if zones.missed and (newest := _newest_matching(evidence, timezone)):
        return "", (
            f"Nothing, if the platform reads crons in {timezone} since {utc(newest[-1].moment)}: the newest "
            f"{len(newest)} ticks match, and no time zone matches those before too."
        )
    if gained <= 0:
        return "", _advice_without_zone(evidence, timezone)
    named = names(list(zones.names), SHOWN_ZONES)
    if not zones.show_one_time:
        return f"; {named} match alike", "Compare one tick of a daily cron on the platform's console."
    best, *others = zones.names
    remaining = [each.instance.id for each in evidence if each.contradicts(best)]
    better = f"; {best} matches {len(evidence) - len(remaining) if remaining else 'all'}"
    if gained < FEWEST_FIRINGS:
        few = counted(gained, "tick")
        return (
            better,
            f"Compare one more tick on the platform's console: {few} may have been created by hand.",
        )
    advice = f"Set timezone to {best}."
    if others:
        advice += f" {names(others, SHOWN_ZONES)} had the same time then: if the platform is there, set that."
    if remaining:
        advice += f" Then look at {names(remaining)}: no zone fits these too."
    return better, advice


def _newest_matching(evidence: Sequence[Evidence], timezone: str) -> list[Firing]:
    """Return the newest ticks of the instances that contradict a time zone, newest first, if they all match it."""
    found: list[Firing] = []
    for each in evidence:
        if each.contradicts(timezone):
            newest = each.newest_matching(timezone)
            if len(newest) < FEWEST_FIRINGS:
                return []
            found += newest
    return sorted(found, key=lambda each: each.moment, reverse=True)


def _advice_without_zone(evidence: Sequence[Evidence], timezone: str) -> str:
    """Return what to do where no time zone fits the whole history better."""
    newest = [firing for each in evidence for firing in each.newest_missed(timezone)][:MOST_COMPARED]
    has_changed = FEWEST_FIRINGS <= len(newest) < sum(len(each.firings) for each in evidence)
    zones = fitting_zones(newest if has_changed else [])
    if has_changed and not zones.missed and zones.show_one_time:
        since = min(each.moment for each in newest)
        return (
            f"The newest {len(newest)} ticks, since {utc(since)}, match {names(list(zones.names), SHOWN_ZONES)}: if "
            "the platform reads crons in another time zone since then, set timezone to it."
        )
    return (
        "No time zone fits better. Look at these instances on the platform: their executions of type CRON may "
        "have been created by hand, or by another scheduler."
    )


def _supported_row(evidence: Sequence[Evidence], timezone: str, looked_at: str) -> Row:
    moments = [firing.moment for each in evidence for firing in each.judged]
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
    return all(offset(name, each) == offset(other, each) for each in moments)


def _agree_among(moments: Sequence[datetime], timezone: str) -> bool:
    """Whether the clocks of a time zone are set alike at these moments."""
    return len({offset(timezone, each) for each in moments}) == 1


def missed(firings: Iterable[Firing], timezone: str) -> list[Firing]:
    """Return the ticks that do not match a time zone."""
    return [each for each in firings if not Cron(each.cron, timezone).could_fire_at(each.moment)]
