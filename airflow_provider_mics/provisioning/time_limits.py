"""What becomes of an execution when the time of the one who waits for it is up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from airflow_provider_mics.api.calls import Now, Steps, flow
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.executions import Way, cancel_execution, get_execution
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.provisioning.cancellations import until_over
from airflow_provider_mics.submitting.patience import through_outages

STOPS_WITHIN = timedelta(minutes=1)
"""For so long the platform is given to stop what it took the cancellation of."""
LOOK_INTERVAL = 2.0
"""Seconds between two looks meanwhile."""


@dataclass(frozen=True)
class Stopped:
    """The execution at the end, and how it was canceled; None where it was left alone."""

    execution: Execution
    how: Way | None

    @property
    def ended_by_itself(self) -> bool:
        """Whether it ended, and not because its time was up: who canceled it at that moment does not show."""
        return self.execution.is_over and (self.how is None or not self.execution.canceled)

    @property
    def note(self) -> str:
        """What was done, as the rest of a sentence."""
        if self.how is None:
            return "; it goes on"
        if self.how == "already over":
            return "; it is canceled"
        if self.how != "DELETE" and not self.execution.is_over:
            return f"; canceled it ({self.how}), but the platform has not stopped it yet"
        return f"; canceled it ({self.how})"


@flow
def stop_at_deadline(instance_id: str, execution_id: str, *, cancels: bool) -> Steps[Stopped]:
    """Look a last time, and cancel what still goes on if ``cancels``.

    The platform is given a while to stop it: a retry that came before would go on with an execution that dies.

    :raises MicsError: it cannot be asked about, or not be canceled, also not within that while
    """
    give_up = (yield Now()) + STOPS_WITHIN
    if not cancels:
        return Stopped((yield from get_execution(instance_id, execution_id)), None)
    canceled = yield from through_outages(cancel_execution(instance_id, execution_id), give_up)
    try:
        execution = yield from until_over(
            instance_id, canceled, poll_interval=LOOK_INTERVAL, deadline=give_up
        )
    except MicsError:
        # It is canceled, whatever can be seen of it.
        execution = canceled.execution
    return Stopped(execution, canceled.how)
