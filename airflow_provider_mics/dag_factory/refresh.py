"""A DAG that keeps the snapshot of the inventory, so that no parse asks the platform."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.base_operator import MicsBaseOperator
from airflow_provider_mics.core.planning.dag_plans import TAG
from airflow_provider_mics.core.planning.inventory import Inventory, UnreadableInventoryError
from airflow_provider_mics.core.planning.inventory_updates import updated_inventory
from airflow_provider_mics.core.planning.listing import ListingPass
from airflow_provider_mics.dag_factory.builder import OWNER
from airflow_provider_mics.dag_factory.cron_schedule import UNSCHEDULED_START_DATE, cron_timetable, zone_name
from airflow_provider_mics.dag_factory.snapshot_store import SnapshotStore
from airflow_provider_mics.runtime.compat import DAG
from airflow_provider_mics.runtime.failures import errors_as_task_failures, one_line_of, task_failure

if TYPE_CHECKING:
    from airflow.timetables.trigger import CronTriggerTimetable

    from airflow_provider_mics.runtime.compat import Context

ABANDONED_AFTER = timedelta(days=1)
"""A snapshot that is so much older than one in another time zone is no longer kept: schedules differ, and runs fail."""
LISTING_LIMIT = timedelta(minutes=30)
"""How long one run may read the list. The next run goes on where it stopped."""


def inventory_refresh_dag(
    mics_conn_id: str = "mics_default",
    organisation_id: str | None = None,
    *,
    snapshot: str | Path | None = None,
    timezone: str | tzinfo | None = None,
    schedule: str = "*/5 * * * *",
    dag_id: str = "mics_inventory_refresh",
    default_args: Mapping[str, Any] | None = None,
) -> DAG:
    """Return a DAG whose one task lists the instances of an organisation and writes the snapshot.

    For DAG processors that cannot or must not reach the platform, or that share no disk: they read the snapshot with
    ``integration_batch_dags(snapshot=..., snapshot_ttl=None)``. It belongs in a DAG file of its own, since the other
    one cannot be imported before there is a snapshot.

    :param mics_conn_id: the Airflow connection of type ``mediarithmics``
    :param organisation_id: the organisation's id; by default the connection's
    :param snapshot: path of the snapshot, or its URL in an object store; by default the file below AIRFLOW_HOME of
        `integration_batch_dags` with the same connection, organisation and time zone
    :param timezone: time zone of the crons (IANA name); by default the connection's
    :param schedule: cron of the runs (UTC), of five fields
    :param dag_id: the DAG's id: each snapshot needs a DAG of its own
    :param default_args: as of any DAG
    :return: the DAG, to be assigned to a global variable of the DAG file
    :raises ValueError: an invalid argument
    """
    timezone = zone_name(timezone)
    dag = DAG(
        dag_id=dag_id,
        description="Keeps the snapshot of the mediarithmics integration batches.",
        tags=[TAG],
        schedule=_timetable_of(schedule),
        start_date=UNSCHEDULED_START_DATE,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args={"owner": OWNER, **(default_args or {})},
    )
    MicsRefreshInventoryOperator(
        task_id="refresh",
        dag=dag,
        mics_conn_id=mics_conn_id,
        organisation_id=None if organisation_id is None else str(organisation_id),
        timezone=timezone,
        snapshot=None if snapshot is None else str(snapshot),
    )
    return dag


def _timetable_of(schedule: object) -> CronTriggerTimetable:
    """Return the timetable of the refresh.

    :raises ValueError: the schedule is no cron that Airflow reads
    """
    try:
        if isinstance(schedule, str):
            return cron_timetable(schedule, "UTC")
        reason = "it is no text"
    except Exception as error:  # noqa: BLE001 - Airflow raises what croniter does
        reason = one_line_of(error)
    raise ValueError(
        f"inventory_refresh_dag: schedule {schedule!r} cannot be scheduled on: {reason}. Give a cron of five fields, "
        f"such as */5 * * * *"
    )


class MicsRefreshInventoryOperator(MicsBaseOperator):
    """Lists the instances of an organisation and writes the snapshot that `integration_batch_dags` reads.

    XCom has the number of ``instances``, ``fetched_at`` (UTC), and ``previous_age``, the seconds since the snapshot
    before it, or None.

    :param snapshot: path or URL of the snapshot, or None for the file below AIRFLOW_HOME
    :param timezone: time zone of the crons (IANA name); by default the connection's
    """

    operator_extra_links = ()  # type: ignore[assignment]

    def __init__(self, *, snapshot: str | None = None, timezone: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.snapshot = snapshot
        self.timezone = timezone

    def execute(self, context: Context) -> dict[str, Any]:
        """Write the snapshot. Where it cannot be read, nothing is written: it has what the platform does not say."""
        store = SnapshotStore(self.snapshot, self.mics_conn_id, self.organisation_id, self.timezone)
        with errors_as_task_failures():
            previous = self._previous(store)
            inventory, failure = self._listed(previous, store.source)
        try:
            store.write(inventory)
        except Exception as error:  # noqa: BLE001 - whatever an object store raises
            raise task_failure(
                f"Snapshot {store} could not be written: {one_line_of(error)}", final=False
            ) from None
        with errors_as_task_failures():
            if failure is not None:
                raise failure
        age = None if previous is None else (inventory.fetched_at - previous.fetched_at).total_seconds()
        self.log.info(
            "Snapshot %s has %d integration batches. The one before %s.",
            store,
            len(inventory.instances),
            "did not exist" if age is None else f"was {age:.0f} s old",
        )
        return {
            "instances": len(inventory.instances),
            "fetched_at": inventory.fetched_at.isoformat(timespec="seconds"),
            "previous_age": age,
        }

    def _previous(self, store: SnapshotStore) -> Inventory | None:
        try:
            return store.goes_on_from(Inventory.from_bytes(store.storage.read_bytes()), ABANDONED_AFTER)
        except FileNotFoundError:
            return store.goes_on_from(None, ABANDONED_AFTER)
        except UnreadableInventoryError as error:
            self.log.warning("Snapshot %s is written anew: %s.", store, error)
            return None
        except Exception as error:  # noqa: BLE001 - whatever an object store raises
            raise task_failure(
                f"Snapshot {store} could not be read: {one_line_of(error)}", final=False
            ) from None

    def _listed(self, previous: Inventory | None, source: str) -> tuple[Inventory, MicsError | None]:
        """Return what the platform lists, and why that is not all.

        :raises MicsError: it gave nothing new
        """
        settings = self.hook.settings
        organisation_id = self.organisation_id or settings.organisation_id
        if previous is not None and not previous.is_of(settings.host, organisation_id):
            self.log.warning("The snapshot was of another platform or organisation: it is written anew.")
            previous = None
        listing_pass = ListingPass(previous, datetime.now(UTC))
        failure: MicsError | None = None
        try:
            self.hook.run(listing_pass.steps(LISTING_LIMIT))
        except MicsError as error:
            if not listing_pass.has_moved:
                raise
            failure = error
        inventory = updated_inventory(
            previous,
            listing_pass.listing(failure),
            host=settings.host,
            organisation_id=organisation_id,
            timezone=self.timezone or settings.timezone,
            console_url=settings.console_url,
            fetched_at=datetime.now(UTC),
            source=source,
        )
        return inventory, failure
