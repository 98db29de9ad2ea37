"""Notice a platform that fires a tick later than its grace: a second execution of a tick, a twin, beside Airflow's own.

A twin that has not started is canceled. One that has started cannot be undone: a warning names it, and says what to
set. How late the platform was in the instance's own history lengthens the grace of the next ticks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from airflow_provider_mics.api.calls import Job, Log, Now, PlatformNow, Sleep, Step, Steps, flow, forwarded
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.executions import cancel_execution, get_execution, read_recent_executions
from airflow_provider_mics.api.field_types import ExecutionType, milliseconds
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import is_outage, readable
from airflow_provider_mics.api.paging import LARGE_PAGE_SIZE
from airflow_provider_mics.api.progress import utc
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.core.exactly_once.moments import CLOCK_TOLERANCE

T = TypeVar("T")
LONGEST_LEARNED_GRACE = timedelta(hours=1)
SHORTEST_MARGIN = timedelta(seconds=10)
"""Added to the lateness that the history shows, or half of that lateness if it is longer."""


@dataclass(frozen=True)
class Lateness:
    """How late a platform fired ticks that Airflow had created: at most, after the tick and after Airflow."""

    after_tick: timedelta
    after_first: timedelta

    def combined_with(self, other: Lateness | None) -> Lateness:
        """Return the longer of both."""
        if other is None:
            return self
        return Lateness(max(self.after_tick, other.after_tick), max(self.after_first, other.after_first))


def observed_lateness(executions: Sequence[Execution], tolerance: timedelta) -> Lateness | None:
    """Return how late the platform was with ticks that it fired after Airflow had; None if there is no such tick.

    Only a tick with two executions tells that the later one is the platform's: Airflow looks before it creates. What
    follows a failed execution may be a retry.

    :param executions: executions of the instance
    :param tolerance: by how much the times of two executions of one tick may differ
    """
    observed: Lateness | None = None
    for first, *later in _executions_by_tick(executions, tolerance):
        if _may_be_followed_by_retry(first) or first.creation_date is None:
            continue
        for each in later:
            if each.creation_date is not None:
                late = lateness_of(each) or timedelta(0)
                observed = Lateness(late, each.creation_date - first.creation_date).combined_with(observed)
    return observed


def learned_grace(lateness: Lateness | None, configured: timedelta) -> timedelta:
    """Return how long to wait for the platform after a tick.

    :param lateness: how late the platform was with earlier ticks
    :param configured: the platform's grace; the result is never shorter
    """
    if lateness is None:
        return configured
    # By their difference too: the clock of a platform that is behind shows no lateness.
    needed = max(lateness.after_tick, configured + lateness.after_first)
    if not needed:
        return configured
    return max(configured, min(needed + max(SHORTEST_MARGIN, needed / 2), LONGEST_LEARNED_GRACE))


def lateness_of(execution: Execution) -> timedelta | None:
    """Return how long after its tick an execution was created; None where the platform does not show it."""
    if execution.creation_date is None or execution.expected_start_date is None:
        return None
    return execution.creation_date - execution.expected_start_date


def unnoticed_twins(
    executions: Sequence[Execution], identity: ExecutionIdentity, configured: timedelta | None
) -> Iterator[Log]:
    """Yield a warning if the tick before had a twin that was created after the task of that tick had ended.

    :param executions: the executions of the instance
    :param identity: the present tick
    :param configured: the platform's grace, for the text
    """
    before = [
        each
        for each in executions
        if each.expected_start_date is not None
        and each.expected_start_date < identity.expected_start_date - identity.tolerance
    ]
    newest_tick = next(_executions_by_tick(before, identity.tolerance), None)
    if newest_tick is None:
        return
    first, *later = newest_tick
    if _may_be_followed_by_retry(first) or first.end_date is None:
        return
    for each in later:
        if has_started(each) and each.creation_date is not None and each.creation_date > first.end_date:
            yield _warning(first.id, each, configured)


def _executions_by_tick(executions: Sequence[Execution], tolerance: timedelta) -> Iterator[list[Execution]]:
    """Yield the CRON executions of each tick, the newest tick first; those of one tick in the order of creation."""
    crons = [
        each
        for each in executions
        if each.execution_type == ExecutionType.CRON and each.expected_start_date is not None
    ]
    group: list[Execution] = []
    for each in sorted(crons, key=_due, reverse=True):
        if group and _due(group[0]) - _due(each) > tolerance:
            yield sorted(group, key=_creation_order)
            group = []
        group.append(each)
    if group:
        yield sorted(group, key=_creation_order)


def _due(execution: Execution) -> datetime:
    assert execution.expected_start_date is not None  # noqa: S101 - its callers leave out the others
    return execution.expected_start_date


def _creation_order(execution: Execution) -> tuple[int, int, str]:
    created = milliseconds(execution.creation_date) if execution.creation_date else 0
    return created, len(execution.id), execution.id


def _may_be_followed_by_retry(execution: Execution) -> bool:
    return execution.failed or execution.canceled


def has_started(execution: Execution) -> bool:
    """Whether an execution has started, as far as the platform shows it; a canceled one may never have."""
    return execution.start_date is not None or not (execution.is_pending or execution.canceled)


@flow
def check_for_twins(
    identity: ExecutionIdentity, execution_id: str, noticed: set[str], grace: timedelta | None
) -> Steps[None]:
    """Look once for other executions of the tick of ``execution_id``; cancel or name each that is not in ``noticed``.

    Its id is added to ``noticed``, unless an outage left it as it was. An error of the platform is logged, and never
    raised: the batch itself is fine. A list that is sorted by creation is read as far back as the tick: a twin is what
    the platform creates late.

    :param grace: the platform's grace, for the text; None where Airflow never creates
    """
    behind = (yield Now()) - (yield PlatformNow())
    since = identity.expected_start_date - identity.tolerance - CLOCK_TOLERANCE - max(timedelta(0), behind)
    try:
        listed = yield from read_recent_executions(
            identity.instance_id,
            lambda: lambda each: each.creation_date is not None and each.creation_date < since,
            page_size=LARGE_PAGE_SIZE,
        )
    except MicsError as error:
        yield Log(f"Could not check for a second execution of the tick: {error}")
        return
    for each in listed.items:
        if each.id == execution_id or each.id in noticed or not identity.matches(each):
            continue
        if (yield from handle_twin(identity, execution_id, each, grace)):
            noticed.add(each.id)


@flow
def handle_twin(
    identity: ExecutionIdentity, execution_id: str, twin: Execution, grace: timedelta | None
) -> Steps[bool]:
    """Cancel a twin of ``execution_id`` that has not started, else name it in a warning.

    Return False if an outage left it as it was: it may still start, so it has to be looked at again. One that failed or
    was canceled before ``execution_id`` was created is no twin, but that of an earlier try.
    """
    if twin.is_pending:
        try:
            cancellation = yield from cancel_execution(identity.instance_id, twin.id)
        except MicsError as error:
            yield Log(
                f"Could not cancel execution {twin.id}, a second one of this tick: {error}", logging.ERROR
            )
            return not is_outage(error)
        yield Log(
            f"Canceled execution {twin.id} ({cancellation.method}), which the platform created"
            f"{_late(twin)} beside {execution_id}. {_advice(twin, grace)}",
            logging.WARNING,
        )
        return True
    if not has_started(twin):
        return True
    if _may_be_followed_by_retry(twin):
        try:
            own = yield from get_execution(identity.instance_id, execution_id)
        except MicsError as error:
            return not is_outage(error)
        if _creation_order(twin) < _creation_order(own):
            return True
    yield _warning(execution_id, twin, grace)
    return True


def _warning(execution_id: str, twin: Execution, grace: timedelta | None) -> Log:
    return Log(
        f"The tick of {utc(_due(twin))} ran twice: the platform created execution {twin.id}{_late(twin)}, beside "
        f"{execution_id}. {_advice(twin, grace)}",
        logging.WARNING,
    )


def _late(twin: Execution) -> str:
    late = lateness_of(twin)
    return f" {readable(late)} after its tick" if late is not None and late > timedelta(0) else ""


def _advice(twin: Execution, grace: timedelta | None) -> str:
    late = lateness_of(twin) or timedelta(0)
    than = f"more than {readable(late)}" if late > (grace or timedelta(0)) else "a longer time"
    present = "" if grace is None else f" (it is {readable(grace)})"
    return f"Set platform_grace to {than}{present}."


@flow
def with_twin_checks(job: Job[T], check: Job[None]) -> Steps[T]:
    """Run a job that waits, and ``check`` after each of its pauses."""

    def check_after_pause(step: Step) -> Steps[None]:
        if isinstance(step, Sleep):
            yield from check

    return (yield from forwarded(job, after=check_after_pause))
