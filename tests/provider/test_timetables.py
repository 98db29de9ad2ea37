"""The timetable of generated DAGs has the runs and the words of Airflow's, and costs nothing to read back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pendulum
import pytest
from airflow import plugins_manager
from airflow.exceptions import AirflowTimetableInvalid
from airflow.timetables import _cron
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_mics import timetables
from airflow_provider_mics.core.planning.cron_ticks import Cron
from airflow_provider_mics.dag_factory import cron_schedule
from airflow_provider_mics.plugin import MicsPlugin
from airflow_provider_mics.timetables import MicsCronTimetable, is_registered, shared_timetable
from tests.case_counts import IS_FULL
from tests.core.planning.cron_spellings import CLEAR, DAYS_ONLY, SPELLINGS
from tests.core.planning.instances import instance, inventory
from tests.provider.dag_factory.factories import DagSerialization, read_back, serialized

try:
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable
except ImportError:
    from airflow.serialization.serialized_objects import (  # 2.11
        decode_timetable,
        encode_timetable,
    )

ZONES = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
]
MINUTES = ["0", "59", "*/15", "7,37", "30"]
HOURS = ["*", "2", "1-3", "*/2", "0,23", "9-17/2"]
DAYS = ["* * *", "* * 1-5", "13 * 5", "29 2 *", "1,31 * *", "* mar,oct 0"]
MOMENTS = [
    datetime(2026, 3, 29, 0, 30, tzinfo=UTC),
    datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
    datetime(2026, 11, 1, 5, 59, 59, tzinfo=UTC),
    datetime(2026, 4, 4, 15, 15, tzinfo=UTC),
    datetime(2024, 2, 28, 23, 59, tzinfo=UTC),
    datetime(2026, 12, 31, 23, 0, tzinfo=UTC),
]
DESCRIBED = "* * * * *"


def stored(timetable: Any) -> dict[str, Any]:
    """A timetable as the database gives it back."""
    written: dict[str, Any] = json.loads(json.dumps(encode_timetable(timetable)))
    return written


def assert_same(cron: str, zone: str, moment: datetime) -> None:
    theirs = CronTriggerTimetable(cron, timezone=zone)
    ours = decode_timetable(stored(MicsCronTimetable(cron, timezone=zone)))
    assert type(ours) is MicsCronTimetable
    now = pendulum.instance(moment)
    for catchup, last in product((True, False), (None, DataInterval.exact(now))):
        restriction = TimeRestriction(earliest=now, latest=None, catchup=catchup)
        asked = {"last_automated_data_interval": last, "restriction": restriction}
        assert ours.next_dagrun_info(**asked) == theirs.next_dagrun_info(**asked), (cron, zone, moment)
    ended = TimeRestriction(earliest=now, latest=now, catchup=True)
    asked = {"last_automated_data_interval": DataInterval.exact(now), "restriction": ended}
    assert ours.next_dagrun_info(**asked) == theirs.next_dagrun_info(**asked)
    assert ours.infer_manual_data_interval(run_after=now) == theirs.infer_manual_data_interval(run_after=now)
    assert (ours.description, ours.summary) == (theirs.description, theirs.summary)


@pytest.mark.parametrize("zone", ZONES)
def test_the_runs_and_the_words_are_those_of_airflow(zone):
    cases = list(product(MOMENTS, DAYS, HOURS, MINUTES))
    for moment, days, hour, minute in cases if IS_FULL else cases[ZONES.index(zone) :: 23]:
        assert_same(f"{minute} {hour} {days}", zone, moment)


@settings(max_examples=1000 if IS_FULL else 60, deadline=None)
@given(
    SPELLINGS | DAYS_ONLY | st.sampled_from(CLEAR),
    st.sampled_from(ZONES),
    st.datetimes(datetime(2001, 1, 1), datetime(2060, 1, 1)),  # noqa: DTZ001
)
def test_of_whatever_is_scheduled_the_runs_are_those_of_airflow(expression, zone, moment):
    cron = Cron(expression, zone)
    if cron.problem is None:
        assert_same(cron.normalised, zone, moment.replace(tzinfo=UTC))


def test_it_has_what_airflow_gives_its_own_timetable():
    ours, theirs = (
        MicsCronTimetable(DESCRIBED, timezone="Europe/Paris"),
        CronTriggerTimetable(DESCRIBED, timezone="Europe/Paris"),
    )
    assert {**vars(theirs), **vars(ours)} == {**vars(ours), **vars(theirs)}
    assert vars(theirs).keys() - vars(ours).keys() == {"description"}
    for name in dir(theirs):
        if not name.startswith("_") and not callable(getattr(theirs, name)) and name != "type_name":
            assert getattr(ours, name) == getattr(theirs, name), name


def test_reading_a_dag_back_many_times_describes_its_cron_once(monkeypatch):
    described = []
    real = _cron.ExpressionDescriptor

    def counted(*arguments: Any, **more: Any) -> Any:
        described.append(arguments or more)
        return real(*arguments, **more)

    monkeypatch.setattr(_cron, "ExpressionDescriptor", counted)
    timetables._description_of.cache_clear()
    timetables.shared_timetable.cache_clear()
    written = [stored(MicsCronTimetable("41 5 * * *", timezone=zone)) for zone in ZONES]
    assert not described
    read = [decode_timetable(each) for _ in range(20) for each in written]
    assert {each.description for each in read} == {"At 05:41"}
    assert len(described) == 1
    assert len(set(map(id, read))) == len(ZONES)


def spelled(*counts: int) -> str:
    """A cron with so many values in each field, each written out."""
    lows = (0, 0, 1, 1, 0)
    return " ".join(
        ",".join(map(str, range(low, low + count))) for low, count in zip(lows, counts, strict=True)
    )


@pytest.mark.parametrize(
    "cron",
    [spelled(60, 23, 30, 11, 6), ",".join(map(str, [*range(60)] * 5)) + " 5 * * *", spelled(59, 1, 1, 1, 7)],
)
def test_a_description_is_never_longer_than_the_database_takes(cron):
    theirs = CronTriggerTimetable(cron, timezone="UTC").description
    ours = MicsCronTimetable(cron, timezone="UTC").description
    assert len(ours) <= 1000
    assert ours == theirs or (ours.endswith("…") and theirs.startswith(ours[:-1]))


def test_it_equals_the_same_timetable_and_nothing_else():
    ours = MicsCronTimetable(DESCRIBED, timezone="UTC")
    assert (
        ours
        == MicsCronTimetable(DESCRIBED, timezone="UTC")
        == CronTriggerTimetable(DESCRIBED, timezone="UTC")
    )
    assert hash(ours) == hash(MicsCronTimetable(DESCRIBED, timezone="UTC"))
    others = [
        MicsCronTimetable("0 * * * *", timezone="UTC"),
        MicsCronTimetable(DESCRIBED, timezone="Europe/Paris"),
        CronTriggerTimetable("0 * * * *", timezone="UTC"),
        None,
        "",
        DESCRIBED,
    ]
    assert not any(ours == other for other in others)


def test_a_time_zone_that_is_none_is_refused_as_by_airflow():
    with pytest.raises(Exception, match=r"Nowhere|time zone|timezone"):
        MicsCronTimetable(DESCRIBED, timezone="Europe/Nowhere")
    with pytest.raises(AirflowTimetableInvalid):
        MicsCronTimetable("bad", timezone="UTC").validate()


class TestRegistration:
    @pytest.fixture(autouse=True)
    def _as_in_a_new_process(self):
        def forget():
            cron_schedule._is_storable.cache_clear()
            cron_schedule.cron_timetable.cache_clear()

        forget()
        yield
        forget()

    def test_airflow_finds_it_by_the_plugin(self):
        assert MicsPlugin.timetables == [MicsCronTimetable]
        assert is_registered()

    def test_a_dag_has_it(self, tmp_path):
        dag = self.dag(tmp_path)
        assert type(dag.timetable) is MicsCronTimetable
        assert type(read_back(dag).timetable) is MicsCronTimetable
        assert read_back(dag).timetable is shared_timetable("30 5 * * *", "Europe/Paris")

    def test_without_the_plugin_a_dag_has_the_timetable_of_airflow(self, tmp_path, monkeypatch):
        monkeypatch.setattr(cron_schedule, "is_registered", lambda: False)
        dag = self.dag(tmp_path)
        assert type(dag.timetable) is CronTriggerTimetable
        assert "airflow_provider_mics.timetables" not in json.dumps(serialized(dag))

    def test_without_the_plugin_a_description_that_cannot_be_stored_is_explained(self, tmp_path, monkeypatch):
        monkeypatch.setattr(cron_schedule, "is_registered", lambda: False)
        dag = self.dag(tmp_path, cron=",".join(map(str, [*range(60)] * 5)) + " 5 * * *")
        assert dag.timetable.can_be_scheduled is False
        assert "its database takes 1000: load the plugin of this package" in dag.description

    def test_a_user_can_keep_the_timetable_of_airflow(self, tmp_path):
        def with_airflows_timetable(dag: Any, instance: Any) -> None:
            if dag.timetable.can_be_scheduled:
                cron = dag.timetable.serialize()
                dag.timetable = CronTriggerTimetable(cron["expression"], timezone=cron["timezone"])

        read = read_back(self.dag(tmp_path, customize=with_airflows_timetable))
        assert type(read.timetable) is CronTriggerTimetable
        assert read.timetable == shared_timetable("30 5 * * *", "Europe/Paris")

    def test_a_worker_asks_no_plugin(self, tmp_path, monkeypatch):
        def asked() -> bool:
            raise AssertionError("plugins were asked for")

        monkeypatch.setattr(cron_schedule, "is_registered", asked)
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "mics_integration_batch_42")
        assert type(self.dag(tmp_path).timetable) is MicsCronTimetable

    def test_a_process_without_the_plugin_says_which_timetable_it_lacks(self, tmp_path, monkeypatch):
        written = serialized(self.dag(tmp_path))
        if hasattr(plugins_manager, "get_timetables_plugins"):
            monkeypatch.setattr(plugins_manager, "get_timetables_plugins", dict)
        else:
            monkeypatch.setattr(plugins_manager, "timetable_classes", {})
        with pytest.raises(
            ValueError, match=r"airflow_provider_mics\.timetables\.MicsCronTimetable.* not registered"
        ):
            DagSerialization.from_dict(written)
        assert not is_registered()

    def test_a_row_that_an_earlier_version_stored_is_still_read(self):
        row = stored(CronTriggerTimetable("30 5 * * *", timezone="Europe/Paris", interval=timedelta(0)))
        assert type(decode_timetable(row)) is CronTriggerTimetable

    @staticmethod
    def dag(tmp_path: Any, *, cron: str = "30 5 * * *", **arguments: Any) -> Any:
        from airflow_provider_mics.core.planning.snapshots import LocalFile
        from airflow_provider_mics.dag_factory import integration_batch_dags

        now = datetime.now(UTC)
        kept = inventory(instance(42, cron=cron), fetched_at=now)
        LocalFile(tmp_path / "inventory.jsonl").write_bytes(kept.to_bytes())
        [dag] = integration_batch_dags(snapshot=tmp_path / "inventory.jsonl", **arguments).values()
        return dag
