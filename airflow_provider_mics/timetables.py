"""The timetable of generated DAGs: Airflow's own, made and described once for each cron.

Airflow reads the timetable of a DAG back more than ten times each time it stores the DAG. `CronTriggerTimetable` then
describes its cron in words every time, which takes a millisecond and is almost half of the work of storing.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import Any

import pendulum
from airflow import plugins_manager
from airflow.timetables.trigger import CronTriggerTimetable

LONGEST_DESCRIPTION = 1000
"""Characters. With one more, PostgreSQL and MySQL store no DAG of the whole file."""
CACHED_CRONS = 20_000
"""More than the crons of the largest organisation: what is left out of the cache is made at each reading."""


class MicsCronTimetable(CronTriggerTimetable):
    """The same runs and the same words as `CronTriggerTimetable`.

    Airflow reads it back from the database only in processes that know the plugin of this package, so the package has
    to be installed where schedulers, API servers and DAG processors run.

    :param cron: an expression of five fields
    :param timezone: IANA name
    """

    def __init__(self, cron: str, *, timezone: str) -> None:
        # Not by Airflow's constructor, which describes the cron.
        self._expression = cron
        self._timezone = pendulum.timezone(timezone)
        self._interval = timedelta(0)
        self._run_immediately = False

    def __eq__(self, other: object) -> bool:
        # While a DAG is serialized it is compared with None and the like, for which Airflow's method takes long.
        return super().__eq__(other) if isinstance(other, CronTriggerTimetable) else NotImplemented

    def __hash__(self) -> int:
        # The time zones of some versions of pendulum have no hash.
        return hash((self._expression, self._timezone.name))

    @property
    def description(self) -> str:  # type: ignore[override]
        """The cron in Airflow's words, as many as its database takes."""
        return _description_of(self._expression)

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> MicsCronTimetable:
        return shared_timetable(data["expression"], data["timezone"])

    def serialize(self) -> dict[str, Any]:
        return {"expression": self._expression, "timezone": self._timezone.name}


@lru_cache(CACHED_CRONS)
def shared_timetable(cron: str, timezone: str) -> MicsCronTimetable:
    """Return the one timetable of this process for a cron and a time zone. Nothing changes a timetable."""
    return MicsCronTimetable(cron, timezone=timezone)


@lru_cache(CACHED_CRONS)
def _description_of(cron: str) -> str:
    description: str = CronTriggerTimetable(cron, timezone="UTC").description
    if len(description) <= LONGEST_DESCRIPTION:
        return description
    return f"{description[: LONGEST_DESCRIPTION - 1]}…"


def is_registered() -> bool:
    """Return whether Airflow can store a `MicsCronTimetable` in this process: whether it has loaded our plugin."""
    if hasattr(plugins_manager, "get_timetables_plugins"):
        registered = plugins_manager.get_timetables_plugins()
    else:  # before Airflow 3.2
        plugins_manager.initialize_timetables_plugins()  # type: ignore[attr-defined]
        registered = plugins_manager.timetable_classes or {}  # type: ignore[attr-defined]
    return MicsCronTimetable in registered.values()
