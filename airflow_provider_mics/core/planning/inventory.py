"""Asking the platform within a time that ends: whoever parses DAG files is not to be kept waiting."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from airflow_provider_mics.api.calls import Call, Job, Now, Step, Steps, flow
from airflow_provider_mics.api.errors import MicsError, MicsTimeoutError
from airflow_provider_mics.api.instances import list_instances
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.api.responses import Page

T = TypeVar("T")


@flow
def within(job: Job[T], limit: timedelta, note: Callable[[Any], object] | None = None) -> Steps[T]:
    """What ``job`` gives, unless it still has something to ask when ``limit`` has passed.

    The last call may go on beyond the limit, by what the client's own timeouts allow it. ``note`` is told the answer
    of each call.

    :raises MicsTimeoutError: it did not come to its end in time
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
            raise MicsTimeoutError(f"{step}: not done within {limit.total_seconds():g} s")
        try:
            result: Any = yield step
        except MicsError as error:
            resume = partial(steps.throw, error)
        else:
            if note is not None and isinstance(step, Call):
                note(result)
            resume = partial(steps.send, result)


PAGE_SIZE = 500


@dataclass(frozen=True)
class Listing:
    """Instances, archived ones too. Not complete is a listing that gave fewer than it said there are."""

    instances: tuple[Instance, ...]
    is_complete: bool = True


@flow
def listed_within(limit: timedelta) -> Steps[Listing]:
    """The instances of the client's organisation.

    :raises MicsTimeoutError: they could not be listed in time
    """
    promised: list[int | None] = [None]

    def note(answer: Any) -> None:
        if isinstance(answer, Page):
            promised.append(answer.total)

    job = list_instances(include_archived=True, page_size=PAGE_SIZE)
    instances = yield from within(job, limit, note)
    return Listing(tuple(instances), is_complete=len(instances) >= (promised[-1] or 0))


CLOCKS_APART = timedelta(minutes=5)

"""How far the platform's clock may be ahead of ours: a change that it puts into our future is still when it says."""

FORMAT = "mics-inventory"

VERSION = 1


class UnreadableInventory(MicsError):
    """These bytes are no inventory, or one of another version, or not all of one."""


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


class _Line(BaseModel):
    model_config = ConfigDict(defer_build=True)

    id: str
    schedule_since: AwareDatetime
    instance: Instance


@dataclass(frozen=True)
class Inventory:
    """The instances of an organisation as they were listed; archived ones are not among them.

    ``timezone`` is the one its crons are read in (IANA name), ``fetched_at`` when the listing had ended, ``host`` the
    address of the platform that was asked.
    ``schedule_since`` says by instance id since when its present cron, status and zone hold (UTC).
    """

    organisation_id: str | None
    timezone: str
    console_url: str
    fetched_at: datetime
    instances: tuple[Instance, ...] = ()
    schedule_since: Mapping[str, datetime] = field(default_factory=dict)
    host: str | None = None

    def is_of(self, host: str, organisation_id: str | None) -> bool:
        """Whether it is of this organisation on this platform, as far as it says."""
        return self.organisation_id == organisation_id and self.host in (None, host)

    def get(self, instance_id: str) -> Instance | None:
        """The instance of an id, or None."""
        return self._by_id.get(instance_id)

    @cached_property
    def _by_id(self) -> dict[str, Instance]:
        return {instance.id: instance for instance in self.instances}

    def to_bytes(self) -> bytes:
        """The inventory as JSON lines; the same inventory always gives the same bytes."""
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
            }
            for instance in self.instances
        ]
        return b"".join(_json_line(line) for line in (header, *lines))

    @classmethod
    def from_bytes(cls, content: bytes) -> Inventory:
        """The inventory of which these bytes are.

        :raises UnreadableInventory: they are of none, or of one that is cut off
        """
        first, *lines = content.splitlines() or [b""]
        header = _header(first)
        if len(lines) != header.count:
            raise UnreadableInventory(f"it holds {len(lines)} instances and should hold {header.count}")
        return cls._of(header, [_line(line) for line in lines])

    @classmethod
    def of_one(cls, content: bytes, instance_id: str) -> Inventory:
        """The inventory of which these bytes are, with this one instance, or with none where it has no such.

        :raises UnreadableInventory: they are of none
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
    """The inventory of a listing. What ``previous`` knew decides since when each schedule is in force.

    A schedule that is as it was keeps its moment, whatever else was edited. A new one is in force since the instance
    was last modified; where that cannot be the moment of the change, since now: a past tick must never fire.
    Only a complete listing takes away what ``previous`` had.
    """
    if previous is not None and not previous.is_of(host, organisation_id):
        previous = None
    kept = {} if previous is None or listing.is_complete else {each.id: each for each in previous.instances}
    by_id = kept | {each.id: each for each in listing.instances}
    present = [each for each in by_id.values() if not each.archived]
    instances = tuple(sorted(present, key=lambda each: (len(each.id), each.id)))
    since = {each.id: _in_force_since(each, previous, timezone, fetched_at) for each in instances}
    return Inventory(organisation_id, timezone, console_url, fetched_at, instances, since, host)


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
        or modified > fetched_at + CLOCKS_APART
        or (earliest is not None and modified < earliest)
    ):
        return fetched_at
    return modified


def _schedule(instance: Instance) -> tuple[str, str]:
    return " ".join((instance.cron or "").split()), str(instance.cron_status or "")


def _header(line: bytes) -> _Header:
    try:
        header = _Header.model_validate_json(line)
    except ValidationError:
        raise UnreadableInventory("it is no inventory of mediarithmics instances") from None
    if (header.format, header.version) != (FORMAT, VERSION):
        raise UnreadableInventory(f"it is {header.format} {header.version}, not {FORMAT} {VERSION}")
    return header


def _line(line: bytes) -> _Line:
    try:
        return _Line.model_validate_json(line)
    except ValidationError:
        raise UnreadableInventory("one of its instances cannot be read") from None


def _json_line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
