"""Create an execution only if it does not exist yet, and search for it after every unclear response."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from airflow_provider_mics.api.calls import Flow, Log, Now, PlatformNow, Steps, flow
from airflow_provider_mics.api.errors import MicsAuthError, MicsError, MicsUncertainError
from airflow_provider_mics.api.eventual_consistency import (
    contains,
    list_after_create,
    read_until_consistent,
    unconfirmed_creation,
)
from airflow_provider_mics.api.executions import (
    cancel_execution,
    create_execution,
    get_execution,
    list_executions,
    newest_execution,
)
from airflow_provider_mics.api.field_types import from_milliseconds, milliseconds
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import (
    DEFAULT_SUBMISSION_TIMEOUT,
    OutageLog,
    is_outage,
    retry_through_outages,
    wait_out,
)
from airflow_provider_mics.api.paging import LARGE_PAGE_SIZE
from airflow_provider_mics.api.progress import utc
from airflow_provider_mics.core.exactly_once.execution_search import failed_or_canceled, list_until_match
from airflow_provider_mics.core.exactly_once.identity import STRANGER_AGE, ExecutionIdentity
from airflow_provider_mics.core.exactly_once.moments import CLOCK_TOLERANCE

OnIdentified = Callable[[ExecutionIdentity], object]
OnCreated = Callable[[Execution], object]


@dataclass
class Interruption:
    """What a submission that an outage interrupted must know to go on in another process. All of it is plain JSON.

    ``known_ids``: the executions of this identity before a request to create one more whose outcome is not known yet;
    None if no such request was made. ``moment``: the ``expected_start_date`` of that request, in epoch milliseconds.
    ``created_id``: the execution that it created, as soon as that is known.
    """

    known_ids: list[str] | None = None
    moment: int | None = None
    created_id: str | None = None


@dataclass(frozen=True)
class Submission:
    """The execution of an identity, and whether this try created or found it."""

    execution: Execution
    outcome: Literal["created", "found"]


@dataclass(frozen=True)
class _Callbacks:
    """See `submit_execution`."""

    on_identified: OnIdentified
    on_created: OnCreated


@flow
def submit_execution(
    identity: ExecutionIdentity,
    *,
    is_retry: bool = False,
    existing: Sequence[Execution] | None = None,
    submission_timeout: timedelta = DEFAULT_SUBMISSION_TIMEOUT,
    on_identified: OnIdentified = lambda _: None,
    on_created: OnCreated = lambda _: None,
    interruption: Interruption | None = None,
) -> Steps[Submission]:
    """Find the one execution of ``identity``, or create it if it certainly does not exist.

    A retry whose execution failed or was canceled gets the next execution of the same identity. A first try adopts
    nothing that belongs to one piece of work: what is there before it is a stranger's. ``existing`` are the
    executions of this identity, if the caller has just searched for them. ``submission_timeout`` is how long an
    outage of the platform is tolerated. ``on_identified`` is called with the identity right before each request to
    create, which is not sent if it raises, and ``on_created`` as soon as the id of a new execution is known, before
    the check for duplicates. With an ``interruption``, which this updates, the submission goes on where an outage
    ended an earlier one, and an outage ends the check for duplicates too.

    :raises MicsAuthError: at once, if the token is wrong or lacks rights
    :raises MicsApiError: the platform rejected the execution
    :raises MicsUncertainError: whether it exists already cannot be known
    :raises MicsError: the outage outlasted ``submission_timeout``. Whether the execution was created may be unknown;
        the next try finds out
    """
    give_up_at = (yield Now()) + submission_timeout
    callbacks = _Callbacks(on_identified, on_created)
    if interruption is not None and interruption.moment is not None:
        identity = identity.settled_at(from_milliseconds(interruption.moment))
    if existing is None:
        identity, existing = yield from find_own(identity, is_retry, give_up_at)
    if interruption is not None and interruption.known_ids is not None:
        return (yield from _resume(identity, existing, give_up_at, callbacks, interruption))
    adopted = yield from _adopt(identity, existing, is_retry, give_up_at)
    if adopted is None and is_retry:
        existing = yield from _find_until_consistent(identity, existing, give_up_at)
        adopted = yield from _adopt(identity, existing, is_retry, give_up_at)
    if adopted is not None:
        return Submission(adopted, "found")
    return (yield from _create(identity, existing, give_up_at, callbacks, interruption))


@flow
def find_own(
    identity: ExecutionIdentity, has_tried: bool, give_up_at: datetime
) -> Steps[tuple[ExecutionIdentity, list[Execution]]]:
    """Return the identity at the moment of this piece of work, and its executions there.

    ``has_tried``: whether this piece of work may have an execution, as in a retry. A first try takes the first moment
    that is free. So of a retry, a moment is its own only if all moments before it are taken. Where moments are many, a
    stranger would have to have the next one too, so the last one that is taken is its own. Where they are few, others
    may have the next one, so it is the first one that a run of this time has.
    """
    own: tuple[ExecutionIdentity, list[Execution]] | None = None
    since = yield from _first_creation(identity, has_tried)
    while True:
        try:
            executions = yield from retry_through_outages(list_until_match(identity, since=since), give_up_at)
        except MicsUncertainError:
            if own is None:
                raise
            return own
        found = [each for each in executions if identity.matches(each)]
        if identity.moments is None or identity.is_settled:
            return identity, found
        if found and has_tried and not identity.moments.is_wide:
            return identity, found
        taken = found or [each for each in executions if identity.has_moment_of(each)]
        if not taken:
            return own or (identity, [])
        if found and has_tried:
            own = identity, found
        elif not has_tried:
            yield Log(
                f"Execution {newest_execution(taken).id} has the moment {utc(identity.expected_start_date)}, but it is "
                "not of this run: taking the next moment."
            )
        identity = identity.next()


def _first_creation(identity: ExecutionIdentity, has_tried: bool) -> Steps[datetime | None]:
    """Return the moment (of the platform's clock) since which executions matter to this try; None: see the identity.

    Of a first try nothing exists yet. It only looks for strangers, and where moments are many, none meets it by chance:
    only one of the same names and the same date, at nearly the same time.
    """
    if has_tried or identity.is_settled or identity.not_before is None or identity.moments is None:
        return None
    if not identity.moments.is_wide:
        return identity.not_before
    behind: timedelta = (yield Now()) - (yield PlatformNow())
    began = identity.not_before + STRANGER_AGE
    return max(identity.not_before, began - CLOCK_TOLERANCE - max(timedelta(0), behind))


@flow
def find_executions(identity: ExecutionIdentity) -> Steps[list[Execution]]:
    """Return the executions of this identity, in the platform's order.

    :raises MicsUncertainError: the list does not show whether there are any
    :raises MicsError: the list could not be read
    """
    executions = yield from list_until_match(identity)
    return [each for each in executions if identity.matches(each)]


@flow
def get_recorded_execution(instance_id: str, execution_id: str) -> Steps[Execution | None]:
    """Get the execution that an earlier try recorded, or None where a search is needed: one GET saves the search.

    None if it failed or was canceled, since a new one may be due, and after any error, an outage too.

    :raises MicsAuthError: the token is wrong or lacks rights
    """
    try:
        execution = yield from get_execution(instance_id, execution_id)
    except MicsError as error:
        if isinstance(error, MicsAuthError) and not is_outage(error):
            raise
        return None
    return None if failed_or_canceled(execution) else execution


@flow
def _adopt(
    identity: ExecutionIdentity, found: Sequence[Execution], is_retry: bool, give_up_at: datetime
) -> Steps[Execution | None]:
    """Return the execution to go on with, or None where a new one is due."""
    usable = [each for each in found if not failed_or_canceled(each)]
    if not usable:
        return None if is_retry or not found else newest_execution(found)
    return (yield from _resolve_duplicates(identity, usable, give_up_at))


@flow
def _resolve_duplicates(
    identity: ExecutionIdentity, executions: Sequence[Execution], give_up_at: datetime
) -> Steps[Execution]:
    """Choose the execution to go on with, one that has started if possible; cancel the others still pending."""
    kept = newest_execution([each for each in executions if not each.is_pending] or executions)
    if len(executions) > 1:
        ids = ", ".join(each.id for each in executions)
        yield Log(
            f"Found {len(executions)} duplicate executions for this run ({ids}): using {kept.id}.",
            logging.WARNING,
        )
    for each in executions:
        if each.id != kept.id and each.is_pending:
            yield from _cancel_duplicate(identity.instance_id, each.id, give_up_at)
    return kept


@flow
def _cancel_duplicate(instance_id: str, execution_id: str, give_up_at: datetime) -> Steps[None]:
    """Cancel a duplicate, also through an outage: left alone, it would be a second run."""
    try:
        cancellation = yield from retry_through_outages(
            cancel_execution(instance_id, execution_id), give_up_at
        )
    except MicsError as error:
        yield Log(f"Could not cancel duplicate execution {execution_id}: {error}", logging.ERROR)
    else:
        yield Log(f"Canceled duplicate execution {execution_id} ({cancellation.method}).", logging.WARNING)


def _find_until_consistent(
    identity: ExecutionIdentity, existing: Sequence[Execution], give_up_at: datetime
) -> Flow[list[Execution]]:
    """Search again until an execution shows that is not in ``existing``, or until the list has settled."""
    existing_ids = {each.id for each in existing}
    return read_until_consistent(
        retry_through_outages(find_executions(identity), give_up_at),
        lambda found: any(each.id not in existing_ids for each in found),
        wait_first=True,
    )


@flow
def _resume(
    identity: ExecutionIdentity,
    found: Sequence[Execution],
    give_up_at: datetime,
    callbacks: _Callbacks,
    interruption: Interruption,
) -> Steps[Submission]:
    """Go on after a request to create whose outcome was not known: find what it created, else create it now."""
    known_ids = set(interruption.known_ids or ())
    known = [each for each in found if each.id in known_ids]
    if len(found) == len(known):
        found = yield from _find_until_consistent(identity, known, give_up_at)
    new = [each for each in found if each.id not in known_ids]
    if not new:
        return (yield from _create(identity, known, give_up_at, callbacks, interruption))
    created = next((each for each in new if each.id == interruption.created_id), newest_execution(new))
    callbacks.on_created(created)
    return (yield from _check_for_duplicates(identity, created, known_ids, give_up_at, interruption))


@flow
def _create(
    identity: ExecutionIdentity,
    existing: Sequence[Execution],
    give_up_at: datetime,
    callbacks: _Callbacks,
    interruption: Interruption | None,
) -> Steps[Submission]:
    existing_ids = {each.id for each in existing}
    outage, began = OutageLog(), (yield Now())
    if interruption is not None:
        interruption.known_ids = sorted(existing_ids)
        interruption.moment = milliseconds(identity.expected_start_date)
    while True:
        callbacks.on_identified(identity)
        try:
            created = yield from create_execution(
                identity.instance_id,
                identity.execution_type,
                expected_start_date=identity.expected_start_date,
            )
        except MicsError as error:
            if not is_outage(error):
                raise
            yield unconfirmed_creation(f"the {identity}", error)
            found = yield from _find_until_consistent(identity, existing, give_up_at)
            if all(each.id in existing_ids for each in found):
                yield from wait_out(error, outage, give_up_at)
                # The platform's scheduler, or a worker that was presumed dead, may have created it meanwhile.
                found = yield from retry_through_outages(find_executions(identity), give_up_at)
            new = [each for each in found if each.id not in existing_ids]
            if not new:
                continue
            created = newest_execution(new)
        else:
            yield from _check_answer(identity, created)
        callbacks.on_created(created)
        if interruption is not None:
            interruption.created_id = created.id
        since = None
        if created.creation_date is not None:
            since = created.creation_date - ((yield Now()) - began) - CLOCK_TOLERANCE
        return (
            yield from _check_for_duplicates(
                identity, created, existing_ids, give_up_at, interruption, since=since
            )
        )


def _check_answer(identity: ExecutionIdentity, created: Execution) -> Iterator[Log]:
    """Warn if the platform's answer does not show the type and the moment, by which a retry would find it."""
    if not identity.was_sent_as(created):
        moment = created.expected_start_date
        yield Log(
            f"The platform answered that execution {created.id} has the type {created.execution_type} and the expected "
            f"start {utc(moment) if moment else None}, but {identity.execution_type} and "
            f"{utc(identity.expected_start_date)} were sent: on this platform a retry may not recognise the execution "
            "and may run the batch again.",
            logging.WARNING,
        )


@flow
def _check_for_duplicates(
    identity: ExecutionIdentity,
    created: Execution,
    existing_ids: set[str],
    give_up_at: datetime,
    interruption: Interruption | None,
    *,
    since: datetime | None = None,
) -> Steps[Submission]:
    """Search for duplicates after creating: the platform's own scheduler may have fired at the same moment.

    ``since``: what was created before has been looked at, before ``created`` was; None where that is not known.
    """
    listing = list_until_match(identity, known_ids={created.id, *existing_ids}, since=since)
    listed = yield from list_after_create(
        retry_through_outages(listing, give_up_at),
        created,
        f"execution {created.id}",
        raise_outages=interruption is not None,
    )
    if since is not None and listed and not contains(listed, created):
        # The list may not be sorted by creation, although its newest executions are.
        whole = retry_through_outages(
            list_executions(identity.instance_id, page_size=LARGE_PAGE_SIZE), give_up_at
        )
        listed = yield from list_after_create(whole, created, f"execution {created.id}")
    duplicates = [
        each
        for each in listed
        if each.id not in {*existing_ids, created.id}
        and identity.matches(each)
        and not failed_or_canceled(each)
    ]
    if not duplicates:
        return Submission(created, "created")
    as_listed = next((each for each in listed if each.id == created.id), created)
    kept = yield from _resolve_duplicates(identity, [*duplicates, as_listed], give_up_at)
    return Submission(kept, "created" if kept.id == created.id else "found")
