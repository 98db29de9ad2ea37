"""Creating an execution only where it is not there yet, and looking again after every unclear answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from airflow_provider_mics.api.calls import Flow, Log, Now, Sleep, Steps, flow
from airflow_provider_mics.api.errors import MicsAuthError, MicsError
from airflow_provider_mics.api.executions import (
    cancel_execution,
    create_execution,
    get_execution,
    list_executions,
)
from airflow_provider_mics.api.field_types import milliseconds
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import OutageLog, is_outage, retry_through_outages, wait_out
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity

SETTLING = timedelta(seconds=10)

"""How long the platform may take to show in its lists what it has created; nothing is created twice before that."""

LOOK_INTERVAL = 2.0

"""Seconds between two looks while settling."""

LOOK_PAGE_SIZE = 500


OnCreated = Callable[[Execution], object]


@dataclass(frozen=True)
class Submission:
    """The execution of an identity, and whether this try created it or found it there."""

    execution: Execution
    how: Literal["created", "found"]


@flow
def submit_execution(
    identity: ExecutionIdentity,
    *,
    is_retry: bool = False,
    known: Sequence[Execution] | None = None,
    patience: timedelta = timedelta(minutes=10),
    on_created: OnCreated = lambda _: None,
) -> Steps[Submission]:
    """The one execution of ``identity``: found, or created where it certainly is not there.

    A retry whose execution ended badly gets the next one of the same identity. ``known`` are the executions of this
    identity, where they were looked for just now. ``patience`` bounds how long an outage of the platform is borne.
    ``on_created`` is told of the execution as soon as its id is known, before it is looked whether it is the only one.

    :raises MicsAuthError: at once, the token is wrong or lacks rights
    :raises MicsApiError: the platform refused the execution
    :raises MicsError: the outage outlasted ``patience``; whether the execution was created may be unknown, and the
        next try finds out
    """
    started = yield Now()
    give_up = started + patience
    if known is None:
        known = yield from retry_through_outages(find_executions(identity), give_up)
    found = yield from _adopt(identity, known, is_retry, give_up)
    if found is None and is_retry:
        known = yield from _look_until_settled(identity, known, give_up)
        found = yield from _adopt(identity, known, is_retry, give_up)
    if found is not None:
        return Submission(found, "found")
    return (yield from _create(identity, known, give_up, on_created))


@flow
def find_executions(identity: ExecutionIdentity) -> Steps[list[Execution]]:
    """The executions of this identity; reading stops early only on one that settles the matter."""
    executions = yield from list_executions(
        identity.instance_id,
        page_size=LOOK_PAGE_SIZE,
        until=lambda each: identity.matches(each) and not ended_badly(each),
    )
    return [each for each in executions if identity.matches(each)]


def ended_badly(execution: Execution) -> bool:
    return execution.failed or execution.canceled


def newest(executions: Sequence[Execution]) -> Execution:
    """The one created last; ids decide where the platform does not say when."""
    return max(executions, key=lambda each: (_created(each), len(each.id), each.id))


def _created(execution: Execution) -> int:
    return milliseconds(execution.creation_date) if execution.creation_date else 0


@flow
def _adopt(
    identity: ExecutionIdentity, found: Sequence[Execution], is_retry: bool, give_up: datetime
) -> Steps[Execution | None]:
    """The execution to go on with, or None where a new one is due."""
    live = [each for each in found if not ended_badly(each)]
    if not live:
        return None if is_retry or not found else newest(found)
    return (yield from _keep_one(identity, live, give_up))


@flow
def _keep_one(identity: ExecutionIdentity, live: Sequence[Execution], give_up: datetime) -> Steps[Execution]:
    """The one to go on with: one that has started, where there is one. Those that have not started are canceled."""
    kept = newest([each for each in live if not each.is_pending] or live)
    if len(live) > 1:
        ids = ", ".join(each.id for each in live)
        yield Log(
            f"The platform has {len(live)} executions for this run ({ids}): going on with {kept.id}.",
            logging.WARNING,
        )
    for surplus in live:
        if surplus.id != kept.id and surplus.is_pending:
            yield from _cancel_surplus(identity.instance_id, surplus.id, give_up)
    return kept


@flow
def _cancel_surplus(instance_id: str, execution_id: str, give_up: datetime) -> Steps[None]:
    """Cancel an execution that nobody waits for, also through an outage: left alone, it would be a second run."""
    try:
        cancellation = yield from retry_through_outages(cancel_execution(instance_id, execution_id), give_up)
    except MicsError as error:
        yield Log(
            f"Execution {execution_id} is one too many and could not be canceled: {error}", logging.ERROR
        )
    else:
        yield Log(
            f"Execution {execution_id} is one too many: canceled it ({cancellation.method}).", logging.WARNING
        )


@flow
def _look_until_settled(
    identity: ExecutionIdentity, known: Sequence[Execution], give_up: datetime
) -> Steps[list[Execution]]:
    """Look again until one shows that was not known, or until the platform has had the time to show it.

    The last look *begins* after that time: an answer that comes late tells of the moment it was made for.
    """
    ids = {each.id for each in known}
    settled = (yield Now()) + SETTLING
    while True:
        yield Sleep(LOOK_INTERVAL)
        looked_at = yield Now()
        found = yield from retry_through_outages(find_executions(identity), give_up)
        if looked_at >= settled or any(each.id not in ids for each in found):
            return found


@flow
def _create(
    identity: ExecutionIdentity,
    known: Sequence[Execution],
    give_up: datetime,
    on_created: OnCreated,
) -> Steps[Submission]:
    known_ids = {each.id for each in known}
    outage = OutageLog()
    while True:
        try:
            created = yield from create_execution(
                identity.instance_id,
                identity.execution_type,
                expected_start_date=identity.expected_start_date,
            )
        except MicsError as error:
            if not is_outage(error):
                raise
            yield Log(
                f"Whether the platform created the {identity} is not known: {error}. Looking for it.",
                logging.WARNING,
            )
            found = yield from _look_until_settled(identity, known, give_up)
            if all(each.id in known_ids for each in found):
                yield from wait_out(error, outage, give_up)
                # The platform's own scheduler, or a worker taken for dead, may have come first meanwhile.
                found = yield from retry_through_outages(find_executions(identity), give_up)
            new = [each for each in found if each.id not in known_ids]
            if not new:
                continue
            created = newest(new)
        on_created(created)
        return (yield from _without_surplus(identity, created, known_ids, give_up))


@flow
def _without_surplus(
    identity: ExecutionIdentity, created: Execution, known_ids: set[str], give_up: datetime
) -> Steps[Submission]:
    """Look once after creating: a proxy may have delivered the request twice, or the platform fired just then.

    A list that does not show what was created a moment ago lags behind, and may hide the second one too: it is read
    again until it does, or until the platform has had its time to show both.
    """
    settled = (yield Now()) + SETTLING
    while True:
        looked_at = yield Now()
        try:
            listed = yield from retry_through_outages(_list_until(identity.instance_id, created.id), give_up)
        except MicsError as error:
            yield Log(f"Execution {created.id} is created; that there is no second one was not seen: {error}")
            return Submission(created, "created")
        seen = next((each for each in listed if each.id == created.id), None)
        if seen is not None or looked_at >= settled:
            break
        yield Sleep(LOOK_INTERVAL)
    twins = [
        each
        for each in listed
        if each.id not in {*known_ids, created.id} and identity.matches(each) and not ended_badly(each)
    ]
    if not twins:
        return Submission(created, "created")
    kept = yield from _keep_one(identity, [*twins, seen or created], give_up)
    return Submission(kept, "created" if kept.id == created.id else "found")


def _list_until(instance_id: str, execution_id: str) -> Flow[list[Execution]]:
    return list_executions(instance_id, page_size=LOOK_PAGE_SIZE, until=lambda each: each.id == execution_id)


@flow
def recall_execution(instance_id: str, execution_id: str) -> Steps[Execution | None]:
    """The execution that an earlier try wrote down, where no new one is due: one GET instead of a search.

    Whatever keeps it from being seen now, an outage too, is left to the search.
    """
    try:
        execution = yield from get_execution(instance_id, execution_id)
    except MicsAuthError:
        raise
    except MicsError:
        return None
    return None if ended_badly(execution) else execution
