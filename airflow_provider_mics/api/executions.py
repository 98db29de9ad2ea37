"""Executions of integration batch instances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

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
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.paging import PAGE_SIZE, whole_list
from airflow_provider_mics.api.responses import ignore_body, one, one_with_raw
from airflow_provider_mics.api.validation import checked_execution_type, checked_id, checked_milliseconds

ORGANISATION_EXECUTIONS = f"{INSTANCES}.executions"
NO_SUCH_ROUTE = (404, 405)


def may_lack_route(error: MicsError) -> bool:
    """Whether the platform may not have what was asked at all.

    One that answers unknown paths with HTTP 200, an error or a web page in it, does not say.
    """
    if isinstance(error, MicsApiError):
        return error.status_code in NO_SUCH_ROUTE or 200 <= error.status_code < 300
    return isinstance(error, MicsResponseError)


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
    """The executions of one instance; reading ends early after the page on which ``until`` holds for one."""
    path = executions_path(instance_id)
    return whole_list(path, Execution, lambda each: each.id, {}, page_size=page_size, until=until)


def list_organisation_executions(
    organisation_id: str | None = None,
    *,
    page_size: int = PAGE_SIZE,
    until: Callable[[Execution], bool] | None = None,
) -> Flow[list[Execution]]:
    """The executions of all instances of an organisation, in one list.

    :raises MicsNotFoundError: this platform does not have that list; ask instance by instance
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
    """Plan an execution for a moment (an aware datetime, or epoch milliseconds); one in the past starts at once.

    The platform has no idempotency key: a lost answer leaves open whether the batch was started. To start one
    exactly once, use `airflow_provider_mics.core.exactly_once`.
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
    """One execution; a platform without that route is asked for the instance's list.

    :raises MicsNotFoundError: there is no such execution
    :raises MicsError: the platform says something else, and its list does not have the execution either
    """
    execution, _ = yield from _get_as_it_came(instance_id, execution_id)
    return execution


ExecutionAsItCame = tuple[Execution, dict[str, Any]]
"""An execution, and the JSON that it was read from: what is to be written back must not have lost anything."""
_AS_IT_CAME: Any = Annotated[ExecutionAsItCame, BeforeValidator(lambda item: (item, item))]


def _get_as_it_came(instance_id: str, execution_id: str) -> Steps[ExecutionAsItCame]:
    call = Call("GET", execution_path(instance_id, execution_id), one_with_raw(Execution))
    try:
        return (yield from call)
    except MicsError as error:
        if not may_lack_route(error):
            raise
        refusal = error
    wanted = str(execution_id)
    executions: list[ExecutionAsItCame] = yield from whole_list(
        executions_path(instance_id),
        _AS_IT_CAME,
        lambda each: each[0].id,
        {},
        until=lambda each: each[0].id == wanted,
    )
    for execution, as_it_came in executions:
        if execution.id == wanted:
            return execution, as_it_came
    if not isinstance(refusal, MicsApiError) or refusal.status_code not in NO_SUCH_ROUTE:
        raise refusal
    raise MicsNotFoundError(
        f"instance {instance_id} has no execution {execution_id}",
        status_code=404,
        request=str(call),
        error_code=refusal.error_code,
        error_id=refusal.error_id,
    )


@flow
def update_execution(instance_id: str, execution_id: str, **changes: Any) -> Steps[Execution]:
    """Change fields of an execution: it is read, changed and written back whole, unknown fields included."""
    _, as_it_came = yield from _get_as_it_came(instance_id, execution_id)
    return (yield from _put_execution(instance_id, execution_id, as_it_came | changes))


def _put_execution(instance_id: str, execution_id: str, body: dict[str, Any]) -> Call[Execution]:
    if not body.get("parameters"):
        # The platform showed none. To write that back could empty what it has.
        body = {name: value for name, value in body.items() if name != "parameters"}
    return Call("PUT", execution_path(instance_id, execution_id), one(Execution), body=body)


def delete_execution(instance_id: str, execution_id: str) -> Call[None]:
    return Call("DELETE", execution_path(instance_id, execution_id), ignore_body)


CancelMethod = Literal["already over", "cancel action", "PUT of the status", "DELETE"]


@dataclass(frozen=True)
class Cancellation:
    """The result of canceling: the method that worked, and the execution as it was read last."""

    method: CancelMethod
    execution: Execution


@flow
def cancel_execution(instance_id: str, execution_id: str) -> Steps[Cancellation]:
    """Cancel one execution by whatever the platform offers: the cancel action, else a PUT, else a DELETE.

    It does not wait for the platform to have stopped it. Only a pending execution is ever deleted, since what
    becomes of a running one that is deleted is not known.

    :raises MicsNotFoundError: there is no such execution, or it went away meanwhile
    :raises MicsError: the platform offers none of them for this execution; it says what was tried
    """
    execution, as_it_came = yield from _get_as_it_came(instance_id, execution_id)
    if execution.is_over:
        return Cancellation("already over", execution)
    action = Call(
        "POST", f"{execution_path(instance_id, execution_id)}/action", ignore_body, body={"action": "CANCEL"}
    )
    canceled = as_it_came | {"status": str(ExecutionStatus.CANCELED)}
    attempts: list[tuple[CancelMethod, Job[Any]]] = [
        ("cancel action", action),
        ("PUT of the status", _put_execution(instance_id, execution_id, canceled)),
    ]
    if execution.is_pending:
        attempts.append(("DELETE", delete_execution(instance_id, execution_id)))
    refusals: list[MicsError] = []
    for method, attempt in attempts:
        try:
            yield from attempt
            return Cancellation(method, execution)
        except (MicsApiError, MicsResponseError) as refusal:
            if not may_lack_route(refusal):
                now = yield from get_execution(instance_id, execution_id)
                if now.is_over:
                    return Cancellation("already over", now)
                raise
            refusals.append(refusal)
    now = yield from get_execution(instance_id, execution_id)
    if now.is_over:
        return Cancellation("already over", now)
    tried = "; ".join(str(refusal) for refusal in refusals)
    raise MicsError(
        f"execution {execution_id} of instance {instance_id} goes on as {now.status}: "
        f"the platform offers no way to cancel it: {tried}"
    )
