"""Which routes the platform has, and how it says that something does not exist."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import TypeGuard

from airflow_provider_mics.api.calls import Call, Steps, flow
from airflow_provider_mics.api.errors import (
    MicsApiError,
    MicsConnectionError,
    MicsError,
    MicsResponseError,
    MicsTimeoutError,
)
from airflow_provider_mics.api.executions import execution_path, is_missing, may_lack_route, newest_execution
from airflow_provider_mics.api.instances import INSTANCES
from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.api.responses import one
from airflow_provider_mics.doctor.checks.rows import Result, Row

NO_INSTANCE = "999999999999"
"""An id that no instance has."""
NO_ROUTE = "airflow_provider_mics_doctor"
"""A path that no platform has."""
TEMPORARY_REFUSALS = (408, 425, 429)
MOST_ASKED_BY_ID = 2


@flow
def ask_for_error(call: Call[object]) -> Steps[MicsError | None]:
    """Send a request and return its error, or None if it succeeded.

    :raises MicsConnectionError: no answer came
    """
    try:
        yield from call
    except (MicsConnectionError, MicsTimeoutError):
        raise
    except MicsError as error:
        return error
    return None


def missing_instance() -> Call[object]:
    return Call("GET", f"{INSTANCES}/{NO_INSTANCE}", one(Instance))


def missing_route() -> Call[object]:
    return Call("GET", NO_ROUTE, one(Instance))


def worth_asking_for(
    executions: Iterable[tuple[str, Execution]], instance_ids: Container[str]
) -> list[tuple[str, Execution]]:
    """Return the newest execution, and the newest of another instance: one may be gone, or the route of both missing.

    :param executions: with the ids of their instances
    :param instance_ids: those of the instances that exist: a list may still show executions of one that was deleted
    """
    newest: dict[str, Execution] = {}
    for instance_id, execution in executions:
        if instance_id in instance_ids:
            newest[instance_id] = newest_execution([newest.get(instance_id, execution), execution])
    chosen: list[tuple[str, Execution]] = []
    while newest and len(chosen) < MOST_ASKED_BY_ID:
        execution = newest_execution(list(newest.values()))
        instance_id = next(key for key, each in newest.items() if each is execution)
        chosen.append((instance_id, newest.pop(instance_id)))
    return chosen


@flow
def ask_by_id(instance_id: str, execution_id: str) -> Steps[Execution | MicsError]:
    """Ask for an execution by its id, without the way around of `get_execution`.

    :raises MicsConnectionError: no answer came
    """
    try:
        path = execution_path(instance_id, execution_id)
        return (yield from Call("GET", path, one(Execution, has_id=execution_id)))
    except (MicsConnectionError, MicsTimeoutError):
        raise
    except MicsError as error:
        return error


def organisation_route_row(problem: MicsError | None) -> Row:
    """Return whether the platform has the list of all executions of an organisation."""
    check = "organisation's executions"
    if problem is None:
        means = "One request answers for all waits of a triggerer."
        return Row(check, Result.OK, "the route is there", means)
    if may_lack_route(problem):
        means = "Each waiting task costs a request in each interval."
        advice = "Raise poll_interval where many tasks wait at once."
        found = "no such route" if is_missing(problem) else f"no answer of the platform: {problem}"
        return Row(check, Result.NOTE, found, means, advice)
    return Row(check, Result.NOT_ASKED, str(problem))


def by_id_row(answer: Execution | MicsError | None) -> Row:
    """Return whether an execution can be asked for by its id.

    :param answer: None where there is no execution to ask for
    """
    if answer is None:
        return Row("get by id", Result.UNKNOWN, "there is no execution to ask for")
    if isinstance(answer, Execution):
        return Row("get by id", Result.OK, f"execution {answer.id} was found", "As documented.")
    if is_missing(answer):
        means = "Executions are looked up in the list of their instance instead, which takes more requests."
        return Row("get by id", Result.NOTE, f"no such route (HTTP {answer.status_code})", means)
    if may_lack_route(answer):
        means = "Executions are looked up in the list of their instance, but one that is not there counts as an outage."
        return Row("get by id", Result.NOTE, f"no answer of the platform: {answer}", means)
    return Row("get by id", Result.NOT_ASKED, str(answer))


def missing_row(instance: MicsError | None, route: MicsError | None) -> Row:
    """Return how the platform answers for an instance and a route that do not exist."""
    check = "404"
    passing = next(filter(is_passing, (instance, route)), None)
    if passing is not None:
        return Row(
            check, Result.NOT_ASKED, str(passing), "An outage or a rate limit hides it.", "Ask again later."
        )
    found = f"missing instance: {_described(instance)}; missing route: {_described(route)}"
    if instance is None:
        means = "Something answers in the platform's place."
        return Row(check, Result.TO_DO, found, means, "Check the host, the proxy and NO_PROXY.")
    if not is_missing(instance):
        means = (
            "What is gone cannot be told from an outage: the DAG of a deleted instance stays, and its tasks wait for "
            "their time-out."
        )
        if isinstance(instance, MicsApiError) and instance.from_platform:
            advice = "Archive instances instead of deleting them."
        else:
            advice = (
                "Archive instances instead of deleting them. If a gateway writes these answers, go past it."
            )
        return Row(check, Result.NOTE, found, means, advice)
    if route is not None and not is_missing(route):
        means = (
            "A missing route is known by its answer, and its way around taken; a missing instance is certain."
        )
        return Row(check, Result.NOTE, found, means)
    return Row(check, Result.OK, found, "What is gone is told from an outage.")


def is_passing(error: MicsError | None) -> TypeGuard[MicsApiError]:
    """Whether an answer is that of a moment, which says nothing of what exists."""
    return isinstance(error, MicsApiError) and (
        error.status_code >= 500 or error.status_code in TEMPORARY_REFUSALS
    )


def _described(error: MicsError | None) -> str:
    if error is None:
        return "a success"
    if isinstance(error, MicsApiError):
        whose = "in the platform's wrapper" if error.from_platform else "without the platform's wrapper"
        return f"{error.status_code} {whose}"
    return "unreadable" if isinstance(error, MicsResponseError) else "no answer"
