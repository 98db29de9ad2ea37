"""How an error becomes the failure of an Airflow task, or one line of text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_mics.api.errors import MicsApiError, MicsError
from airflow_provider_mics.api.outages import is_outage
from airflow_provider_mics.api.text import one_line

FINAL_STATUS_CODES = (400, 401, 403, 404, 405, 422)
"""HTTP status codes that a retry of the task would get again."""


def is_final(error: MicsError) -> bool:
    """Whether a retry would fail the same way: a wrong argument or setting, or a refusal by the platform."""
    return type(error) is MicsError or (
        isinstance(error, MicsApiError) and error.status_code in FINAL_STATUS_CODES and not is_outage(error)
    )


def task_failure(message: str, *, final: bool) -> AirflowException:
    """Return the exception for a task to raise. Airflow does not retry after a final one."""
    return AirflowFailException(message) if final else AirflowException(message)


@contextmanager
def errors_as_task_failures() -> Iterator[None]:
    """Turn a `MicsError` into the failure of the task, with the same one-line message and no traceback."""
    try:
        yield
    except MicsError as error:
        raise task_failure(str(error), final=is_final(error)) from None


def one_line_of(error: Exception) -> str:
    """Return an error as one line of text, with its type unless it is one of ours."""
    if isinstance(error, MicsError):
        return str(error)
    return one_line(f"{type(error).__name__}: {error}")
