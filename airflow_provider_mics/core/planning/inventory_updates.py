"""What the platform says of its instances becomes the next inventory.

Which instances are kept, and since when each schedule is in force.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from airflow_provider_mics.api.cron_syntax import collapse_spaces
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.core.planning.cron_ticks import CronPeriod
from airflow_provider_mics.core.planning.inventory import Inventory, UnfinishedListing, sort_key

MAX_CLOCK_SKEW = timedelta(minutes=5)
"""How far the platform's clock may be ahead of ours. A modification later than that cannot be dated."""
GONE_KEPT_FOR = timedelta(days=90)
"""How long the schedule of an instance that is gone is kept, in case that it returns."""


@dataclass(frozen=True)
class Listing:
    """What the platform said of its instances.

    ``instances`` are those that it gave, archived ones too. ``gone`` are the ids of those that it says do not exist,
    and ``checked`` those that it gave no clear answer on. ``unfinished`` is where reading is to go on, or None.
    ``failure`` is why nothing new was read, or None.
    """

    instances: tuple[Instance, ...]
    gone: frozenset[str] = frozenset()
    checked: frozenset[str] = frozenset()
    unfinished: UnfinishedListing | None = None
    failure: MicsError | None = None


def updated_inventory(
    previous: Inventory | None,
    listing: Listing,
    *,
    host: str,
    organisation_id: str | None,
    timezone: str,
    console_url: str,
    fetched_at: datetime,
    source: str | None = None,
) -> Inventory:
    """Return the inventory with what a listing says, and since when each schedule is in force.

    Only an instance that is archived, or that the platform says does not exist, is left out: not one that the list
    lacks. An unchanged schedule keeps its moment, whatever else was edited. A changed schedule is in force since the
    instance was last modified. If that cannot be the moment of the change, it is in force since now, because a past
    tick must never run.
    """
    if previous is not None and not previous.is_of(host, organisation_id):
        previous = None
    if listing.failure is not None and previous is not None:
        return replace(previous, unfinished=listing.unfinished)
    known = {} if previous is None else {each.id: each for each in previous.instances}
    listed = {each.id: each for each in listing.instances}
    present = [
        each for each in (known | listed).values() if not each.archived and each.id not in listing.gone
    ]
    instances = tuple(sorted(present, key=sort_key))
    since = {each.id: _in_force_since(each, previous, timezone, fetched_at) for each in instances}
    gone = _gone(previous, listing, since, fetched_at)
    checked_before = {} if previous is None else previous.checked_at
    checked_now = dict.fromkeys(listed.keys() | listing.checked, fetched_at)
    checked_at = {**checked_before, **checked_now}
    whole_before = None if previous is None else previous.whole_at
    return Inventory(
        organisation_id,
        timezone,
        console_url,
        fetched_at,
        instances,
        since | {each: previous.schedule_since[each] for each in gone if previous is not None},
        host,
        source,
        fetched_at if listing.unfinished is None else whole_before,
        listing.unfinished,
        {each: checked_at.get(each, fetched_at) for each in (*since, *gone)},
        gone,
        {
            each.id: _cron_periods(each, previous, since[each.id], is_listed=each.id in listed)
            for each in instances
        },
    )


def _cron_periods(
    instance: Instance, previous: Inventory | None, since: datetime, *, is_listed: bool
) -> tuple[CronPeriod, ...]:
    """Return when the instance's crons were in force. A period ends when its cron was last seen in a list."""
    known = None if previous is None else previous.get(instance.id)
    if previous is None or known is None:
        return (CronPeriod(instance.cron, since),) if instance.cron else ()
    periods = previous.cron_periods.get(instance.id, ())
    if not periods and known.cron:
        periods = (CronPeriod(known.cron, previous.schedule_since[instance.id]),)
    *before, last = periods or (None,)
    if last is None:
        return (CronPeriod(instance.cron, since),) if instance.cron else ()
    seen_at = previous.checked_at.get(instance.id, previous.fetched_at)
    ended = last if last.until is not None else replace(last, until=seen_at)
    if not is_listed:
        return (*before, ended)
    if last.is_of(instance.cron):
        return (*before, replace(last, until=None))
    return (ended, CronPeriod(instance.cron, since)) if instance.cron else (*before, ended)


def _gone(
    previous: Inventory | None, listing: Listing, present: Mapping[str, datetime], now: datetime
) -> dict[str, tuple[Instance, datetime]]:
    """Return the instances that are gone, by id, with the moment, less those that went long ago."""
    if previous is None:
        return {}
    gone = dict(previous.gone)
    gone |= {each.id: (each, now) for each in previous.instances if each.id in listing.gone}
    archived = {each.id for each in listing.instances if each.archived}
    return {
        key: gone[key]
        for key in sorted(gone, key=lambda key: (len(key), key))
        if key not in present and key not in archived and now - gone[key][1] < GONE_KEPT_FOR
    }


def _in_force_since(
    instance: Instance, previous: Inventory | None, timezone: str, fetched_at: datetime
) -> datetime:
    earliest = None if previous is None else previous.whole_at
    if previous is not None:
        known = previous.get(instance.id) or previous.gone.get(instance.id, (None, None))[0]
        if known is not None:
            if _schedule(known) == _schedule(instance):
                is_same_zone = previous.timezone == timezone
                return previous.schedule_since[instance.id] if is_same_zone else fetched_at
            earliest = previous.checked_at.get(instance.id, previous.fetched_at)
    modified = instance.last_modified_ts
    if (
        modified is None
        or modified > fetched_at + MAX_CLOCK_SKEW
        or (earliest is not None and modified < earliest)
    ):
        return fetched_at
    return modified


def _schedule(instance: Instance) -> tuple[str, str]:
    return collapse_spaces(instance.cron or ""), str(instance.cron_status or "")
