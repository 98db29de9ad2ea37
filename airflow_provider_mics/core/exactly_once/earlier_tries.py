"""After a clear or a stop, find what the task has left running."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime

from airflow_provider_mics.api.calls import Steps, flow
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.core.exactly_once.submission import find_executions, find_own


@flow
def unfinished_executions(
    identities: Iterable[ExecutionIdentity], give_up_at: datetime
) -> Steps[list[Execution]]:
    """Return the executions of these identities that are not over. Outages are waited out until ``give_up_at``.

    :raises MicsError: the list could not be read
    """
    unfinished = []
    for identity in identities:
        # A clear gives a run that has ended a new start: what is older than that is not a stranger's here.
        _, found = yield from find_own(
            replace(identity, not_before=None), has_tried=True, give_up_at=give_up_at
        )
        unfinished += [each for each in found if not each.is_over]
    return unfinished


@flow
def unknown_executions(identity: ExecutionIdentity, known_ids: Collection[str]) -> Steps[list[Execution]]:
    """Return the executions of this identity that are not over, besides ``known_ids``: what a lost request has created.

    :raises MicsError: the list could not be read
    """
    found = yield from find_executions(identity)
    return [each for each in found if each.id not in known_ids and not each.is_over]
