"""Executions of integration batch instances."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeGuard

from pydantic import BeforeValidator

from airflow_provider_mics.api.calls import Call, Flow, Job, Steps, flow
from airflow_provider_mics.api.errors import (
    MicsApiError,
    MicsError,
    MicsNotFoundError,
    MicsResponseError,
)
from airflow_provider_mics.api.field_types import ExecutionStatus, ExecutionType, milliseconds
from airflow_provider_mics.api.instances import INSTANCES, instance_path
from airflow_provider_mics.api.json_text import cleaned
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.paging import PAGE_SIZE, ListResult, list_page, read_list, whole_list
from airflow_provider_mics.api.recent_items import may_have_newest_last, read_recent, until_all_seen
from airflow_provider_mics.api.responses import (
    cannot_be_written_back,
    ignore_body,
    one,
    one_or_sent,
    one_with_raw,
)
from airflow_provider_mics.api.validation import checked_execution_type, checked_id, checked_milliseconds

ORGANISATION_EXECUTIONS = f"{INSTANCES}.executions"
"""The path of the list of all executions of an organisation."""
NO_SUCH_ROUTE = (404, 405)
"""Status codes of a route that the platform does not have."""


def may_lack_route(error: MicsError) -> bool:
    """Whether ``error`` may mean that the platform does not have the requested route.

    A success status code with an error or a web page in the body may mean that too. So may a 404 or 405 without the
    platform's wrapper, but it proves nothing: see `is_missing`.
    """
    if isinstance(error, MicsApiError):
        return error.status_code in NO_SUCH_ROUTE or 200 <= error.status_code < 300
    return isinstance(error, MicsResponseError)


def is_missing(error: object) -> TypeGuard[MicsApiError]:
    """Whether ``error`` is the platform's own word that it has no such resource, or no such route."""
    return isinstance(error, MicsApiError) and error.from_platform and error.status_code in NO_SUCH_ROUTE


def executions_path(instance_id: str) -> str:
    return f"{instance_path(instance_id)}/executions"


def execution_path(instance_id: str, execution_id: str) -> str:
    return f"{executions_path(instance_id)}/{checked_id('execution_id', execution_id)}"


def list_executions(
    instance_id: str,
    *,
    page_size: int = PAGE_SIZE,
    until: Callable[[Execution], bool] | None = None,
) -> Flow[list[Execution]]:
    """List the executions of an instance.

    Source: ``IntegrationBatchService.ts`` of the vendor's web client, https://github.com/mnguyen-mics/mcu-nx. The
    order of the list is not documented.

    :param instance_id: the platform's id of the instance
    :param page_size: executions in each request
    :param until: no further page is read after the first page with an execution for which it is true; None reads all
    :raises MicsError: the id is invalid
    :raises MicsNotFoundError: when run: there is no such instance
    """
    path = executions_path(instance_id)
    return whole_list(path, Execution, lambda each: each.id, {}, page_size=page_size, until=until)


def read_recent_executions(
    instance_id: str,
    make_is_enough: Callable[[], Callable[[Execution], bool]],
    *,
    page_size: int = PAGE_SIZE,
    checks_first_page: bool = False,
) -> Flow[ListResult[Execution]]:
    """Read the executions of an instance from the newest on, as far back as needed, see `read_recent`.

    :param instance_id: the platform's id of the instance
    :param make_is_enough: returns a new condition, which gets each execution, from the newest to the oldest, and tells
        whether none is needed that was created before it
    :param page_size: executions in each request
    :param checks_first_page: see `read_recent`
    :raises MicsError: the id is invalid
    :raises MicsNotFoundError: when run: there is no such instance
    """
    return read_recent(
        executions_path(instance_id),
        Execution,
        lambda each: each.id,
        {},
        date=lambda each: each.creation_date,
        make_is_enough=make_is_enough,
        page_size=page_size,
        checks_first_page=checks_first_page,
    )


def list_organisation_executions(
    organisation_id: str | None = None,
    *,
    page_size: int = PAGE_SIZE,
    until: Callable[[Execution], bool] | None = None,
) -> Flow[list[Execution]]:
    """List the executions of all instances of an organisation.

    Source: ``IntegrationBatchService.ts`` of the vendor's web client, https://github.com/mnguyen-mics/mcu-nx

    :param organisation_id: None means the client's own organisation
    :param page_size: executions in each request
    :param until: no further page is read after the first page with an execution for which it is true; None reads all
    :raises MicsNotFoundError: when run: this platform does not have the route; use `list_executions`
    """
    query = {"organisation_id": organisation_id}
    return whole_list(
        ORGANISATION_EXECUTIONS, Execution, lambda each: each.id, query, page_size=page_size, until=until
    )


def newest_execution(executions: Sequence[Execution]) -> Execution:
    """Return the execution created last; ids decide where the platform does not show the creation date.

    :raises ValueError: there is none
    """
    return max(executions, key=lambda each: (_created_ms(each), len(each.id), each.id))


def _created_ms(execution: Execution) -> int:
    return milliseconds(execution.creation_date) if execution.creation_date else 0


def create_execution(
    instance_id: str,
    execution_type: str | ExecutionType = ExecutionType.MANUAL,
    *,
    expected_start_date: datetime | int,
    organisation_id: str | None = None,
) -> Call[Execution]:
    """Create an execution, which starts at a given time.

    The platform has no idempotency key: after a lost response, nobody knows whether the batch was started. To start
    it exactly once, use `airflow_provider_mics.core.exactly_once`.

    Source: https://developer.mediarithmics.io/data-ingestion/bulk-processing/integration-batch

    :param instance_id: the platform's id of the instance
    :param execution_type: ``MANUAL``; ``CRON`` is what the platform's own scheduler creates
    :param expected_start_date: an aware datetime, or epoch milliseconds; a time in the past starts at once
    :param organisation_id: None means the client's own organisation
    :raises MicsError: the id, the type or the date is invalid
    :raises MicsApiError: when run: the platform refuses the request
    :raises MicsConnectionError: when run: no response; it may have been created unless ``certainly_not_sent``
    """
    body = {
        "organisation_id": organisation_id,
        "status": str(ExecutionStatus.PENDING),
        "parameters": {
            "execution_type": checked_execution_type(execution_type),
            "expected_start_date": checked_milliseconds("expected_start_date", expected_start_date),
        },
    }
    return Call("POST", executions_path(instance_id), one(Execution), body=body)


@flow
def get_execution(instance_id: str, execution_id: str) -> Steps[Execution]:
    """Get an execution; on a platform without that route, from the list of the instance's executions.

    Source: https://developer.mediarithmics.io/data-ingestion/bulk-processing/integration-batch, which names GET but not
    the route.

    :param instance_id: the platform's id of the instance
    :param execution_id: the platform's id of the execution
    :raises MicsNotFoundError: there is no such execution
    :raises MicsError: an id is invalid, or the platform fails otherwise and its list does not have the execution
    """
    execution, _ = yield from _get_with_raw(instance_id, execution_id)
    return execution


ExecutionWithRaw = tuple[Execution, dict[str, Any] | None]
"""An execution, and the JSON that it was read from, to be written back unchanged; None if that is not possible."""
_WITH_RAW: Any = Annotated[ExecutionWithRaw, BeforeValidator(lambda item: (cleaned(item), item))]


def _get_with_raw(instance_id: str, execution_id: str) -> Steps[ExecutionWithRaw]:
    read = one_with_raw(Execution, has_id=str(execution_id))
    call = Call("GET", execution_path(instance_id, execution_id), read)
    try:
        return (yield from call)
    except MicsError as error:
        if not may_lack_route(error):
            raise
        refusal = error
    found = yield from _find_in_list(instance_id, str(execution_id))
    if found is not None:
        return found
    if not is_missing(refusal):
        raise refusal
    raise execution_not_found(instance_id, execution_id, refusal)


def execution_not_found(
    instance_id: str, execution_id: str, refusal: MicsApiError | None = None
) -> MicsNotFoundError:
    """Return the error for an execution that neither its own route nor the instance's list has.

    ``refusal`` is the platform's answer to the request by id; its error code and error id are kept.
    """
    return MicsNotFoundError(
        f"instance {instance_id} has no execution {execution_id}",
        status_code=404,
        request=f"GET /v1/{execution_path(instance_id, execution_id)}",
        error_code=None if refusal is None else refusal.error_code,
        error_id=None if refusal is None else refusal.error_id,
    )


def _find_in_list(instance_id: str, execution_id: str) -> Steps[ExecutionWithRaw | None]:
    """Find an execution in the list of its instance, from the newest end on if the list is sorted by creation."""
    path = executions_path(instance_id)

    def is_wanted(item: ExecutionWithRaw) -> bool:
        return item[0].id == execution_id

    first = yield from list_page(path, _WITH_RAW, {}, 0, PAGE_SIZE, is_cleaned=False)
    if not any(map(is_wanted, first.data)) and may_have_newest_last(first, _created, PAGE_SIZE):
        listed = yield from read_recent(
            path,
            _WITH_RAW,
            _id_of,
            {},
            date=_created,
            make_is_enough=until_all_seen([execution_id], _id_of),
            is_cleaned=False,
        )
        found = next(filter(is_wanted, listed.items), None)
        if found is not None or listed.is_complete:
            return found
    listed = yield from read_list(path, _WITH_RAW, _id_of, {}, until=is_wanted, is_cleaned=False, first=first)
    return next(filter(is_wanted, listed.items), None)


def _id_of(item: ExecutionWithRaw) -> str:
    return item[0].id


def _created(item: ExecutionWithRaw) -> datetime | None:
    return item[0].creation_date


@flow
def update_execution(instance_id: str, execution_id: str, **changes: Any) -> Steps[Execution]:
    """Change fields of an execution: read it, and write the whole resource back, unknown fields included.

    Source: https://developer.mediarithmics.io/data-ingestion/bulk-processing/integration-batch, which names PUT but not
    its effect.

    :param instance_id: the platform's id of the instance
    :param execution_id: the platform's id of the execution
    :param changes: JSON values by field name, such as ``status="CANCELED"``
    :raises MicsError: an id is invalid
    :raises MicsNotFoundError: there is no such execution
    :raises MicsApiError: the platform refuses the change
    """
    _, raw = yield from _get_with_raw(instance_id, execution_id)
    return (yield from _put_execution(instance_id, execution_id, raw, changes))


@flow
def _put_execution(
    instance_id: str, execution_id: str, raw: dict[str, Any] | None, changes: dict[str, Any]
) -> Steps[Execution]:
    path = execution_path(instance_id, execution_id)
    if raw is None:
        raise cannot_be_written_back(path)
    body = raw | changes
    if not body.get("parameters"):
        # The platform did not show the parameters. Writing none back could delete them.
        body = {name: value for name, value in body.items() if name != "parameters"}
    return (yield from Call("PUT", path, one_or_sent(Execution, body), body=body))


def delete_execution(instance_id: str, execution_id: str) -> Call[None]:
    """Delete an execution.

    Source: https://developer.mediarithmics.io/data-ingestion/bulk-processing/integration-batch, which names DELETE but
    not its effect on a running execution.

    :param instance_id: the platform's id of the instance
    :param execution_id: the platform's id of the execution
    :raises MicsError: an id is invalid
    :raises MicsApiError: when run: the platform refuses the request
    """
    return Call("DELETE", execution_path(instance_id, execution_id), ignore_body)


CancelMethod = Literal["already over", "cancel action", "status update", "deletion"]
"""How an execution was canceled; ``already over`` means that there was nothing to cancel."""


@dataclass(frozen=True)
class Cancellation:
    """The result of `cancel_execution`: the method that the platform accepted, and the execution before it."""

    method: CancelMethod
    execution: Execution


@flow
def cancel_execution(instance_id: str, execution_id: str) -> Steps[Cancellation]:
    """Cancel an execution by the first method that the platform accepts: the cancel action, a PUT, or a DELETE.

    It does not wait until the platform has stopped the execution. Only a pending execution is deleted: what happens
    to a running one that is deleted is not documented.

    Source: the cancel action is that of document imports in the vendor's web client (``ImportService.ts``,
    https://github.com/mnguyen-mics/mcu-nx); none is documented for integration batches.

    :param instance_id: the platform's id of the instance
    :param execution_id: the platform's id of the execution
    :raises MicsNotFoundError: there is no such execution, also if it was deleted meanwhile
    :raises MicsError: an id is invalid, or the platform rejected every method: the message lists them
    """
    execution, raw = yield from _get_with_raw(instance_id, execution_id)
    if execution.is_over:
        return Cancellation("already over", execution)
    refusals: list[MicsError] = []
    for method, request in _cancel_requests(instance_id, execution_id, execution, raw):
        try:
            yield from request
            return Cancellation(method, execution)
        except (MicsApiError, MicsResponseError) as refusal:
            refusals.append(refusal)
            if not may_lack_route(refusal):
                break
    now = yield from get_execution(instance_id, execution_id)
    if now.is_over:
        return Cancellation("already over", now)
    if not may_lack_route(refusals[-1]):
        raise refusals[-1]
    # What a gateway says of a route is no word of the platform: the caller may ask again, as in an outage.
    is_proven = all(not isinstance(each, MicsApiError) or each.from_platform for each in refusals)
    raise (MicsError if is_proven else MicsResponseError)(
        f"execution {execution_id} of instance {instance_id} is still {now.status}: "
        f"the platform rejected every cancel method: {'; '.join(map(str, refusals))}"
    )


def _cancel_requests(
    instance_id: str, execution_id: str, execution: Execution, raw: dict[str, Any] | None
) -> Iterator[tuple[CancelMethod, Job[Any]]]:
    path = f"{execution_path(instance_id, execution_id)}/action"
    yield "cancel action", Call("POST", path, ignore_body, body={"action": "CANCEL"})
    canceled = {"status": str(ExecutionStatus.CANCELED)}
    yield "status update", _put_execution(instance_id, execution_id, raw, canceled)
    if execution.is_pending:
        yield "deletion", delete_execution(instance_id, execution_id)
