"""The switchboard of uncertain readings: what the platform might do, and its documentation does not settle.

This is the one place where a quirk is described: ``--help`` and ``GET /_sandbox/quirks`` show these descriptions.
The defaults are the likeliest reading.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Route = Literal["available", "404", "405"]
Spelling = Literal["documented", "console", "both"]
Dropped = Literal["none", "optional", "all"]


class Quirks(BaseModel):
    """How this platform behaves where it could behave in several ways."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    # Names and forms of fields
    sizes_in_answers: Spelling = Field(
        "documented",
        description="names of the container sizes in answers: cpu_size and EXTRA_LARGE (documented), "
        "execution_container_cpu_size and XL (console), or both",
    )
    sizes_accepted: Spelling = Field(
        "both", description="names of the container sizes understood in requests; others are kept as unknown"
    )
    ids_as_numbers: bool = Field(False, description="ids are JSON numbers instead of strings of digits")
    job_type: Literal["INTEGRATION_BATCH", "BATCH_INTEGRATION"] = Field(
        "INTEGRATION_BATCH", description="the job_type of executions"
    )
    pending_as: str = Field(
        "PENDING", description="spelling of PENDING: SCHEDULED, WAITING_DEPENDENT_JOB, ..."
    )
    running_as: str = Field("RUNNING", description="spelling of RUNNING")
    succeeded_as: str = Field("SUCCEEDED", description="spelling of SUCCEEDED: SUCCESS, ...")
    failed_as: str = Field("FAILED", description="spelling of FAILED: LOST, EXECUTOR_NOT_RESPONDING, ...")
    canceled_as: str = Field("CANCELED", description="spelling of CANCELED: CANCELLED, ...")
    unknown_status_s: float = Field(
        0, ge=0, description="for so many seconds after its start an execution shows unknown_status"
    )
    unknown_status: str = Field("PROVISIONING", description="the status shown during unknown_status_s")
    sparse_executions: Dropped = Field(
        "none",
        description="absent fields of executions: all but id, status and parameters (optional), or those too (all)",
    )
    null_executions: Dropped = Field(
        "none", description="fields of executions that are null: as in sparse_executions"
    )
    extra_fields: bool = Field(False, description="resources and wrappers hold fields that nobody knows")
    execution_error: Literal["object", "string"] = Field(
        "object", description="the error of a failed execution: {message} or the bare message"
    )
    task_counts: Literal["number", "string", "null"] = Field(
        "number",
        description="num_tasks, completed_tasks and erroneous_tasks as numbers, strings of digits or null",
    )

    # Lists
    list_order: Literal["newest", "oldest", "random", "unstable"] = Field(
        "newest",
        description="order of lists: newest first, oldest first, a random one that stays, or another one each time",
    )
    lists_have_total: bool = Field(True, description="lists say their total")
    lists_paginated: bool = Field(
        True, description="lists honour first_result and max_results; else they come whole"
    )
    default_max_results: int = Field(50, ge=1, description="page size where the request names none")
    max_results_cap: int | None = Field(
        None, ge=1, description="the largest page; none: as large as asked for"
    )
    max_results_echo: Literal["given", "asked"] = Field(
        "given", description="the max_results of an answer is the capped one (given) or what was asked for"
    )
    archived_in_lists: bool = Field(True, description="lists of instances hold archived ones")
    list_filters: bool = Field(True, description="filters of lists (group_id, cron_status, ...) are honoured")

    # Routes that may be missing
    organisation_executions: Route = Field(
        "available", description="GET /v1/integration_batch_instances.executions"
    )
    execution_get: Route = Field("available", description="GET of one execution")
    execution_put: Route = Field("available", description="PUT of one execution")
    execution_delete: Route = Field("available", description="DELETE of one execution")
    cancel_action: Route = Field("available", description="POST .../executions/{id}/action")
    connected_user: Route = Field("available", description="GET /v1/connected_user")

    # What requests do
    put_semantics: Literal["replace", "merge"] = Field(
        "replace", description="a PUT states the whole resource (replace), or only what is to change (merge)"
    )
    cancel_answer: Literal["json", "text", "empty"] = Field(
        "json", description="body of the answer to a cancel action: the execution, text/plain, or nothing"
    )
    cancel_running: bool = Field(True, description="a RUNNING execution can be canceled; else 409")
    cancel_takes_s: float = Field(0, ge=0, description="seconds from a cancel to its effect")
    delete_running: Literal["cancels", "hides", "refused"] = Field(
        "cancels", description="DELETE of a RUNNING execution stops it, leaves it running unseen, or is a 409"
    )
    delete_answer: Literal["json", "empty"] = Field(
        "json", description='answer to a DELETE: {"status": "ok"}, or 204 without a body'
    )
    cron_validation: bool = Field(
        True, description="an unreadable cron is refused; else it is kept and never fires"
    )

    # Errors
    errors_as: Literal["json", "html", "text", "bare_json"] = Field(
        "json",
        description="form of errors: the wrapper, an HTML page, plain text, or JSON without the known fields",
    )
    errors_with_status_200: bool = Field(False, description="errors come with HTTP status 200")

    # The platform's own scheduler and clock
    creates_ahead_s: float = Field(
        0, ge=0, description="the scheduler creates its executions so many seconds before their tick"
    )
    skips_planned_ticks: bool = Field(
        False,
        description="the scheduler leaves out a tick for which a CRON execution was created by a request",
    )
    platform_silent: bool = Field(
        False, description="the scheduler fires nothing; what it leaves out is lost"
    )
    platform_late_s: float = Field(0, ge=0, description="the scheduler fires so many seconds after the tick")
    missed_tick_grace_s: float = Field(
        10, ge=0, description="a tick missed while the server was down is made up for so many seconds"
    )
    pausing_cancels: bool = Field(True, description="pausing cancels the coming executions")
    repeated_hour: Literal["first", "second"] = Field(
        "first", description="in which of two like-named hours in autumn a fixed hour fires"
    )
    clock_offset_s: float = Field(
        0, description="the platform's clock is ahead by so many seconds (or behind)"
    )
    start_latency_s: float = Field(0, ge=0, description="seconds from the time of an execution to its start")


class UnknownQuirkError(ValueError):
    """A quirk that does not exist, or a value that it cannot have; one line for a person."""


def with_changes(quirks: Quirks, changes: dict[str, Any]) -> Quirks:
    """The quirks with some of them changed.

    :raises UnknownQuirkError: no such quirk, or a value that it cannot have
    """
    try:
        return Quirks.model_validate(quirks.model_dump() | changes)
    except ValidationError as invalid:
        problem = invalid.errors(include_url=False)[0]
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            raise UnknownQuirkError(f"there is no quirk {name!r}: see --help") from None
        raise UnknownQuirkError(f"quirk {name}: {problem['msg']}, not {problem['input']!r}") from None


def quirk_of_option(option: str) -> dict[str, Any]:
    """``NAME=VALUE`` as a change; a bare ``NAME`` switches on, ``none`` means no value."""
    name, given, value = option.partition("=")
    if not given:
        return {name: True}
    optional = name in Quirks.model_fields and Quirks.model_fields[name].default is None
    return {name: None if optional and value.lower() == "none" else value}


def described() -> list[str]:
    """A line for each quirk: its name, its default and what it means."""
    return [f"{name}={field.default}: {field.description}" for name, field in Quirks.model_fields.items()]
