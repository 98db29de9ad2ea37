"""Asks the platform what it is like, with a bounded number of requests, and concludes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TypeVar

from airflow_provider_mics.api.calls import Flow, Job, Steps, flow
from airflow_provider_mics.api.errors import MicsConnectionError, MicsError, MicsTimeoutError
from airflow_provider_mics.api.executions import (
    ORGANISATION_EXECUTIONS,
    executions_path,
    is_missing,
)
from airflow_provider_mics.api.instances import INSTANCES
from airflow_provider_mics.api.models import Execution, Instance
from airflow_provider_mics.api.paging import LARGE_PAGE_SIZE
from airflow_provider_mics.core.planning.listing import within
from airflow_provider_mics.doctor.checks import instances as instance_checks
from airflow_provider_mics.doctor.checks import lists, platform_grace, routes, shown_fields, timezones
from airflow_provider_mics.doctor.checks.rows import Result, Row, counted
from airflow_provider_mics.doctor.checks.samples import Sample
from airflow_provider_mics.doctor.checks.sampling import read_page, sample_from_beginning, sample_newest

T = TypeVar("T")
MOST_INSTANCES_ASKED = 20
"""How many instances are asked for their own lists of executions."""
PAGES_OF_INSTANCE = 3
ORGANISATION = {"organisation_id": None}
STOPS = (MicsConnectionError, MicsTimeoutError)
"""Errors after which nothing more is asked: the next question would take as long."""
CHECKS = (
    "time zone",
    "platform_grace",
    "crons",
    "names",
    "organisation's executions",
    "get by id",
    "404",
    "size names",
    "dates",
    "what lists show",
    "list order",
    "total",
    "largest page",
    "spellings",
)
"""The rows of this file, in the order of the report: what matters most first."""


class PlatformReadings:
    """One examination. ``rows`` has what was concluded, also after it was interrupted.

    :param timezone: the connection's (IANA name)
    :param size_fields: the connection's: ``documented`` or ``console``
    """

    def __init__(self, timezone: str, size_fields: str) -> None:
        self._timezone, self._size_fields = timezone, size_fields
        self._rows: dict[str, Row] = {}
        self._instances: Sample[Instance] = Sample()
        self._organisation: Sample[Execution] | None = None
        self._by_instance: dict[str, Sample[Execution]] = {}
        self._refusals: list[MicsError] = []

    @property
    def rows(self) -> list[Row]:
        """The rows in their order; those of questions that were not asked say why."""
        known = [
            self._rows.get(check) or Row(check, Result.NOT_ASKED, self._interruption) for check in CHECKS
        ]
        return known + [row for check, row in self._rows.items() if check not in CHECKS]

    _interruption = "not reached"

    @flow
    def steps(self, limit: timedelta) -> Steps[None]:
        """Ask everything, and nothing more after ``limit``. Never raises a `MicsError`: no answer is a row too."""
        try:
            yield from within(Flow(self._ask), limit)
        except STOPS as error:
            self._interruption = str(error)
        except MicsError as error:
            self._interruption = f"the instances cannot be listed: {error}"

    def _ask(self) -> Steps[None]:
        self._instances = yield from sample_from_beginning(INSTANCES, Instance, ORGANISATION)
        self._conclude_from_instances()
        missing = yield from routes.ask_for_error(routes.missing_instance())
        self._add(routes.missing_row(missing, (yield from routes.ask_for_error(routes.missing_route()))))
        problem = yield from self._ask_organisation()
        self._add(routes.organisation_route_row(problem))
        try:
            yield from self._ask_instances()
        except STOPS as error:
            self._refusals.append(error)
            raise
        finally:
            # Also after an interruption, what is known by then is worth a row.
            self._conclude_from_executions()
        yield from self._ask_for_order()
        yield from self._ask_by_id()

    def _add(self, row: Row | None) -> None:
        if row is not None:
            self._rows[row.check] = row

    def _conclude(self, check: str, row: Row) -> None:
        """Add a row that rests on executions; where no list of them could be read, it says why."""
        if self._organisation is None and not self._by_instance and self._refusals:
            row = Row(check, Result.NOT_ASKED, str(self._refusals[0]))
        self._add(row)

    def _ask_organisation(self) -> Steps[MicsError | None]:
        try:
            self._organisation = yield from sample_newest(ORGANISATION_EXECUTIONS, ORGANISATION)
        except STOPS:
            raise
        except MicsError as error:
            return error
        return None

    def _ask_instances(self) -> Steps[None]:
        """Ask instances for their own lists: those without evidence of the time zone, and at least one that ran."""
        known = {each.instance.id for each in self._evidence()}
        for instance in self._in_order_of_interest(known):
            if len(self._by_instance) + len(self._refusals) >= MOST_INSTANCES_ASKED:
                return
            is_needed = instance.is_active and instance.id not in known
            if not is_needed and any(each.items for each in self._by_instance.values()):
                continue
            try:
                self._by_instance[instance.id] = yield from sample_newest(
                    executions_path(instance.id), {}, most_pages=PAGES_OF_INSTANCE
                )
            except STOPS:
                raise
            except MicsError as error:
                self._refusals.append(error)

    def _in_order_of_interest(self, known: set[str]) -> list[Instance]:
        ran = {each.instance_id for each in self._organisation.values} if self._organisation else set()

        def rank(instance: Instance) -> tuple[bool, bool, bool]:
            is_needed = instance.is_active and instance.id not in known
            return not is_needed, instance.id not in ran, not instance.cron

        return sorted((each for each in self._instances.values if not each.archived), key=rank)

    def _ask_for_order(self) -> Steps[None]:
        """Ask for the first page of a list of executions once more: an order may change from request to request."""
        path, sample = ORGANISATION_EXECUTIONS, self._organisation
        if sample is None and self._by_instance:
            longest = max(self._by_instance, key=lambda key: len(self._by_instance[key].items))
            path, sample = executions_path(longest), self._by_instance[longest]
        again: list[str] = []
        if sample is not None and sample.items:
            query = ORGANISATION if path == ORGANISATION_EXECUTIONS else {}
            page = yield from self._answered(
                "list order", read_page(path, Execution, query, 0, LARGE_PAGE_SIZE)
            )
            if page is None:
                return
            again = [value.id for value, _ in page.data]
        self._conclude("list order", lists.order_row(sample, again))

    def _ask_by_id(self) -> Steps[None]:
        answer: Execution | MicsError | None = None
        listed = {each.id for each in self._instances.values}
        for instance_id, execution in routes.worth_asking_for(self._executions(), listed):
            answer = yield from routes.ask_by_id(instance_id, execution.id)
            if not is_missing(answer):
                break
        self._conclude("get by id", routes.by_id_row(answer))
        of_instances = [value for sample in self._by_instance.values() for value in sample.values]
        of_organisation = self._organisation.values if self._organisation else []
        shown = answer if isinstance(answer, Execution) else None
        row = shown_fields.listed_fields_row(of_instances, of_organisation, shown)
        if self._refusals and not self._by_instance:
            row = Row(
                row.check, Result.NOT_ASKED, f"no instance's own list could be read: {self._refusals[0]}"
            )
        self._add(row)

    def _answered(self, check: str, job: Job[T]) -> Steps[T | None]:
        """Return the answer, or None after a row that says why there is none."""
        try:
            return (yield from job)
        except STOPS:
            raise
        except MicsError as error:
            self._add(Row(check, Result.NOT_ASKED, str(error)))
            return None

    def _conclude_from_instances(self) -> None:
        if self._instances.is_contradictory:
            found = f"the list of instances is empty, but its total is {self._instances.total:,}"
            for check in ("crons", "names", "size names"):
                self._add(Row(check, Result.NOT_ASKED, found))
            return
        looked_at = self._instances.looked_at("instances")
        self._add(instance_checks.crons_row(self._instances.values, looked_at))
        self._add(instance_checks.names_row(self._instances.values, looked_at))
        self._add(shown_fields.sizes_row(self._instances, self._size_fields))

    def _conclude_from_executions(self) -> None:
        samples_of_executions = [*filter(None, [self._organisation]), *self._by_instance.values()]
        listed = {key: each for sample in samples_of_executions for key, each in sample.items.items()}
        self._add(shown_fields.dates_row(self._instances.raw, [raw for _, raw in listed.values()]))
        self._add(shown_fields.spelling_row(self._instances.raw, list(listed.values())))
        executions = self._any_executions()
        samples = {"instances": self._instances}
        if executions is not None:
            samples["executions"] = executions  # type: ignore[assignment]
        self._add(lists.total_row(samples))
        self._add(lists.paging_row(samples))
        self._add(lists.unreadable_row(samples))
        evidence = self._evidence()
        self._conclude("time zone", timezones.timezone_row(evidence, self._timezone, self._looked_at))
        self._conclude("platform_grace", platform_grace.grace_row(evidence, self._looked_at))

    @property
    def _looked_at(self) -> str:
        parts = [] if self._organisation is None else [self._organisation.looked_at("executions")]
        if self._by_instance:
            parts.append(f"the newest in the own lists of {counted(len(self._by_instance), 'instance')}")
        if self._refusals:
            parts.append(f"not those of {counted(len(self._refusals), 'instance')}: {self._refusals[0]}")
        return ", ".join(parts) or "no executions"

    def _any_executions(self) -> Sample[Execution] | None:
        """Return the organisation's list, or else the longest of an instance."""
        if self._organisation is not None and self._organisation.items:
            return self._organisation
        of_instances = sorted(self._by_instance.values(), key=lambda each: len(each.items))
        return of_instances[-1] if of_instances else self._organisation

    def _executions(self) -> Iterator[tuple[str, Execution]]:
        """Yield the executions whose instance is known, with its id."""
        for execution in self._organisation.values if self._organisation else []:
            if execution.instance_id is not None:
                yield execution.instance_id, execution
        for instance_id, sample in self._by_instance.items():
            for execution in sample.values:
                yield instance_id, execution

    def _evidence(self) -> list[timezones.Evidence]:
        return timezones.evidence_of(self._instances.values, self._executions())
