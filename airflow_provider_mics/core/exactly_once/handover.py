"""Whose turn a tick is. The platform fires an ACTIVE cron itself; whoever fires, there is one execution per tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_mics.api.calls import Log, Now, Sleep, Steps, flow
from airflow_provider_mics.api.errors import MicsError, MicsTimeoutError
from airflow_provider_mics.api.executions import list_executions
from airflow_provider_mics.api.field_types import CronStatus, ExecutionType
from airflow_provider_mics.api.instances import get_instance
from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.api.outages import OutageLog, backoff, is_outage, retry_through_outages
from airflow_provider_mics.api.progress import utc
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.core.exactly_once.submission import (
    LOOK_PAGE_SIZE,
    ended_badly,
    find_executions,
    newest,
)
from airflow_provider_mics.core.planning.cron_ticks import Cron, infer_timezone

DEFAULT_GRACE = timedelta(minutes=2)

EVIDENCE = 3

"""How many of the newest earlier ticks must not contradict ours."""


@dataclass(frozen=True)
class TickContext:
    """What a DAG knows of the cron it runs on. ``cron`` is None where the DAG's schedule is its own affair.

    ``grace`` is how long the platform has; None means that Airflow never creates a tick's execution.
    """

    cron: str | None
    timezone: str
    schedule_since: datetime | None
    grace: timedelta | None = DEFAULT_GRACE


@dataclass(frozen=True)
class CreateNow:
    """The tick's execution is there, in ``known``, or Airflow may create it now."""

    identity: ExecutionIdentity
    known: tuple[Execution, ...]


@dataclass(frozen=True)
class WaitForPlatform:
    """The platform has until ``until`` to create the tick's execution."""

    identity: ExecutionIdentity
    until: datetime


@dataclass(frozen=True)
class Skip:
    """The platform's own schedule does not have this tick any more."""

    reason: str


TickDecision = CreateNow | WaitForPlatform | Skip


@flow
def decide_tick(
    identity: ExecutionIdentity, plan: TickContext, *, give_up: datetime, grace_is_over: bool = False
) -> Steps[TickDecision]:
    """Decide on a tick with what the platform says of the instance and of its executions now.

    :raises MicsError: the instance's history contradicts our cron or time zone; the line names what would agree
    :raises MicsTimeoutError: the platform did not fire, and ``plan.grace`` is None
    """
    instance = yield from retry_through_outages(get_instance(identity.instance_id), give_up)
    cron = Cron(instance.cron, plan.timezone) if instance.cron else None
    identity = identity.as_tick_of(cron)
    executions = yield from retry_through_outages(
        list_executions(
            identity.instance_id,
            page_size=LOOK_PAGE_SIZE,
            until=lambda each: identity.matches(each) and not ended_badly(each),
        ),
        give_up,
    )
    found = tuple(each for each in executions if identity.matches(each))
    tick = identity.expected_start_date
    reason = None if plan.cron is None else _why_not(instance, cron, tick)
    # Pausing cancels what the platform had planned ahead: that is no failure of this run.
    if found and not (reason and all(each.canceled for each in found)):
        return CreateNow(identity, found)
    if reason:
        return Skip(reason)
    if cron is None or not instance.is_active or not cron.is_tick(tick):
        return CreateNow(identity, ())
    now = yield Now()
    until = tick + (DEFAULT_GRACE if plan.grace is None else plan.grace)
    if not grace_is_over and now < until:
        return WaitForPlatform(identity, until)
    if plan.grace is None:
        raise MicsTimeoutError(
            f"{_name(instance)}: the platform had not fired the tick of {utc(tick)} by {utc(now)}, "
            "and platform_grace=None leaves it to the platform: nothing was created"
        )
    _refuse_contradiction(instance, cron, plan, tick, executions)
    return CreateNow(identity, ())


def _why_not(instance: Instance, cron: Cron | None, tick: datetime) -> str | None:
    """Why a scheduled run has nothing to run any more: the DAG's schedule is older than the platform's."""
    if instance.archived:
        return f"{_name(instance)} is archived on the platform: nothing to run"
    if cron is None:
        return f"{_name(instance)} has no cron any more on the platform: nothing to run at {utc(tick)}"
    if instance.cron_status == CronStatus.PAUSED:
        return f"{_name(instance)} is PAUSED on the platform: nothing to run at {utc(tick)}"
    if not cron.is_tick(tick):
        return f"{_name(instance)} has the cron {instance.cron!r} on the platform: {utc(tick)} is none of its ticks"
    return None


def _refuse_contradiction(
    instance: Instance, cron: Cron, plan: TickContext, tick: datetime, executions: Sequence[Execution]
) -> None:
    """Nobody has told us the platform's time zone; a wrong guess would run every batch twice."""
    earlier = sorted(
        (
            each.expected_start_date
            for each in executions
            if each.execution_type == ExecutionType.CRON
            and each.expected_start_date is not None
            and each.expected_start_date < tick
        ),
        reverse=True,
    )
    since = plan.schedule_since or instance.last_modified_ts
    in_force = [moment for moment in earlier if since is None or moment >= since]
    evidence = (in_force or earlier)[:EVIDENCE]
    beside = [moment for moment in evidence if not cron.could_fire_at(moment)]
    if not beside:
        return
    zone = infer_timezone(cron.expression, evidence, [plan.timezone])
    if not in_force and zone is None:
        # Older than the present schedule, and no time zone explains it: it tells of another cron.
        return
    advice = (
        f"set the timezone of the connection to {zone!r}"
        if zone
        else "compare the connection's timezone with the platform's"
    )
    raise MicsError(
        f"{_name(instance)}: nothing was created for {utc(tick)}, the tick of {instance.cron!r} in {plan.timezone}, "
        f"because the platform fired it at {utc(beside[0])}, which is none of our ticks: {advice}"
    )


def _name(instance: Instance) -> str:
    return f"Instance {instance.id} ({instance.name})"


@flow
def until_tick_appears(
    identity: ExecutionIdentity, until: datetime, poll_interval: float
) -> Steps[Execution | None]:
    """The tick's execution as soon as the platform has created it, or None when it has not by ``until`` (UTC).

    An outage is no answer: it is borne, and at ``until`` nothing is known to have appeared.

    :raises MicsError: anything but an outage
    """
    outage = OutageLog()
    while True:
        pause = poll_interval
        try:
            found = yield from find_executions(identity)
            yield from outage.answered((yield Now()))
            if found:
                execution = newest(found)
                yield Log(f"The platform created execution {execution.id} for the tick.")
                return execution
        except MicsError as error:
            if not is_outage(error):
                raise
            yield from outage.failed(error, (yield Now()))
            pause = backoff(poll_interval, outage.failures, error)
        left = until - (yield Now())
        if left <= timedelta(0):
            return None
        yield Sleep(min(pause, left.total_seconds()))
