"""Quirks: switches for behaviour of the platform that its documentation leaves open.

The defaults are the most likely behaviour. ``--help`` and ``GET /_sandbox/quirks`` show the descriptions given here.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Route = Literal["available", "404", "405"]
Spelling = Literal["documented", "console", "both"]
Dropped = Literal["none", "optional", "all"]


class Quirks(BaseModel):
    """Values of all quirks."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    # Names and forms of fields
    sizes_in_answers: Spelling = Field(
        "documented",
        description="names of the container sizes in answers: cpu_size and EXTRA_LARGE (documented), "
        "execution_container_cpu_size and XL (console), or both",
    )
    sizes_accepted: Spelling = Field(
        "both",
        description="names of the container sizes accepted in requests; the others count as unknown fields",
    )
    ids_as_numbers: bool = Field(False, description="ids are JSON numbers, not strings of digits")
    dates_as: Literal["milliseconds", "seconds", "iso", "iso_without_offset"] = Field(
        "milliseconds",
        description="dates in answers: epoch milliseconds, epoch seconds, or ISO 8601 in UTC with or without its "
        "offset",
    )
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
        0, ge=0, description="seconds after its start for which an execution has the status unknown_status"
    )
    unknown_status: str = Field("PROVISIONING", description="the status during unknown_status_s")
    sparse_executions: Dropped = Field(
        "none",
        description="missing fields of executions: none, all but id, status and parameters (optional), or all but "
        "id and status (all)",
    )
    null_executions: Dropped = Field(
        "none", description="fields of executions that are null, as in sparse_executions"
    )
    extra_fields: bool = Field(False, description="answers have additional, undocumented fields")
    execution_error: Literal["object", "string"] = Field(
        "object", description="the error of a failed execution: {message}, or only the message"
    )
    task_counts: Literal["number", "string", "null"] = Field(
        "number",
        description="num_tasks, completed_tasks and erroneous_tasks as numbers, strings of digits or null",
    )

    # Lists
    list_order: Literal["newest", "oldest", "random", "unstable"] = Field(
        "newest",
        description="order of lists: newest first, oldest first, shuffled (random), or shuffled each time (unstable)",
    )
    lists_have_total: bool = Field(True, description="lists have a total")
    total_shown: Literal["true", "text", "of_page", "too_small", "too_large"] = Field(
        "true",
        description="the total of lists: the number of their items (true), the same as a string (text), the number of "
        "items of the page (of_page), half of it (too_small), or three times as many (too_large)",
    )
    past_the_end: Literal["empty", "400", "404", "416"] = Field(
        "empty",
        description="the answer to a first_result beyond the end of a list: an empty page, or an error of that status",
    )
    lists_paginated: bool = Field(
        True, description="lists apply first_result and max_results; if not, they are always complete"
    )
    default_max_results: int = Field(50, ge=1, description="page size of requests without max_results")
    max_results_cap: int | None = Field(None, ge=1, description="the largest page size; none: unlimited")
    max_results_echo: Literal["given", "asked"] = Field(
        "given",
        description="max_results of an answer: the capped one (given), or that of the request (asked)",
    )
    archived_in_lists: bool = Field(True, description="lists of instances include archived ones")
    list_filters: bool = Field(True, description="lists apply filters (group_id, cron_status, ...)")

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
        "replace", description="fields missing in a PUT are reset (replace) or kept (merge)"
    )
    cancel_answer: Literal["json", "text", "empty"] = Field(
        "json", description="body of the answer to a cancel action: the execution, text/plain, or empty"
    )
    cancel_running: bool = Field(True, description="a RUNNING execution can be canceled; if not, 409")
    cancel_takes_s: float = Field(0, ge=0, description="seconds from a cancel request to its effect")
    delete_running: Literal["cancels", "hides", "refused"] = Field(
        "cancels", description="DELETE of a RUNNING execution: stops it, hides it while it runs, or is a 409"
    )
    delete_answer: Literal["json", "empty"] = Field(
        "json", description='answer to a DELETE: {"status": "ok"}, or 204 without a body'
    )
    cron_validation: bool = Field(
        True, description="an invalid cron is a 400; if not, it is stored and never fires"
    )

    # Errors
    errors_as: Literal["json", "html", "text", "bare_json"] = Field(
        "json",
        description="format of errors: the documented JSON, an HTML page, plain text, or JSON with only a message",
    )
    errors_with_status_200: bool = Field(False, description="errors have HTTP status 200")

    # The platform's own scheduler and clock
    creates_ahead_s: float = Field(
        0, ge=0, description="seconds before a tick at which the scheduler creates its execution"
    )
    skips_planned_ticks: bool = Field(
        False,
        description="the scheduler skips a tick if a request has created a CRON execution for it",
    )
    platform_silent: bool = Field(
        False, description="the scheduler creates nothing, and does not make up for it later"
    )
    platform_late_s: float = Field(
        0, ge=0, description="seconds after a tick at which the scheduler creates its execution"
    )
    missed_tick_grace_s: float = Field(
        10, ge=0, description="real seconds for which a tick missed while the server was down is made up"
    )
    pausing_cancels: bool = Field(True, description="pausing an instance cancels its future executions")
    repeated_hour: Literal["first", "second"] = Field(
        "first", description="which of the two hours of the same name in autumn a fixed hour fires in"
    )
    clock_offset_s: float = Field(
        0,
        description="seconds by which the platform's clock, also in the Date of its answers, is ahead, or behind if "
        "negative",
    )
    start_latency_s: float = Field(0, ge=0, description="seconds from expected_start_date to the start")


class InvalidQuirkError(ValueError):
    """An unknown quirk or an invalid value. Its text is one line for the user."""


def with_changes(quirks: Quirks, changes: dict[str, Any]) -> Quirks:
    """Return the quirks with some of them changed.

    :raises InvalidQuirkError: unknown name or invalid value
    """
    try:
        return Quirks.model_validate(quirks.model_dump() | changes)
    except ValidationError as invalid:
        problem = invalid.errors(include_url=False)[0]
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            raise InvalidQuirkError(f"there is no quirk {name!r}: see --help") from None
        raise InvalidQuirkError(f"quirk {name}: {problem['msg']}, not {problem['input']!r}") from None


def quirk_of_option(option: str) -> dict[str, Any]:
    """Parse an option ``NAME=VALUE``. ``NAME`` alone means true, the value ``none`` no value."""
    name, given, value = option.partition("=")
    if not given:
        return {name: True}
    optional = name in Quirks.model_fields and Quirks.model_fields[name].default is None
    return {name: None if optional and value.lower() == "none" else value}


def describe_quirks() -> list[str]:
    """Return a line for each quirk with its name, default and description."""
    return [f"{name}={field.default}: {field.description}" for name, field in Quirks.model_fields.items()]
