"""After a clear, find what earlier tries of the task have left running."""

from __future__ import annotations

from collections.abc import Collection

from airflow_provider_mics.api.calls import Steps, flow
from airflow_provider_mics.api.executions import list_executions
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.paging import LARGE_PAGE_SIZE
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity


@flow
def unfinished_executions(identities: Collection[ExecutionIdentity]) -> Steps[list[Execution]]:
    """Return the executions of these identities, of one instance, that are not over.

    :raises MicsError: the list could not be read
    """
    instance_id = next(iter(identities)).instance_id
    executions = yield from list_executions(instance_id, page_size=LARGE_PAGE_SIZE)
    return [
        each
        for each in executions
        if not each.is_over and any(_is_of(identity, each) for identity in identities)
    ]


def _is_of(identity: ExecutionIdentity, execution: Execution) -> bool:
    """Whether an execution is of this identity, however long before the last clear of the run it was created."""
    if identity.moments is not None and identity.moments.is_wide:
        return identity.has_moment_of(execution)
    return identity.matches(execution)
