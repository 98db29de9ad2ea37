"""Which time zones fit what the platform fired. Several may: a history need not tell them apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import available_timezones

from airflow_provider_mics.api.cron_syntax import cron_problem
from airflow_provider_mics.core.planning.cron_ticks import (
    DAY,
    WELL_KNOWN_ZONES,
    Cron,
    Firing,
    zone_of,
)

FEWEST_FIRINGS = 3
"""Of fewer, a single execution that somebody created by hand could name a time zone."""
YEAR = tuple(week * 7 * DAY for week in range(53))
"""Time zones whose clocks are set alike at each of these are one to a cron."""


@dataclass(frozen=True)
class FittingZones:
    """The time zones that miss the fewest of some firings.

    :param missed: how many firings do not match in them
    :param names: one zone for each way of setting clocks (IANA names), the best known first
    :param show_one_time: whether all of them showed the same time at the firings, so that only clocks of other days
        tell them apart
    """

    missed: int
    names: tuple[str, ...]
    show_one_time: bool

    @property
    def is_clear(self) -> bool:
        """Whether no other time zone fits as well."""
        return len(self.names) == 1


def fitting_zones(firings: Sequence[Firing], candidates: Sequence[str] = ()) -> FittingZones:
    """Return the time zones in which the fewest firings are at a moment at which their cron cannot fire.

    Zones without a region (``EST``, ``Etc/GMT+5``) are no candidates, except UTC and ``candidates``.

    :param candidates: named before the well-known ones if they fit
    """
    firings = [each for each in firings if cron_problem(each.cron) is None]
    if not firings:
        return FittingZones(0, (), show_one_time=True)
    moments = sorted({each.moment for each in firings})
    names = _names(candidates)
    looked_at = sorted({moment - before for moment in moments for before in (timedelta(0), DAY)})
    fewest, fitting = len(firings) + 1, list[str]()
    for alike in _by_clocks(names, looked_at):
        missed = _missed(firings, alike[0], fewest)
        if missed < fewest:
            fewest, fitting = missed, []
        if missed == fewest:
            fitting += alike
    order = {name: position for position, name in enumerate(names)}
    year = [moments[-1] - before for before in YEAR]
    distinct = [alike[0] for alike in _by_clocks(sorted(fitting, key=order.__getitem__), year)]
    show_one_time = len(_by_clocks(distinct, moments)) == 1
    return FittingZones(fewest, tuple(distinct), show_one_time)


def offset(name: str, moment: datetime) -> timedelta | None:
    """Return how far the clocks of a time zone are ahead of UTC at a moment; None of an unknown zone."""
    return moment.astimezone(zone).utcoffset() if (zone := zone_of(name)) is not None else None


def _names(candidates: Sequence[str]) -> list[str]:
    known = (name for name in candidates if zone_of(name) is not None)
    others = (name for name in sorted(available_timezones()) if "/" in name and not name.startswith("Etc/"))
    return list(dict.fromkeys(("UTC", *known, *WELL_KNOWN_ZONES, *others)))


def _by_clocks(names: Iterable[str], moments: Sequence[datetime]) -> list[list[str]]:
    """Group time zones by how their clocks are set at these moments."""
    groups: dict[tuple[timedelta | None, ...], list[str]] = {}
    for name in names:
        groups.setdefault(tuple(offset(name, each) for each in moments), []).append(name)
    return list(groups.values())


def _missed(firings: Iterable[Firing], timezone: str, limit: int) -> int:
    """Return how many firings do not match in a time zone; the counting stops beyond ``limit``."""
    crons: dict[str, Cron] = {}
    missed = 0
    for each in firings:
        cron = crons.setdefault(each.cron, Cron(each.cron, timezone))
        missed += not cron.could_fire_at(each.moment)
        if missed > limit:
            break
    return missed
