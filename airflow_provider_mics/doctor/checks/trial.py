"""One execution that is created to be canceled, and whatever else the request for it has created.

A request may be delivered twice, its answer lost, and its execution listed late or without its moment. So the list from
before it is compared with those after it, until the platform must have listed what it created.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from airflow_provider_mics.api.calls import Log, Now, PlatformNow, Sleep, Steps, flow
from airflow_provider_mics.api.errors import (
    MicsApiError,
    MicsConnectionError,
    MicsError,
    MicsResponseError,
)
from airflow_provider_mics.api.eventual_consistency import READ_INTERVAL, SETTLING_TIME
from airflow_provider_mics.api.executions import create_execution, get_execution, read_recent_executions
from airflow_provider_mics.api.field_types import ExecutionType, from_milliseconds, milliseconds
from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.api.paging import LARGE_PAGE_SIZE
from airflow_provider_mics.api.progress import utc
from airflow_provider_mics.doctor.checks.cancelling import Outcome, cancel_and_wait

DUE_IN = timedelta(days=1)
ODD_MILLISECONDS = 457
"""Added, so that a platform that rounds is noticed."""
ROUNDING = timedelta(seconds=1)
NEVER = datetime.min.replace(tzinfo=UTC)
CLOCK_TOLERANCE = timedelta(minutes=5)
MOST_ASKED = 10
"""How many new executions are asked for their moment, where the list does not show it."""


class Trial:
    """The request and its consequences. A run that is interrupted can still `clean_up`.

    ``created`` is the execution of the answer, ``problem`` why there is none. ``own`` are all executions that came of
    the request, by their ids, and ``outcomes`` what came of canceling them. ``unclear`` are new executions of which the
    platform does not tell whether they are its own. ``took`` is the time until the list showed it.
    """

    def __init__(self, instance_id: str) -> None:
        self.instance_id = instance_id
        self.moment = NEVER
        self.is_sent = False
        self.created: Execution | None = None
        self.problem: MicsError | None = None
        self.own: dict[str, Execution] = {}
        self.unclear: dict[str, Execution] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.took: timedelta | None = None
        self.list_problem: MicsError | None = None
        self._before: set[str] = set()
        self._listed: set[str] = set()
        self._asked: dict[str, Execution] = {}
        self._sent_at = self._platform_sent_at = NEVER

    @property
    def may_have_created(self) -> bool:
        """Whether the request may have created an execution, as far as its answer tells."""
        if self.created is not None:
            return True
        # Without an answer and an error, the request was interrupted.
        return self.is_sent and (self.problem is None or _may_have_been_done(self.problem))

    @flow
    def prepare(self) -> Steps[None]:
        """Note which executions there are.

        :raises MicsError: the list cannot be read, so that nothing should be created
        """
        listed = yield from read_recent_executions(
            self.instance_id, lambda: lambda _: True, page_size=LARGE_PAGE_SIZE
        )
        self._before = {each.id for each in listed.items}

    @flow
    def create(self) -> Steps[None]:
        """Send the request. Never raises a `MicsError`: see ``problem``."""
        now: datetime = yield PlatformNow()
        self.moment = from_milliseconds(milliseconds(now + DUE_IN) // 1000 * 1000 + ODD_MILLISECONDS)
        # Said at once: whoever ends this with force has to cancel it by hand.
        yield Log(
            f"Creating an execution of instance {self.instance_id} for {utc(self.moment)}, to be canceled.",
            logging.WARNING,
        )
        self._sent_at, self._platform_sent_at = (yield Now()), now
        self.is_sent = True
        try:
            self.created = yield from create_execution(
                self.instance_id, ExecutionType.MANUAL, expected_start_date=self.moment
            )
            self.own[self.created.id] = self.created
        except MicsError as error:
            self.problem = error
        # The platform has as long as this from its answer on.
        self._sent_at = yield Now()

    @flow
    def find(self) -> Steps[None]:
        """Look for it in the list, for as long as the platform may take to list it."""
        while True:
            read_at: datetime = yield Now()
            yield from self._look()
            is_found = self.created.id in self._listed if self.created is not None else bool(self.own)
            if is_found:
                self.took = (yield Now()) - self._sent_at
                return
            if read_at - self._sent_at >= SETTLING_TIME or not self.may_have_created:
                return
            yield Sleep(READ_INTERVAL)

    @flow
    def cancel(self) -> Steps[None]:
        """Cancel all that is its own, and then what was listed late."""
        yield from self._cancel_known()
        rest = SETTLING_TIME - ((yield Now()) - self._sent_at)
        if rest > timedelta(0) and self.may_have_created:
            yield Sleep(rest.total_seconds())
            yield from self._look()
            yield from self._cancel_known()

    @flow
    def clean_up(self) -> Steps[None]:
        """Cancel what an interrupted run has left."""
        if self.is_sent:
            yield from self._cancel_known()
            self._sent_at = yield Now()
            yield from self.find()
            yield from self._cancel_known()

    def _cancel_known(self) -> Steps[None]:
        for execution_id in [each for each in self.own if each not in self.outcomes]:
            self.outcomes[execution_id] = yield from cancel_and_wait(
                self.instance_id, execution_id, is_listed=execution_id in self._listed
            )

    def _look(self) -> Steps[None]:
        """Read the list back to what was there before, and sort out what is new."""
        try:
            listed = yield from read_recent_executions(
                self.instance_id,
                lambda: lambda each: each.id in self._before,
                page_size=LARGE_PAGE_SIZE,
            )
        except MicsError as error:
            self.list_problem = error
            return
        self.list_problem = None
        self._listed.update(each.id for each in listed.items)
        new = [each for each in listed.items if each.id not in self._before and each.id not in self.own]
        self.unclear = {}
        for each in filter(self._is_recent, new):
            full = yield from self._in_full(each)
            if full.expected_start_date is None:
                self.unclear[each.id] = full
            elif self._is_own(full):
                self.own[each.id] = full

    def _in_full(self, listed: Execution) -> Steps[Execution]:
        """Return an execution with its moment, if the platform shows it at all."""
        if listed.expected_start_date is not None:
            return listed
        if listed.id not in self._asked and len(self._asked) < MOST_ASKED:
            self._asked[listed.id] = listed
            try:
                self._asked[listed.id] = yield from get_execution(self.instance_id, listed.id)
            except MicsError:
                del self._asked[listed.id]
        return self._asked.get(listed.id, listed)

    def _is_recent(self, execution: Execution) -> bool:
        created = execution.creation_date
        return created is None or created >= self._platform_sent_at - CLOCK_TOLERANCE

    def _is_own(self, execution: Execution) -> bool:
        """Whether an execution has our moment, exactly or rounded to the second, which the platform's may have too."""
        shown = execution.expected_start_date
        if shown is None or shown == self.moment:
            return shown is not None
        return abs(shown - self.moment) < ROUNDING and execution.execution_type != ExecutionType.CRON


def _may_have_been_done(error: MicsError) -> bool:
    """Whether the platform may have carried out a request that failed with ``error``."""
    if isinstance(error, MicsConnectionError):
        return not error.certainly_not_sent
    if isinstance(error, MicsApiError):
        status = error.status_code
        return not error.from_platform or status >= 500 or status == 408 or 200 <= status < 300
    return isinstance(error, MicsResponseError)
