"""How an error becomes the failure of an Airflow task, or one line of text."""

from __future__ import annotations

import logging
from types import TracebackType

from airflow_provider_mics.api.errors import MicsApiError, MicsError
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import is_outage
from airflow_provider_mics.api.progress import SHORT_REASON, short_ending
from airflow_provider_mics.api.text import one_line
from airflow_provider_mics.runtime.compat import AirflowException, AirflowFailException

FINAL_STATUS_CODES = (400, 401, 403, 404, 405, 422)
"""HTTP status codes that a retry of the task would get again."""
OWN_PACKAGE = __name__.partition(".")[0]
logger = logging.getLogger(__name__)


def is_final(error: MicsError) -> bool:
    """Whether a retry would fail the same way: a wrong argument or setting, or a refusal by the platform."""
    return type(error) is MicsError or (
        isinstance(error, MicsApiError) and error.status_code in FINAL_STATUS_CODES and not is_outage(error)
    )


def task_failure(message: str, *, final: bool, reason: str = "") -> AirflowException:
    """Return the exception for a task to raise. Airflow does not retry after a final one.

    :param reason: the platform's own words in ``message``: they are logged whole, and shortened in the exception
    """
    if line := one_line(reason):
        logger.error("%s", line)
        message = message.replace(reason, one_line(line, SHORT_REASON))
    return AirflowFailException(message) if final else AirflowException(message)


def execution_failure(name: str, execution: Execution) -> AirflowException:
    """Return the exception for an execution that failed, after its message was logged on a line of its own."""
    if execution.error_message:
        logger.error("%s", execution.error_message)
    return AirflowException(f"{name} {short_ending(execution)}")


class errors_as_task_failures:  # noqa: N801 - used like a function
    """Context in which a `MicsError` becomes the failure of the task, and the traceback of a failure is short.

    The platform's message is logged on a line of its own before. How the work of a task is divided into methods tells
    the reader of its log nothing, so the traceback ends here, unless it ends in code of others.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, MicsError):
            reason = error.message if isinstance(error, MicsApiError) else ""
            raise task_failure(str(error), final=is_final(error), reason=reason) from None
        if isinstance(error, AirflowException) and _is_raised_here(traceback):
            raise error.with_traceback(None) from None


def _is_raised_here(traceback: TracebackType | None) -> bool:
    """Whether a traceback ends in a module of this package."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    module = "" if traceback is None else str(traceback.tb_frame.f_globals.get("__name__"))
    return module.partition(".")[0] == OWN_PACKAGE


def one_line_of(error: Exception) -> str:
    """Return an error as one line of text, with its type unless it is one of ours."""
    if isinstance(error, MicsError):
        return str(error)
    return one_line(f"{type(error).__name__}: {error}")
