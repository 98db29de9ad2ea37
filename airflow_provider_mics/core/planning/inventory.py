"""The instances of an organisation, and how they are kept between two parses.

An inventory is stored as JSON lines: a header, then one line per instance, sorted by id. One instance of thousands
can be read without parsing the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.core.planning.cron_ticks import CronPeriod

FORMAT = "mics-inventory"
VERSION = 1
_ID = re.compile(rb'\{"id":"([A-Za-z0-9_-]+)",')


class UnreadableInventoryError(MicsError):
    """The bytes are not an inventory, have another format version, or are cut off."""


class UnfinishedListing(BaseModel):
    """A list that was read in part: the offset and the size of the next page.

    ``without_line`` are the ids that the list gave and that have no line in the inventory, since they are archived.
    """

    model_config = ConfigDict(defer_build=True, frozen=True)

    started_at: AwareDatetime
    start: int
    page_size: int
    without_line: tuple[str, ...] = ()


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
    source: str | None = None
    whole_at: AwareDatetime | None = None
    unfinished: UnfinishedListing | None = None


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
    checked_at: AwareDatetime | None = None
    gone_at: AwareDatetime | None = None
    cron_periods: tuple[_Period, ...] = ()


@dataclass(frozen=True)
class Inventory:
    """The instances of an organisation, without archived ones.

    ``timezone`` is the time zone of the crons (IANA name). ``fetched_at`` is when the platform was last asked (UTC),
    and ``whole_at`` when the whole list was last read, or None. ``unfinished`` is where a list that is not read to its
    end goes on. ``host`` is the address of the platform, ``source`` names the settings that the inventory was made
    with.

    By instance id: ``schedule_since`` is the moment since which the present cron, status and time zone are in force
    (UTC), ``checked_at`` when the platform last showed the instance or was asked for it. ``gone`` are the instances
    that the platform said do not exist, with the moment; should one return, its schedule is still known.
    ``cron_periods`` says when its present cron and the one before it were in force: by these, and not by the present
    cron alone, past executions are judged.
    """

    organisation_id: str | None
    timezone: str
    console_url: str
    fetched_at: datetime
    instances: tuple[Instance, ...] = ()
    schedule_since: Mapping[str, datetime] = field(default_factory=dict)
    host: str | None = None
    source: str | None = None
    whole_at: datetime | None = None
    unfinished: UnfinishedListing | None = None
    checked_at: Mapping[str, datetime] = field(default_factory=dict)
    gone: Mapping[str, tuple[Instance, datetime]] = field(default_factory=dict)
    cron_periods: Mapping[str, tuple[CronPeriod, ...]] = field(default_factory=dict)
    unreadable_lines: int = field(default=0, compare=False)

    @property
    def is_empty_start(self) -> bool:
        """Whether nothing is known yet but how to read the list."""
        return not self.instances and self.whole_at is None

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
        header = _Header(
            format=FORMAT,
            version=VERSION,
            organisation_id=self.organisation_id,
            timezone=self.timezone,
            console_url=self.console_url,
            fetched_at=self.fetched_at,
            count=len(self.instances) + len(self.gone),
            host=self.host,
            source=self.source,
            whole_at=self.whole_at,
            unfinished=self.unfinished,
        )
        present = [self._line(each, None) for each in self.instances]
        gone = [self._line(instance, gone_at) for instance, gone_at in self.gone.values()]
        return b"".join(_json_line(line) for line in (header.model_dump(mode="json"), *present, *gone))

    def _line(self, instance: Instance, gone_at: datetime | None) -> dict[str, object]:
        moments = {"checked_at": self.checked_at.get(instance.id), "gone_at": gone_at}
        return {
            "id": instance.id,
            "schedule_since": self.schedule_since[instance.id].isoformat(),
            "instance": instance.to_json(),
            "cron_periods": [
                _Period(cron=each.cron, since=each.since, until=each.until).model_dump(mode="json")
                for each in self.cron_periods.get(instance.id, ())
            ],
            **{name: moment.isoformat() for name, moment in moments.items() if moment is not None},
        }

    @classmethod
    def from_bytes(cls, content: bytes, has: Callable[[str], bool] | None = None) -> Inventory:
        """Read what `to_bytes` wrote. Lines that cannot be read, or are missing, are counted and left out.

        :param has: whether the instance with an id is to be read; by default all are
        :raises UnreadableInventoryError: the bytes are not an inventory
        """
        first, *lines = content.split(b"\n")
        header, lines = _header(first), [line for line in lines if line]
        if has is not None:
            wanted = [line for line in lines if (key := _id_of(line)) is None or has(key)]
            header = header.model_copy(update={"count": header.count - (len(lines) - len(wanted))})
            lines = wanted
        return cls._of(header, [line for line in map(_line, lines) if line is not None])

    @classmethod
    def of_header(cls, content: bytes) -> Inventory:
        """Read an inventory without its instances.

        :raises UnreadableInventoryError: the bytes are not an inventory
        """
        header = _header(content.partition(b"\n")[0])
        return cls._of(header.model_copy(update={"count": 0}), [])

    @classmethod
    def of_one(cls, content: bytes, instance_id: str) -> Inventory:
        """Read an inventory with one instance only; with no instance if it does not have this one.

        :raises UnreadableInventoryError: the bytes are not an inventory
        """
        header = _header(content.partition(b"\n")[0]).model_copy(update={"count": 0})
        start = content.find(b'\n{"id":' + json.dumps(instance_id).encode() + b",")
        line = None if start < 0 else _line(content[start + 1 :].partition(b"\n")[0])
        return cls._of(header, [] if line is None or line.gone_at is not None else [line])

    def filled_in_from(self, other: Inventory) -> Inventory:
        """Return the inventory with the instances that only another inventory of the same organisation has."""
        missing = {each.id: each for each in other.instances if each.id not in self._by_id}
        missing = {key: each for key, each in missing.items() if key not in self.gone}
        return replace(
            self,
            instances=tuple(sorted((*self.instances, *missing.values()), key=sort_key)),
            schedule_since={**other.schedule_since, **self.schedule_since},
            whole_at=self.whole_at or other.whole_at,
            checked_at={**other.checked_at, **self.checked_at},
            cron_periods={**other.cron_periods, **self.cron_periods},
            gone={**{key: each for key, each in other.gone.items() if key not in self._by_id}, **self.gone},
        )

    @classmethod
    def _of(cls, header: _Header, lines: list[_Line]) -> Inventory:
        # Before it was kept, every inventory was whole.
        lines = list({line.id: line for line in lines}.values())
        is_old = "whole_at" not in header.model_fields_set
        lost = max(0, header.count - len(lines))
        fetched_at = header.fetched_at.astimezone(UTC)
        whole_at = fetched_at if is_old else header.whole_at and header.whole_at.astimezone(UTC)
        return cls(
            organisation_id=header.organisation_id,
            timezone=header.timezone,
            console_url=header.console_url,
            fetched_at=fetched_at,
            instances=tuple(line.instance for line in lines if line.gone_at is None),
            schedule_since={line.id: line.schedule_since.astimezone(UTC) for line in lines},
            host=header.host,
            source=header.source,
            # An instance of a lost line is not new.
            whole_at=None if lost else whole_at,
            unfinished=header.unfinished,
            checked_at={line.id: (line.checked_at or fetched_at).astimezone(UTC) for line in lines},
            gone={line.id: (line.instance, line.gone_at.astimezone(UTC)) for line in lines if line.gone_at},
            cron_periods={
                line.id: tuple(CronPeriod(each.cron, each.since, each.until) for each in line.cron_periods)
                for line in lines
                if line.gone_at is None
            },
            unreadable_lines=lost,
        )


def sort_key(instance: Instance) -> tuple[int, str]:
    """Return the key that sorts instances by id, numbers by their value."""
    return len(instance.id), instance.id


def _header(line: bytes) -> _Header:
    try:
        header = _Header.model_validate_json(line)
    except ValidationError:
        raise UnreadableInventoryError("it is not an inventory of mediarithmics instances") from None
    if (header.format, header.version) != (FORMAT, VERSION):
        raise UnreadableInventoryError(f"it is {header.format} {header.version}, not {FORMAT} {VERSION}")
    return header


def _line(content: bytes) -> _Line | None:
    """Return a line, or None if it cannot be read: one bad line harms no other instance."""
    try:
        line = _Line.model_validate_json(content)
    except ValidationError:
        return None
    return line if line.id == line.instance.id else None


def _id_of(line: bytes) -> str | None:
    """Return the id at the beginning of a line, or None if it has none that can be read without the whole line."""
    found = _ID.match(line)
    return None if found is None else found[1].decode()


def _json_line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
