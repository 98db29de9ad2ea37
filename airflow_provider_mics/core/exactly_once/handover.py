"""Decide who creates the execution of a tick: the platform, which fires an ACTIVE cron itself, or Airflow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_mics.api.calls import Log, Now, Sleep, Steps, flow
from airflow_provider_mics.api.errors import MicsError, MicsTimeoutError, MicsUncertainError
from airflow_provider_mics.api.executions import newest_execution
from airflow_provider_mics.api.field_types import CronStatus, ExecutionType
from airflow_provider_mics.api.instances import get_instance
from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.api.outages import OutageLog, backoff, is_outage, retry_through_outages
from airflow_provider_mics.api.progress import utc
from airflow_provider_mics.core.exactly_once.execution_search import list_until_match
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.core.exactly_once.submission import find_executions
from airflow_provider_mics.core.planning.cron_ticks import Cron, infer_timezone

DEFAULT_PLATFORM_GRACE = timedelta(minutes=2)
CHECKED_TICKS = 3
"""How many of the newest earlier ticks are checked against the cron and the time zone."""


@dataclass(frozen=True)
class TickContext:
    """What a DAG knows of the cron it runs on.

    :param cron: the instance's cron that is the DAG's schedule; None where the DAG has a schedule of its own
    :param timezone: IANA name of the time zone of ``cron``
    :param schedule_since: since when ``cron`` is in force (an aware datetime); None where that is not known
    :param platform_grace: how long after a tick the platform may create its execution; None means that Airflow never
        creates it
    """

    cron: str | None
    timezone: str
    schedule_since: datetime | None
    platform_grace: timedelta | None = DEFAULT_PLATFORM_GRACE


@dataclass(frozen=True)
class CreateNow:
    """The tick's execution exists, in ``existing``, or Airflow may create it now."""

    identity: ExecutionIdentity
    existing: tuple[Execution, ...]


@dataclass(frozen=True)
class WaitForPlatform:
    """The platform has until ``until`` (UTC) to create the tick's execution."""

    identity: ExecutionIdentity
    until: datetime


@dataclass(frozen=True)
class Skip:
    """The platform's own schedule no longer has this tick."""

    reason: str


TickDecision = CreateNow | WaitForPlatform | Skip


@flow
def decide_tick(
    identity: ExecutionIdentity, context: TickContext, *, give_up_at: datetime, grace_is_over: bool = False
) -> Steps[TickDecision]:
    """Decide who creates a tick's execution, from the present state of the instance and its executions.

    Outages are tolerated until ``give_up_at`` (UTC). ``grace_is_over`` ends the platform's grace early.

    :raises MicsError: the instance's history contradicts the cron or its time zone; the message names the time zone
        that would match, if there is one
    :raises MicsTimeoutError: the platform did not fire, and ``context.platform_grace`` is None
    """
    instance = yield from retry_through_outages(get_instance(identity.instance_id), give_up_at)
    cron = Cron(instance.cron, context.timezone) if instance.cron else None
    identity = identity.as_tick_of(cron)
    executions = yield from retry_through_outages(list_until_match(identity), give_up_at)
    existing = tuple(each for each in executions if identity.matches(each))
    tick = identity.expected_start_date
    reason = None if context.cron is None else _skip_reason(instance, cron, tick)
    # Pausing an instance cancels the executions that the platform had planned: that is no failure of this run.
    if existing and not (reason and all(each.canceled for each in existing)):
        return CreateNow(identity, existing)
    if reason:
        return Skip(reason)
    if cron is None or not instance.is_active or not cron.is_tick(tick):
        return CreateNow(identity, ())
    now = yield Now()
    grace = DEFAULT_PLATFORM_GRACE if context.platform_grace is None else context.platform_grace
    if not grace_is_over and now < tick + grace:
        return WaitForPlatform(identity, tick + grace)
    if context.platform_grace is None:
        raise MicsTimeoutError(
            f"{_label(instance)}: the platform did not fire the tick of {utc(tick)} by {utc(now)}. "
            "No execution created: with platform_grace=None, only the platform creates it"
        )
    _check_history(instance, cron, context, tick, executions)
    return CreateNow(identity, ())


def _skip_reason(instance: Instance, cron: Cron | None, tick: datetime) -> str | None:
    """Return why a scheduled run has nothing to run: the platform's schedule changed after the DAG was built."""
    if instance.archived:
        return f"{_label(instance)} is archived on the platform: nothing to run"
    if cron is None:
        return f"{_label(instance)} no longer has a cron on the platform: nothing to run at {utc(tick)}"
    if instance.cron_status == CronStatus.PAUSED:
        return f"{_label(instance)} is PAUSED on the platform: nothing to run at {utc(tick)}"
    if not cron.is_tick(tick):
        return (
            f"{_label(instance)} has the cron {instance.cron!r} on the platform, "
            f"which does not fire at {utc(tick)}: nothing to run"
        )
    return None


def _check_history(
    instance: Instance, cron: Cron, context: TickContext, tick: datetime, executions: Sequence[Execution]
) -> None:
    """Refuse a tick that the instance's history contradicts.

    The API does not show the platform's time zone, and with a wrong one every batch would run twice.

    :raises MicsError: an earlier execution does not match the cron in its time zone
    """
    earlier = _earlier_ticks(executions, tick)
    since = context.schedule_since or instance.last_modified_ts
    in_force = [moment for moment in earlier if since is None or moment >= since]
    checked = (in_force or earlier)[:CHECKED_TICKS]
    mismatches = [moment for moment in checked if not cron.could_fire_at(moment)]
    if not mismatches:
        return
    matching_zone = infer_timezone(cron.expression, checked, [context.timezone])
    if not in_force and matching_zone is None:
        # These are older than the present schedule, and no time zone explains them: they are of another cron.
        return
    advice = (
        f"set the connection's timezone to {matching_zone!r}"
        if matching_zone
        else "compare the connection's timezone with the platform's"
    )
    raise MicsError(
        f"{_label(instance)}: no execution created for {utc(tick)}, a tick of {instance.cron!r}. The platform fired "
        f"this cron at {utc(mismatches[0])}, which does not match the cron in time zone {context.timezone}: {advice}"
    )


def _earlier_ticks(executions: Sequence[Execution], tick: datetime) -> list[datetime]:
    """Return the times of the ticks before ``tick``, newest first."""
    return sorted(
        (
            each.expected_start_date
            for each in executions
            if each.execution_type == ExecutionType.CRON
            and each.expected_start_date is not None
            and each.expected_start_date < tick
        ),
        reverse=True,
    )


def _label(instance: Instance) -> str:
    return f"Instance {instance.id} ({instance.name})"


@flow
def wait_for_tick_execution(
    identity: ExecutionIdentity, until: datetime, poll_interval: float
) -> Steps[Execution | None]:
    """Wait until the platform has created the tick's execution; None if it has not by ``until`` (UTC).

    Polls every ``poll_interval`` seconds, through outages of any length. An outage that lasts until ``until`` leads
    to None too.

    :raises MicsError: anything but an outage
    """
    outage = OutageLog()
    while True:
        pause = poll_interval
        try:
            found = yield from find_executions(identity)
            yield from outage.answered((yield Now()))
            if found:
                execution = newest_execution(found)
                yield Log(f"The platform created execution {execution.id} for the tick.")
                return execution
        except MicsUncertainError:
            # The decision after the grace says so.
            pass
        except MicsError as error:
            if not is_outage(error):
                raise
            yield from outage.failed(error, (yield Now()))
            pause = backoff(poll_interval, outage.failures, error)
        left = until - (yield Now())
        if left <= timedelta(0):
            return None
        yield Sleep(min(pause, left.total_seconds()))
