"""How an error becomes the failure of an Airflow task, or one line: the only place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_mics.api.errors import MicsApiError, MicsError

NO_RETRY_HELPS = (400, 401, 403, 404, 405, 422)


def is_final(error: MicsError) -> bool:
    """Whether another try would end the same way: an argument or a setting is wrong, or the platform refuses."""
    return type(error) is MicsError or (
        isinstance(error, MicsApiError) and error.status_code in NO_RETRY_HELPS
    )


def task_failure(message: str, *, final: bool) -> AirflowException:
    """What the task raises; a final one is not retried."""
    return AirflowFailException(message) if final else AirflowException(message)


@contextmanager
def readable_failures() -> Iterator[None]:
    """Let an error of the API fail the task with its one line."""
    try:
        yield
    except MicsError as error:
        raise task_failure(str(error), final=is_final(error)) from None


def one_line_of(error: Exception) -> str:
    """What went wrong, on one line: our own errors are one already."""
    if isinstance(error, MicsError):
        return str(error)
    return " ".join(f"{type(error).__name__}: {error}".split())
