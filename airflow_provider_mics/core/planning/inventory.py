"""The instances of an organisation: how they are listed, and how they are kept between two parses.

An inventory is stored as JSON lines: a header, then one line per instance, sorted by id. One instance of thousands
can be read without parsing the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from airflow_provider_mics.api.calls import Call, Job, Now, Step, Steps, flow
from airflow_provider_mics.api.cron_syntax import collapse_spaces
from airflow_provider_mics.api.errors import MicsError, MicsTimeoutError
from airflow_provider_mics.api.instances import INSTANCES
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.api.paging import LARGE_PAGE_SIZE, list_with_completeness
from airflow_provider_mics.core.planning.cron_ticks import CronPeriod

T = TypeVar("T")


@flow
def within(job: Job[T], limit: timedelta) -> Steps[T]:
    """Run a call or flow with a time limit, so that a slow platform cannot stall DAG parsing.

    The limit is checked before each request. The last request may exceed it by the client's own timeouts.

    :raises MicsTimeoutError: the job still has a request to send when ``limit`` has passed
    """
    deadline: datetime = (yield Now()) + limit
    steps = iter(job)
    resume: Callable[[], Step] = partial(next, steps)
    while True:
        try:
            step = resume()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        if isinstance(step, Call) and (yield Now()) > deadline:
            raise MicsTimeoutError(f"{step}: timed out: not done within {limit.total_seconds():g} s")
        try:
            result: Any = yield step
        except MicsError as error:
            resume = partial(steps.throw, error)
        else:
            resume = partial(steps.send, result)


@dataclass(frozen=True)
class Listing:
    """The instances that a list gave, archived ones too, and whether it gave as many as its total says."""

    instances: tuple[Instance, ...]
    is_complete: bool = True


@flow
def listed_within(limit: timedelta) -> Steps[Listing]:
    """List the instances of the client's organisation, with a time limit.

    :raises MicsTimeoutError: the list was not read within ``limit``
    """
    query = {"organisation_id": None}
    listing = list_with_completeness(
        INSTANCES, Instance, lambda each: each.id, query, page_size=LARGE_PAGE_SIZE
    )
    instances, is_complete = yield from within(listing, limit)
    return Listing(tuple(instances), is_complete)


MAX_CLOCK_SKEW = timedelta(minutes=5)
"""How far the platform's clock may be ahead of ours. A modification later than that cannot be dated."""
FORMAT = "mics-inventory"
VERSION = 1


class UnreadableInventoryError(MicsError):
    """The bytes are not an inventory, have another format version, or are cut off."""


class _Header(BaseModel):
    model_config = ConfigDict(defer_build=True)

    format: str
    version: int
    organisation_id: str | None
    timezone: str
    console_url: str
    fetched_at: AwareDatetime
    count: int
    host: str | None = None


class _Period(BaseModel):
    model_config = ConfigDict(defer_build=True)

    cron: str
    since: AwareDatetime
    until: AwareDatetime | None = None


class _Line(BaseModel):
    model_config = ConfigDict(defer_build=True)

    id: str
    schedule_since: AwareDatetime
    instance: Instance
    cron_periods: tuple[_Period, ...] = ()


@dataclass(frozen=True)
class Inventory:
    """The instances of an organisation, without archived ones.

    ``timezone`` is the time zone of the crons (IANA name). ``fetched_at`` is when the list was read (UTC). ``host`` is
    the address of the platform. ``schedule_since`` has, by instance id, the moment since which the present cron,
    status and time zone are in force (UTC). ``cron_periods`` has, by instance id, when its present cron and the one
    before it were in force: by these, and not by the present cron alone, past executions are judged.
    """

    organisation_id: str | None
    timezone: str
    console_url: str
    fetched_at: datetime
    instances: tuple[Instance, ...] = ()
    schedule_since: Mapping[str, datetime] = field(default_factory=dict)
    host: str | None = None
    cron_periods: Mapping[str, tuple[CronPeriod, ...]] = field(default_factory=dict)

    def is_of(self, host: str, organisation_id: str | None) -> bool:
        """Whether the inventory belongs to this organisation and platform; an unknown platform counts as the same."""
        return self.organisation_id == organisation_id and self.host in (None, host)

    def get(self, instance_id: str) -> Instance | None:
        """Return the instance with this id, or None."""
        return self._by_id.get(instance_id)

    @cached_property
    def _by_id(self) -> dict[str, Instance]:
        return {instance.id: instance for instance in self.instances}

    def to_bytes(self) -> bytes:
        """Return the inventory as JSON lines. Equal inventories give equal bytes."""
        header = {
            "format": FORMAT,
            "version": VERSION,
            "organisation_id": self.organisation_id,
            "timezone": self.timezone,
            "console_url": self.console_url,
            "fetched_at": self.fetched_at.isoformat(),
            "count": len(self.instances),
            "host": self.host,
        }
        lines = [
            {
                "id": instance.id,
                "schedule_since": self.schedule_since[instance.id].isoformat(),
                "instance": instance.to_json(),
                "cron_periods": [
                    _Period(cron=each.cron, since=each.since, until=each.until).model_dump(mode="json")
                    for each in self.cron_periods.get(instance.id, ())
                ],
            }
            for instance in self.instances
        ]
        return b"".join(_json_line(line) for line in (header, *lines))

    @classmethod
    def from_bytes(cls, content: bytes) -> Inventory:
        """Read what `to_bytes` wrote.

        :raises UnreadableInventoryError: the bytes are not an inventory, or are cut off
        """
        first, *lines = content.splitlines() or [b""]
        header = _header(first)
        if len(lines) != header.count:
            raise UnreadableInventoryError(f"it holds {len(lines)} instances and should hold {header.count}")
        return cls._of(header, [_line(line) for line in lines])

    @classmethod
    def of_one(cls, content: bytes, instance_id: str) -> Inventory:
        """Read an inventory with one instance only; with no instance if it does not have this one.

        :raises UnreadableInventoryError: the bytes are not an inventory
        """
        header = _header(content[: content.find(b"\n") + 1])
        start = content.find(b'\n{"id":' + json.dumps(instance_id).encode() + b",")
        if start < 0:
            return cls._of(header, [])
        return cls._of(header, [_line(content[start + 1 : content.find(b"\n", start + 1)])])

    @classmethod
    def _of(cls, header: _Header, lines: list[_Line]) -> Inventory:
        return cls(
            organisation_id=header.organisation_id,
            timezone=header.timezone,
            console_url=header.console_url,
            fetched_at=header.fetched_at.astimezone(UTC),
            instances=tuple(line.instance for line in lines),
            schedule_since={line.id: line.schedule_since.astimezone(UTC) for line in lines},
            host=header.host,
            cron_periods={
                line.id: tuple(CronPeriod(each.cron, each.since, each.until) for each in line.cron_periods)
                for line in lines
            },
        )


def merged(
    listing: Listing,
    previous: Inventory | None,
    *,
    host: str,
    organisation_id: str | None,
    timezone: str,
    console_url: str,
    fetched_at: datetime,
) -> Inventory:
    """Merge a listing into the previous inventory, and determine since when each schedule is in force.

    An unchanged schedule keeps its moment, whatever else was edited. A changed schedule is in force since the instance
    was last modified. If that cannot be the moment of the change, it is in force since now, because a past tick must
    never run. Instances of ``previous`` are only removed by a complete listing.
    """
    if previous is not None and not previous.is_of(host, organisation_id):
        previous = None
    kept = {} if previous is None or listing.is_complete else {each.id: each for each in previous.instances}
    by_id = kept | {each.id: each for each in listing.instances}
    present = [each for each in by_id.values() if not each.archived]
    instances = tuple(sorted(present, key=lambda each: (len(each.id), each.id)))
    since = {each.id: _in_force_since(each, previous, timezone, fetched_at) for each in instances}
    listed = {each.id for each in listing.instances}
    periods = {
        each.id: _cron_periods(each, previous, since[each.id], is_listed=each.id in listed)
        for each in instances
    }
    return Inventory(organisation_id, timezone, console_url, fetched_at, instances, since, host, periods)


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
    ended = last if last.until is not None else replace(last, until=previous.fetched_at)
    if not is_listed:
        return (*before, ended)
    if last.is_of(instance.cron):
        return (*before, replace(last, until=None))
    return (ended, CronPeriod(instance.cron, since)) if instance.cron else (*before, ended)


def _in_force_since(
    instance: Instance, previous: Inventory | None, timezone: str, fetched_at: datetime
) -> datetime:
    modified = instance.last_modified_ts
    earliest = None if previous is None else previous.fetched_at
    if previous is not None:
        known = previous.get(instance.id)
        if known is not None and _schedule(known) == _schedule(instance):
            if previous.timezone == timezone:
                return previous.schedule_since[instance.id]
            return fetched_at
    if (
        modified is None
        or modified > fetched_at + MAX_CLOCK_SKEW
        or (earliest is not None and modified < earliest)
    ):
        return fetched_at
    return modified


def _schedule(instance: Instance) -> tuple[str, str]:
    return collapse_spaces(instance.cron or ""), str(instance.cron_status or "")


def _header(line: bytes) -> _Header:
    try:
        header = _Header.model_validate_json(line)
    except ValidationError:
        raise UnreadableInventoryError("it is not an inventory of mediarithmics instances") from None
    if (header.format, header.version) != (FORMAT, VERSION):
        raise UnreadableInventoryError(f"it is {header.format} {header.version}, not {FORMAT} {VERSION}")
    return header


def _line(line: bytes) -> _Line:
    try:
        return _Line.model_validate_json(line)
    except ValidationError:
        raise UnreadableInventoryError("one of its instances cannot be read") from None


def _json_line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
