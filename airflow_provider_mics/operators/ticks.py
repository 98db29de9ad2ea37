"""What `MicsCreateExecutionOperator` does for a tick of the instance's own cron, which the platform fires too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_mics.api.calls import Flow
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.outages import retry_through_outages
from airflow_provider_mics.api.progress import utc
from airflow_provider_mics.core.exactly_once.execution_search import failed_or_canceled
from airflow_provider_mics.core.exactly_once.handover import (
    CreateNow,
    Skip,
    TickContext,
    TickDecision,
    WaitForPlatform,
    decide_tick,
    wait_for_tick_execution,
)
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from airflow_provider_mics.core.exactly_once.twins import check_for_twins
from airflow_provider_mics.core.planning.cron_ticks import Cron
from airflow_provider_mics.operators.pending_submission import InterruptibleOperator
from airflow_provider_mics.runtime.compat import AirflowSkipException
from airflow_provider_mics.runtime.failures import errors_as_task_failures
from airflow_provider_mics.runtime.task_context import deadline_of, task_try_of

if TYPE_CHECKING:
    from airflow_provider_mics.runtime.compat import Context


class TickOperator(InterruptibleOperator):
    """Decides who creates the execution of a tick, Airflow or the platform, and notices when both did."""

    tick_context: TickContext

    def _submit(
        self,
        context: Context,
        identity: ExecutionIdentity,
        existing: Sequence[Execution] | None = None,
        *,
        replaces_existing: bool = False,
    ) -> Any:
        raise NotImplementedError

    def after_grace(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Resume when the platform has created the tick's execution, or when its grace is over."""
        with errors_as_task_failures():
            return self._start(context, self._new_pending(grace_is_over=True))

    def _run_tick(self, context: Context, identity: ExecutionIdentity, *, grace_is_over: bool) -> Any:
        """Decide whether Airflow or the platform creates the tick's execution, and act on the decision."""
        is_retry = task_try_of(context).is_retry
        while True:
            decision = self._decide(identity, is_retry=is_retry, grace_is_over=grace_is_over)
            if isinstance(decision, Skip):
                raise AirflowSkipException(decision.reason)
            if isinstance(decision, CreateNow):
                return self._submit(
                    context,
                    decision.identity,
                    decision.existing,
                    replaces_existing=decision.replaces_existing,
                )
            self._wait_for_platform(context, decision)
            self._pending, grace_is_over = self._new_pending(grace_is_over=True), True

    def _decide(
        self, identity: ExecutionIdentity, *, is_retry: bool, grace_is_over: bool = False
    ) -> TickDecision:
        job = decide_tick(
            identity,
            replace(self.tick_context, timezone=self._cron_timezone),
            give_up_at=datetime.now(UTC) + self._patience,
            is_retry=is_retry,
            grace_is_over=grace_is_over,
        )
        return self.hook.run(job)

    def _is_due_again(self, identity: ExecutionIdentity) -> bool:
        """Whether a tick goes on after its execution was canceled: by a pause that is taken back by now.

        Not if a person canceled the execution itself, unless the tick has another one.

        :raises AirflowSkipException: the instance is still paused, or its schedule no longer has this tick
        """
        decision = self._decide(identity, is_retry=False)
        if isinstance(decision, Skip):
            raise AirflowSkipException(decision.reason)
        return (
            isinstance(decision, WaitForPlatform)
            or decision.replaces_existing
            or not all(failed_or_canceled(each) for each in decision.existing)
        )

    def _wait_for_platform(self, context: Context, decision: WaitForPlatform) -> None:
        """Wait until the platform has created the tick's execution, or its grace is over."""
        self.log.info(
            "The platform fires this cron itself. Waiting until %s for it to create the execution of %s.",
            utc(decision.until),
            utc(decision.identity.expected_start_date),
        )
        if self.deferrable:
            from airflow_provider_mics.tick_triggers import MicsTickTrigger

            deadline = deadline_of(context, None)
            trigger = MicsTickTrigger.of(
                decision.identity,
                decision.until,
                grace=decision.grace.total_seconds(),
                ignored_ids=list(decision.ignored_ids),
                give_up_at=None if deadline is None else deadline.timestamp(),
                **self._trigger_arguments(),
            )
            self.defer(trigger=trigger, method_name="after_grace")
        self.hook.run(wait_for_tick_execution(decision, self.poll_interval))

    def _check_twins(self, identity: ExecutionIdentity, execution_id: str, noticed: set[str]) -> Flow[None]:
        """Return the flow that looks once for a second execution of a tick."""
        return check_for_twins(
            self._as_tick(identity), execution_id, noticed, self.tick_context.platform_grace
        )

    def _as_tick(self, identity: ExecutionIdentity) -> ExecutionIdentity:
        """Return the identity of a tick with the tolerance of the cron on which the DAG was built."""
        cron = self.tick_context.cron
        return identity.as_tick_of(Cron(cron, self._cron_timezone) if cron else None)

    @property
    def _cron_timezone(self) -> str:
        if self.tick_context.timezone:
            return self.tick_context.timezone
        give_up_at = datetime.now(UTC) + self._patience
        return self.hook.run(retry_through_outages(self.hook.read_connection(), give_up_at)).timezone

    def _tick_argument(self, identity: ExecutionIdentity) -> dict[str, Any] | None:
        """Return the tick for the trigger that waits for its execution; None for any other execution."""
        if not identity.is_scheduled:
            return None
        from airflow_provider_mics.tick_triggers import tick_of

        grace: timedelta | None = self.tick_context.platform_grace
        return tick_of(self._as_tick(identity)) | {"grace": None if grace is None else grace.total_seconds()}
