"""A listing of an organisation's instances, and whether it is all of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow_provider_mics.api.answers import Page
from airflow_provider_mics.api.calls import Steps, flow
from airflow_provider_mics.api.instances import list_instances
from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.planning.deadlines import within

PAGE_SIZE = 500


@dataclass(frozen=True)
class Listing:
    """Instances, archived ones too. Not complete is a listing that gave fewer than it said there are."""

    instances: tuple[Instance, ...]
    is_complete: bool = True


@flow
def listed_within(limit: timedelta) -> Steps[Listing]:
    """The instances of the client's organisation.

    :raises MicsTimeoutError: they could not be listed in time
    """
    promised: list[int | None] = [None]

    def note(answer: Any) -> None:
        if isinstance(answer, Page):
            promised.append(answer.total)

    job = list_instances(include_archived=True, page_size=PAGE_SIZE)
    instances = yield from within(job, limit, note)
    return Listing(tuple(instances), is_complete=len(instances) >= (promised[-1] or 0))
