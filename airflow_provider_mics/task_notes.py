"""A note that outlives a try of a task, where Airflow offers one (3.3): a fast path only, nothing depends on it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_mics.task_tries import task_try_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

NOTE = "mics_execution"
logger = logging.getLogger(__name__)


def note_execution(context: Context, execution_id: str) -> None:
    """Write down the execution of this try for the next one."""
    store: Any = context.get("task_state_store")
    if store is None:
        return
    try:
        store.set(NOTE, {"execution_id": execution_id, "generation": task_try_of(context).generation})
    except Exception as error:  # noqa: BLE001 - the next try finds the execution without it
        logger.debug("The execution is not noted: %s", error)


def noted_execution(context: Context) -> str | None:
    """The execution that an earlier try wrote down, unless the task was cleared since: the note survives a clear."""
    store: Any = context.get("task_state_store")
    task_try = task_try_of(context)
    if store is None or not task_try.is_retry:
        return None
    try:
        note = store.get(NOTE)
    except Exception as error:  # noqa: BLE001 - the execution is found without it
        logger.debug("What an earlier try noted cannot be read: %s", error)
        return None
    if not isinstance(note, dict) or note.get("generation") != task_try.generation:
        return None
    return str(note.get("execution_id"))
