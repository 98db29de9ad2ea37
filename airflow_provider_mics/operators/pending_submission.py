"""A submission that an outage may interrupt: its state is plain JSON, so that it survives a deferral."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn, Self

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.field_types import ExecutionStatus
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import is_outage
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.core.exactly_once.submission import Interruption, Submission
from airflow_provider_mics.operators.mics_operator import MicsOperator
from airflow_provider_mics.runtime.compat import AirflowException
from airflow_provider_mics.runtime.failures import errors_as_task_failures
from airflow_provider_mics.runtime.task_context import deadline_of

if TYPE_CHECKING:
    from airflow_provider_mics.runtime.compat import Context

WORKER_PATIENCE = timedelta(seconds=20)
"""How long a deferrable task asks on in a worker: most outages are over by then, and a deferral costs seconds too."""


@dataclass(frozen=True)
class PendingSubmission:
    """A submission that is not done yet.

    :param give_up_at: when an outage is not tolerated any longer, in epoch seconds (UTC)
    :param grace_is_over: the platform's time to create the tick's execution is over
    :param attempt: how often an outage has interrupted it
    """

    give_up_at: float
    grace_is_over: bool = False
    attempt: int = 0
    interruption: Interruption = field(default_factory=Interruption)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the result of `to_json`.

        :raises TypeError: it is something else
        """
        return cls(**{**value, "interruption": Interruption(**value.get("interruption", {}))})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def has_requested(self) -> bool:
        """Whether a request to create the execution may have been sent."""
        return self.interruption.known_ids is not None

    def left(self, now: datetime) -> timedelta:
        return max(timedelta(0), timedelta(seconds=self.give_up_at - now.timestamp()))

    def is_over(self, now: datetime) -> bool:
        """Whether the time for an outage is over."""
        return not self.left(now)

    def patience(self, now: datetime, *, holds_worker: bool) -> timedelta:
        """How long to ask on in an outage now."""
        return self.left(now) if holds_worker else min(self.left(now), WORKER_PATIENCE)


class InterruptibleOperator(MicsOperator):
    """Goes on with a submission that an outage interrupted. A deferrable task waits for its end without a worker."""

    instance_id: str
    deferrable: bool
    cancel_on_kill: bool
    _pending: PendingSubmission | None = None

    def _find_or_create(self, context: Context, pending: PendingSubmission) -> Any:
        raise NotImplementedError

    def _handle_submission(
        self, context: Context, identity: ExecutionIdentity, submission: Submission
    ) -> Any:
        raise NotImplementedError

    def _identity(self, context: Context) -> ExecutionIdentity:
        raise NotImplementedError

    def _new_pending(self, *, grace_is_over: bool = False) -> PendingSubmission:
        return PendingSubmission(give_up_at=self._retry_until.timestamp(), grace_is_over=grace_is_over)

    def _start(self, context: Context, pending: PendingSubmission) -> Any:
        """Find or create the execution; a deferrable task waits for the end of an outage without a worker."""
        self._pending = pending
        try:
            return self._find_or_create(context, pending)
        except MicsError as error:
            created_id, is_over = pending.interruption.created_id, pending.is_over(datetime.now(UTC))
            if not self.deferrable or not is_outage(error) or (is_over and not created_id):
                raise
            if is_over and created_id:
                self.log.warning("Could not check for duplicates of execution %s: %s", created_id, error)
                return self._handle_submission(context, *self._created(context, pending.interruption))
            self.log.warning("%s. Waiting for the end of the outage without a worker.", error)
        self._defer_outage(context, pending)

    def _created(self, context: Context, interruption: Interruption) -> tuple[ExecutionIdentity, Submission]:
        """Return the execution of which only the creation is known."""
        identity = self._identity(context)
        created = Execution.model_validate(
            {
                "id": interruption.created_id,
                "status": ExecutionStatus.PENDING,
                "parameters": {
                    "execution_type": identity.execution_type,
                    "expected_start_date": interruption.moment,
                },
            }
        )
        return identity, Submission(created, "created")

    def _defer_outage(self, context: Context, pending: PendingSubmission) -> NoReturn:
        from airflow_provider_mics.outage_triggers import MicsOutageTrigger, request_of

        requested = pending.interruption
        request = None
        if requested.known_ids is not None and requested.created_id is None:
            request = request_of(self._identity(context), requested.moment, requested.known_ids)
        deadline = deadline_of(context, None)
        give_up_at = pending.give_up_at
        if deadline is not None:
            give_up_at = min(give_up_at, deadline.timestamp())
        trigger = MicsOutageTrigger(
            instance_id=self.instance_id,
            execution_id=requested.created_id or "",
            deadline=give_up_at,
            cancel_on_kill=self.cancel_on_kill,
            state=replace(pending, attempt=pending.attempt + 1, give_up_at=give_up_at).to_json(),
            attempt=pending.attempt,
            request=request,
            **self._trigger_arguments(),
        )
        self.defer(trigger=trigger, method_name="after_outage")

    def after_outage(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Resume when the platform answers again, or when ``submission_timeout`` or ``execution_timeout`` is over."""
        with errors_as_task_failures():
            pending, deadline = _pending_of(event), deadline_of(context, None)
            is_late = deadline is not None and deadline <= datetime.now(UTC)
            # What may have been created is found and canceled first.
            if is_late and not pending.has_requested:
                raise AirflowException(
                    f"execution_timeout has passed in an outage: nothing was created for instance {self.instance_id}"
                )
            return self._start(context, pending)

    @property
    def _interruption(self) -> Interruption | None:
        """What to go on from, and to update; None where nothing can follow: an outage then ends the submission."""
        pending = self._pending
        if pending is None:
            return None
        can_continue = self.deferrable and not pending.is_over(datetime.now(UTC))
        return pending.interruption if can_continue or pending.has_requested else None

    @property
    def _patience(self) -> timedelta:
        """How long the worker asks on in an outage."""
        pending = self._pending or self._new_pending()
        return pending.patience(datetime.now(UTC), holds_worker=not self.deferrable)


def _pending_of(event: dict[str, Any] | None) -> PendingSubmission:
    """Read the event of the trigger that waited for the end of an outage.

    :raises AirflowException: it is not one of ours
    """
    try:
        return PendingSubmission.from_json(event or {})
    except (AttributeError, TypeError):
        raise AirflowException(
            f"The trigger ended with {event!r}, which says nothing of the submission"
        ) from None
