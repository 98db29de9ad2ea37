"""Decide who creates the execution of a tick: the platform, which fires an ACTIVE cron itself, or Airflow."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from airflow_provider_mics.api.calls import Flow, Job, Log, Now, PlatformNow, Sleep, Steps, flow
from airflow_provider_mics.api.errors import MicsError, MicsTimeoutError, MicsUncertainError
from airflow_provider_mics.api.executions import newest_execution
from airflow_provider_mics.api.field_types import CronStatus
from airflow_provider_mics.api.instances import get_instance
from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.api.outages import OutageLog, backoff, is_outage, readable, retry_through_outages
from airflow_provider_mics.api.progress import utc
from airflow_provider_mics.core.exactly_once.cron_evidence import (
    check_history,
    is_tick_of_earlier_cron,
    shows_enough_firings,
)
from airflow_provider_mics.core.exactly_once.execution_search import failed_or_canceled, list_until_match
from airflow_provider_mics.core.exactly_once.identity import STRANGER_AGE, ExecutionIdentity
from airflow_provider_mics.core.exactly_once.moments import CLOCK_TOLERANCE
from airflow_provider_mics.core.exactly_once.submission import find_executions
from airflow_provider_mics.core.exactly_once.tick_facts import (
    TickFacts,
    is_examined,
    note_tick_facts,
    recall_tick_facts,
)
from airflow_provider_mics.core.exactly_once.twins import learned_grace, unnoticed_twins
from airflow_provider_mics.core.planning.cron_ticks import Cron, CronPeriod

T = TypeVar("T")
DEFAULT_PLATFORM_GRACE = timedelta(minutes=2)


@dataclass(frozen=True)
class TickContext:
    """What a DAG knows of the cron it runs on.

    :param cron: the instance's cron that is the DAG's schedule; None where the DAG has a schedule of its own
    :param timezone: IANA name of the time zone of ``cron``
    :param schedule_since: since when ``cron`` is in force (an aware datetime); None where that is not known
    :param platform_grace: how long after a tick the platform may create its execution; None means that Airflow never
        creates it
    :param cron_periods: which crons were in force on the platform, and when, as far as the inventory knows
    """

    cron: str | None
    timezone: str
    schedule_since: datetime | None
    platform_grace: timedelta | None = DEFAULT_PLATFORM_GRACE
    cron_periods: tuple[CronPeriod, ...] = field(default=(), compare=False)

    @property
    def known_periods(self) -> tuple[CronPeriod, ...]:
        """When which cron was in force, as far as it is known: the DAG's own cron at least since its schedule is."""
        if not self.cron or self.schedule_since is None:
            return self.cron_periods
        return (*self.cron_periods, CronPeriod(self.cron, self.schedule_since))


@dataclass(frozen=True)
class CreateNow:
    """The tick's execution exists, in ``existing``, or Airflow may create it now.

    ``replaces_existing``: all of ``existing`` were canceled by a pause, and the tick needs another execution.
    """

    identity: ExecutionIdentity
    existing: tuple[Execution, ...]
    replaces_existing: bool = False


@dataclass(frozen=True)
class WaitForPlatform:
    """The platform has until ``until`` (UTC) to create the tick's execution.

    ``grace`` is how long it has after an outage. ``ignored_ids`` are executions of the tick that are not waited for.
    """

    identity: ExecutionIdentity
    until: datetime
    grace: timedelta = timedelta(0)
    ignored_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Skip:
    """The platform's own schedule no longer has this tick."""

    reason: str


TickDecision = CreateNow | WaitForPlatform | Skip


@flow
def decide_tick(
    identity: ExecutionIdentity,
    context: TickContext,
    *,
    give_up_at: datetime,
    is_retry: bool = False,
    grace_is_over: bool = False,
) -> Steps[TickDecision]:
    """Decide who creates a tick's execution, from the present state of the instance and its executions.

    Outages are tolerated until ``give_up_at`` (UTC). ``is_retry``: an earlier try of the task may have run the tick.
    ``grace_is_over`` ends the platform's grace early, unless the platform has only just come back from an outage.

    :raises MicsError: the instance's history contradicts the cron or its time zone; the message names the time zone
        that would match, if there is one. Or the tick is none of the cron, and nothing explains why
    :raises MicsTimeoutError: the platform did not fire, and ``context.platform_grace`` is None
    """
    outages: list[MicsError] = []
    instance = yield from _noting(outages, get_instance(identity.instance_id), give_up_at)
    cron = Cron(instance.cron, context.timezone) if instance.cron else None
    identity = identity.as_tick_of(cron)
    facts = yield from recall_tick_facts(identity.instance_id)
    since = yield from _first_creation(identity, is_retry=is_retry)
    search = partial(list_until_match, identity, since=since, is_final=grace_is_over)
    shown = partial(shows_enough_firings, instance, context.known_periods, identity.expected_start_date)
    listing = search(make_is_enough=shown if grace_is_over else is_examined(facts))
    executions = yield from _noting(outages, listing, give_up_at)
    if not grace_is_over:
        yield from unnoticed_twins(executions, identity, context.platform_grace)
    existing = tuple(each for each in executions if identity.matches(each))
    tick = identity.expected_start_date
    if any(not failed_or_canceled(each) for each in existing):
        return CreateNow(identity, existing)
    reason = None if context.cron is None else _skip_reason(instance, cron, context, tick)
    # Pausing an instance cancels the executions that the platform had planned: that is no failure of this run.
    if reason and (is_retry or all(each.canceled for each in existing)):
        return Skip(reason)
    revoked = tuple(each for each in existing if _was_revoked_by_pause(each, instance))
    if len(revoked) < len(existing):
        return CreateNow(identity, existing)
    may_create = CreateNow(identity, revoked, replaces_existing=bool(revoked))
    if cron is None or not instance.is_active or not cron.is_tick(tick):
        return may_create
    grace = DEFAULT_PLATFORM_GRACE if context.platform_grace is None else context.platform_grace
    if outages and grace_is_over and facts is None:
        executions = yield from _noting(outages, search(make_is_enough=is_examined(None)), give_up_at)
    facts = TickFacts.of(executions, cron.tolerance, facts)
    if not grace_is_over:
        yield from note_tick_facts(identity.instance_id, facts)
    grace = learned_grace(None if facts is None else facts.lateness, grace)
    until = yield from _end_of_grace(tick, grace, after_outage=bool(outages))
    now = yield Now()
    if now < until and (outages or not grace_is_over):
        return WaitForPlatform(identity, until, grace, tuple(each.id for each in revoked))
    if context.platform_grace is None:
        raise MicsTimeoutError(
            f"{_label(instance)}: the platform did not fire the tick of {utc(tick)} by {utc(now)}. "
            "No execution created: with platform_grace=None, only the platform creates it"
        )
    check_history(instance, context.timezone, context.known_periods, tick, executions)
    return may_create


def _first_creation(identity: ExecutionIdentity, *, is_retry: bool) -> Steps[datetime]:
    """Return the moment (of the platform's clock) before which a tick's execution is only created ahead.

    Where an earlier try may have created it, the platform's clock may have been another than now.
    """
    behind: timedelta = (yield Now()) - (yield PlatformNow())
    tolerance = identity.tolerance + (STRANGER_AGE if is_retry else CLOCK_TOLERANCE)
    earliest = min((identity.expected_start_date, *identity.candidate_times))
    return earliest - tolerance - max(timedelta(0), behind)


@flow
def _noting(outages: list[MicsError], job: Job[T], give_up_at: datetime) -> Steps[T]:
    """Run an idempotent job through outages until ``give_up_at``, and add to ``outages`` the errors of each."""

    def steps() -> Steps[T]:
        try:
            return (yield from job)
        except MicsError as error:
            outages.append(error)
            raise

    return (yield from retry_through_outages(Flow(steps), give_up_at))


def _end_of_grace(tick: datetime, grace: timedelta, *, after_outage: bool) -> Steps[datetime]:
    """Return when the platform's grace for a tick ends, by our clock.

    A platform whose clock is behind fires later by that much. One that comes back from an outage may fire late.
    """
    now: datetime = yield Now()
    behind = max(timedelta(0), now - (yield PlatformNow()))
    if behind:
        yield Log(f"The platform's clock is {readable(behind)} behind: it has so much longer for its ticks.")
    until: datetime = tick + behind + grace
    return max(until, now + grace) if after_outage else until


def _was_revoked_by_pause(execution: Execution, instance: Instance) -> bool:
    """Whether an execution was canceled because its instance was paused, and the pause was taken back.

    Either changes the instance. A person who cancels the execution alone changes nothing but the execution.
    """
    if not execution.canceled or execution.start_date is not None or not instance.is_active:
        return False
    created, modified = execution.creation_date, instance.last_modified_ts
    return created is not None and modified is not None and modified > created


def _skip_reason(instance: Instance, cron: Cron | None, context: TickContext, tick: datetime) -> str | None:
    """Return why a scheduled run has nothing to run: the platform's schedule changed after the DAG was built.

    :raises MicsError: the tick is none of the cron, and no change of the schedule explains why: the scheduler and
        this worker do not agree on the time zone
    """
    if instance.archived:
        return f"{_label(instance)} is archived on the platform: nothing to run"
    if cron is None:
        return f"{_label(instance)} no longer has a cron on the platform: nothing to run at {utc(tick)}"
    if instance.cron_status == CronStatus.PAUSED:
        return f"{_label(instance)} is PAUSED on the platform: nothing to run at {utc(tick)}"
    if cron.is_tick(tick):
        return None
    if not is_tick_of_earlier_cron(
        instance, context.cron or "", context.timezone, context.cron_periods, tick
    ):
        raise MicsError(
            f"{_label(instance)}: {utc(tick)} is no tick of its cron {cron}, and the schedule has not changed since. "
            "Nothing was run. The scheduler knows another time zone or cron than this worker: compare the "
            "connection's timezone, and the age of the snapshot, on both"
        )
    return (
        f"{_label(instance)} has the cron {instance.cron!r} on the platform, "
        f"which does not fire at {utc(tick)}: nothing to run"
    )


def _label(instance: Instance) -> str:
    return f"Instance {instance.id} ({instance.name})"


@flow
def wait_for_tick_execution(decision: WaitForPlatform, poll_interval: float) -> Steps[Execution | None]:
    """Wait until the platform has created the tick's execution; None if it has not in its grace.

    Polls every ``poll_interval`` seconds, through outages. After an outage the grace starts again; one that lasts until
    the end of the grace leads to None too.

    :raises MicsError: anything but an outage
    """
    outage, until = OutageLog(), decision.until
    while True:
        pause = poll_interval
        try:
            found = yield from find_executions(decision.identity)
            if outage.failures:
                until = max(until, (yield Now()) + decision.grace)
            yield from outage.answered((yield Now()))
            found = [each for each in found if each.id not in decision.ignored_ids]
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
