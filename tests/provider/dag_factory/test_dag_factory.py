"""Each instance is one DAG, however unusual it is, and the same DAG at each parse."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pendulum
import pytest
from airflow.timetables.base import TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.core.exactly_once.handover import TickContext
from airflow_provider_mics.dag_factory import instance_asset, integration_batch_dags, plan_instance
from local_airflow.home import PROJECT
from tests.airflow_names import AirflowFailException
from tests.core.planning.instances import MODIFIED, instance
from tests.provider.dag_factory.factories import as_bytes, read_back, write_snapshot

PAGE = "https://console.test/#/o/1185/jobs/integration_batch_instances/42"
ODD = [
    instance(1, name=None, group_id=None, artifact_id=None, version_value=None),
    instance(2, name="🚀 Impört\n| <b>`x`</b> {{ params }}", group_id="é" * 300),
    instance(3, name="x" * 3000),
    instance(4, cron="0 0 30 2 *"),
    instance(5, cron="1-1 5 * * MON"),
    instance(6, cron="* * * * *"),
    instance(7, cron_status="HIBERNATING"),
    instance(8, cron_status="PAUSED"),
    instance(9, cron=None, cron_status=None, last_modified_ts=None),
    instance("a b", name="an id with a space"),
    instance("9" * 250, name="a long id"),
    instance(10, cron="0 0 l * *"),
    instance(11, cron="*/7 9-17/2 1,15 jan-mar mon-fri"),
]


def dags_of(snapshot: Path, *instances: Any, **arguments: Any) -> dict[str, Any]:
    write_snapshot(snapshot, *instances)
    return integration_batch_dags(snapshot=snapshot, **arguments)


def dag_of(snapshot: Path, one: Any, **arguments: Any) -> Any:
    [dag] = dags_of(snapshot, one, **arguments).values()
    return dag


def test_an_active_instance_is_a_dag_on_its_cron(snapshot):
    dag = dag_of(snapshot, instance(name="Nightly import"))
    assert dag.dag_id == "mics_integration_batch_42"
    assert dag.dag_display_name == "Nightly import"
    assert sorted(dag.tags) == ["com.acme", "import", "mediarithmics"]
    assert dag.start_date == MODIFIED
    assert dag.owner_links == {"mediarithmics": PAGE}
    assert (dag.catchup, dag.max_active_runs, dag.is_paused_upon_creation) == (False, 1, False)
    assert isinstance(dag.timetable, CronTriggerTimetable)
    assert dag.timetable.serialize()["expression"] == "30 5 * * *"
    assert dag.timetable.serialize()["timezone"] == "Europe/Paris"


def test_dags_that_airflow_has_not_seen_can_be_paused(snapshot):
    assert dag_of(snapshot, instance(), is_paused_upon_creation=True).is_paused_upon_creation is True


def test_its_one_task_runs_the_instance(snapshot):
    dag = dag_of(snapshot, instance(), platform_grace=None, deferrable=False, poll_interval=7)
    [task] = dag.tasks
    assert (task.task_id, type(task).__name__) == ("execute", "MicsCreateExecutionOperator")
    assert (task.instance_id, task.mics_conn_id, task.organisation_id) == ("42", "mics_default", None)
    assert task.tick_context == TickContext("30 5 * * *", "Europe/Paris", MODIFIED, None)
    assert (task.deferrable, task.poll_interval) == (False, 7)
    assert task.outlets == [instance_asset("42", name="batch 42")]
    assert task.owner == "mediarithmics"


@pytest.mark.parametrize("console_url", ["console.test", "", "http://[", "javascript:alert(1)"])
def test_an_invalid_console_url_only_removes_the_link(snapshot, console_url):
    kept = replace(write_snapshot(snapshot, instance()), console_url=console_url)
    snapshot.write_bytes(kept.to_bytes())
    [dag] = integration_batch_dags(snapshot=snapshot).values()
    assert dag.owner_links == {}


def test_a_run_updates_an_asset_that_a_user_can_name(snapshot):
    assert instance_asset("42").uri == "x-mics://integration_batch_instances/42"
    [task] = dag_of(snapshot, instance()).tasks
    assert task.outlets[0].uri == instance_asset("42").uri


def test_the_asset_is_found_by_its_group_and_by_the_id_of_the_dag_and_shows_the_instances_name(snapshot):
    [task] = dag_of(snapshot, instance(name="Nightly import"), dag_id_prefix="staging_").tasks
    [asset] = task.outlets
    assert asset.extra == {"instance_id": "42", "name": "Nightly import"}
    if hasattr(asset, "group"):  # since Airflow 3
        assert (asset.name, asset.group) == ("staging_mics_integration_batch_42", "mediarithmics")
        # What tells assets apart does not depend on the name that somebody gave the instance.
        named_by_a_user = instance_asset("42", prefix="staging_")
        assert (named_by_a_user.name, named_by_a_user.uri) == (asset.name, asset.uri)


@pytest.mark.parametrize("id_", ["42", "x/y"])
def test_the_graph_shows_the_name_of_the_batch(snapshot, id_):
    dag = dag_of(snapshot, instance(id_, name="Nightly import"))
    for each in (dag, read_back(dag)):
        [task] = each.tasks
        assert (task.task_id, task.task_display_name) == ("execute", "Nightly import")


def test_the_trigger_form_has_an_optional_start_date(snapshot):
    for dag in (dag_of(snapshot, instance()), read_back(dag_of(snapshot, instance()))):
        param = dag.params.get_param("expected_start_date")
        assert param.value is None
        assert param.schema["type"] == ["null", "string"]
        assert param.schema["format"] == "date-time"
        assert "starts at once" in param.description
        pattern = re.compile(param.schema["pattern"])
        for text in (
            "",
            "2026-03-01T05:30:00Z",
            "2026-03-01 05:30+01:00",
            "2026-03-01T05:30:00.123+0100",
            "1772343000000",
        ):
            assert pattern.search(text), text
        for text in ("tomorrow", "2026-03-01", "2026-03-01T05:30:00", "05:30Z", "2026-03-01T05:30:00Z or so"):
            assert not pattern.search(text), text
        assert dag.params.dump() == {"expected_start_date": None}


def test_no_two_dags_share_their_params(snapshot):
    one, other = dags_of(snapshot, instance(1), instance(2)).values()
    one.params["expected_start_date"] = "2026-03-01T00:00:00Z"
    assert other.params["expected_start_date"] is None


@pytest.mark.parametrize(
    ("fields", "tag"),
    [
        ({"cron_status": "PAUSED"}, "cron paused"),
        ({"cron": "61 5 * * *"}, "invalid-cron"),
        ({"cron_status": "HIBERNATING"}, "cannot-be-planned"),
        ({"cron": None, "cron_status": None}, None),
    ],
)
def test_a_dag_without_schedule_still_has_the_instances_cron(snapshot, fields, tag):
    one = instance(**fields)
    dag = dag_of(snapshot, one)
    assert dag.timetable.can_be_scheduled is False
    assert tag is None or tag in dag.tags
    [task] = dag.tasks
    # A scheduled run from before the pause must not become a MANUAL execution.
    assert task.tick_context.cron == (one.cron or "")


@pytest.mark.parametrize(
    "cron", ["0 5-5 * * *", "30 5 * * 1-1", "0 5 1-1 * *", "0 5 * JAN-JAN *", "0  5 * * MON"]
)
def test_a_scheduled_run_is_a_tick_however_the_cron_is_written(snapshot, cron):
    dag = dag_of(snapshot, instance(cron=cron))
    assert dag.timetable.can_be_scheduled
    assert dag.tasks[0].tick_context.cron == cron


def test_a_renamed_instance_keeps_its_dag(snapshot):
    before = dag_of(snapshot, instance(name="old"))
    after = dag_of(snapshot, instance(name="new"))
    assert before.dag_id == after.dag_id
    assert after.dag_display_name == "new"


def test_every_unusual_instance_is_a_dag_that_airflow_can_store(snapshot):
    dags = dags_of(snapshot, *ODD)
    assert len(dags) == len(ODD)
    for dag_id, dag in dags.items():
        kept = read_back(dag)
        assert kept.dag_id == dag_id
        assert kept.dag_display_name == dag.dag_display_name
        assert as_bytes({dag_id: dag}) == as_bytes({dag_id: dag})
        assert all(len(tag) <= 100 for tag in dag.tags)
    shown = {one.id: dags[plan_instance(write_snapshot(snapshot, one), one).dag_id] for one in ODD}
    assert "invalid-cron" in shown["4"].tags
    assert "never fires" in shown["4"].description
    assert shown["5"].timetable.serialize()["expression"] == "1 5 * * mon"
    assert "probably not meant" in shown["6"].description
    assert "cannot-be-planned" in shown["a b"].tags
    with pytest.raises(AirflowFailException, match="'a b' is none that the platform gives"):
        shown["a b"].tasks[0].execute({})


def test_each_parse_gives_the_same_bytes_whatever_the_process(snapshot):
    write_snapshot(snapshot, *ODD, *(instance(number) for number in range(100, 120)))
    script = (
        "import json, sys; from tests.provider.dag_factory.factories import serialized; "
        "from airflow_provider_mics.dag_factory import integration_batch_dags; "
        "dags = integration_batch_dags(snapshot=sys.argv[1]); "
        "written = {key: serialized(dag) for key, dag in dags.items()}; "
        # Only the order of keys differs between processes, and Airflow sorts them.
        "sys.stdout.buffer.write(b'<<' + json.dumps(written, sort_keys=True).encode())"
    )
    written = []
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script, str(snapshot)],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(PROJECT)},
            stdout=subprocess.PIPE,
            timeout=120,
        )
        written.append(done.stdout.rpartition(b"<<")[2])
    assert len(written[0]) > 10_000
    assert written[0] == written[1]


def test_an_unrelated_edit_makes_no_new_dag_version(snapshot):
    before = dags_of(snapshot, instance())
    later = dags_of(snapshot, instance(last_modified_by="8", something_new="else"))
    assert as_bytes(before) == as_bytes(later)


@pytest.mark.parametrize(
    "others",
    [
        [],
        [instance(41, name="another name"), instance(43, cron=None)],
        [instance(41, properties={"a new name": 1}), instance(40), instance(43, archived=True)],
    ],
)
def test_another_instance_makes_no_new_dag_version(snapshot, others):
    before = dags_of(snapshot, instance(41), instance(42), instance(43))
    after = dags_of(snapshot, *others, instance(42))
    [dag_id] = [each for each in before if each.endswith("_42")]
    assert as_bytes({dag_id: before[dag_id]}) == as_bytes({dag_id: after[dag_id]})


class TestAdaptation:
    def test_filters_select_by_group_artifact_and_function(self, snapshot):
        instances = [
            instance(1),
            instance(2, group_id="other"),
            instance(3, artifact_id="export"),
            instance(4, name="no"),
        ]
        dags = dags_of(
            snapshot,
            *instances,
            group_id="com.acme",
            artifact_id="import",
            select=lambda each: each.name != "no",
        )
        assert list(dags) == ["mics_integration_batch_1"]

    def test_default_args_reach_the_task(self, snapshot):
        given = {"retries": 4, "owner": "data team"}
        dag = dag_of(snapshot, instance(), default_args=given)
        assert (dag.tasks[0].retries, dag.tasks[0].owner) == (4, "data team")
        assert dag.owner_links == {"data team": PAGE}
        assert given == {"retries": 4, "owner": "data team"}

    def test_default_args_do_not_replace_the_schedule(self, snapshot):
        [task] = dag_of(snapshot, instance(), default_args={"cron": "0 0 * * *", "platform_grace": 5}).tasks
        assert task.tick_context == TickContext("30 5 * * *", "Europe/Paris", MODIFIED)

    def test_any_dag_can_be_changed_in_place(self, snapshot):
        def adapt(dag: Any, one: Any) -> None:
            dag.tasks[0].pool = f"pool of {one.artifact_id}"

        assert dag_of(snapshot, instance(), customize=adapt).tasks[0].pool == "pool of import"

    def test_a_failed_customize_is_explained_and_affects_no_other_dag(self, snapshot, caplog):
        def adapt(dag: Any, one: Any) -> None:
            if one.id == "2":
                raise KeyError("no pool")

        dags = dags_of(snapshot, *map(instance, (1, 2, 3)), customize=adapt)
        assert [dag.timetable.can_be_scheduled for dag in dags.values()] == [True, False, True]
        broken = dags["mics_integration_batch_2"]
        assert "cannot-be-planned" in broken.tags
        assert "customize(...) failed: KeyError: 'no pool'" in broken.description
        assert [record.levelname for record in caplog.records] == ["WARNING"]

    def test_a_selection_of_nothing_is_a_warning(self, snapshot, caplog):
        assert dags_of(snapshot, instance(1), instance(2), group_id="com.nobody") == {}
        [line] = [record.getMessage() for record in caplog.records]
        assert line.startswith("None of the 2 integration batches of connection 'mics_default' is selected")

    @pytest.mark.parametrize("dag_id", ["not a dag id", "x" * 300, "", None])
    def test_a_plan_that_airflow_refuses_is_explained(self, snapshot, dag_id):
        def mine(known: Any, one: Any) -> Any:
            return replace(plan_instance(known, one), dag_id=dag_id)

        dag = dag_of(snapshot, instance(), plan=mine)
        assert dag.dag_id == "mics_integration_batch_42"
        assert "plan(...) gave the dag_id" in dag.description

    @pytest.mark.parametrize("cron", ["@daily", "every day", "0 5 * * * *", "", "61 5 * * *"])
    def test_a_plan_with_a_cron_that_airflow_cannot_read_is_explained(self, snapshot, cron):
        def mine(known: Any, one: Any) -> Any:
            return replace(plan_instance(known, one), cron=cron)

        dag = dag_of(snapshot, instance(), plan=mine)
        assert "invalid-cron" in dag.tags
        assert dag.timetable.can_be_scheduled is False
        assert "unpack" not in dag.description
        fields = len(cron.split())
        assert fields == 5 or f"it has {fields} field(s), not five" in dag.description

    def test_a_plan_with_another_cron_has_no_ticks(self, snapshot):
        def mine(known: Any, one: Any) -> Any:
            return replace(plan_instance(known, one), cron="0 7 * * *")

        [task] = dag_of(snapshot, instance(), plan=mine).tasks
        assert task.tick_context.cron is None

    def test_an_invalid_argument_is_refused(self, snapshot):
        with pytest.raises(ValueError, match="poll_interval"):
            dags_of(snapshot, instance(), poll_interval=0)
        with pytest.raises(ValueError, match="timezone 'Paris' is not known"):
            dags_of(snapshot, instance(), timezone="Paris")
        with pytest.raises(ValueError, match="has no time zone"):
            dags_of(snapshot, instance(), start_date=datetime(2026, 1, 1))  # noqa: DTZ001

    @pytest.mark.parametrize(
        "given",
        ["UTC", "Europe/Paris", ZoneInfo("Europe/Paris"), pendulum.timezone("Europe/Paris"), UTC],
        ids=repr,
    )
    def test_a_time_zone_can_be_an_object(self, snapshot, given):
        name = "UTC" if given in ("UTC", UTC) else "Europe/Paris"
        write_snapshot(snapshot, instance(), timezone=name, source=f"mics_default||{name}")
        [dag] = integration_batch_dags(snapshot=snapshot, timezone=given).values()
        assert dag.timetable.serialize()["timezone"] == name

    @pytest.mark.parametrize("given", ["Paris", "", 1, b"UTC", timezone(timedelta(hours=1)), object])
    def test_what_is_no_time_zone_is_refused(self, snapshot, given):
        with pytest.raises(ValueError, match=r"timezone .* is not known: give an IANA name"):
            dag_of(snapshot, instance(), timezone=given)

    @pytest.mark.parametrize("given", ["2030-01-01", "2030-01-01T00:00:00Z", "2030-01-01 01:00+01:00"])
    def test_a_start_date_can_be_a_text(self, snapshot, given):
        assert dag_of(snapshot, instance(), start_date=given).start_date == datetime(2030, 1, 1, tzinfo=UTC)

    @pytest.mark.parametrize("given", ["soon", "", date(2026, 1, 1), 7])
    def test_what_is_no_start_date_is_refused(self, snapshot, given):
        with pytest.raises(ValueError, match=r"start_date .* is not a date and time: give an aware datetime"):
            dag_of(snapshot, instance(), start_date=given)


class TestDefaultArgs:
    def test_a_start_date_is_that_of_the_dag(self, snapshot):
        later = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
        for given in (later, later.isoformat(), later.replace(tzinfo=None)):
            dag = dag_of(snapshot, instance(), default_args={"start_date": given, "retries": 1})
            assert dag.start_date == dag.tasks[0].start_date == later
            assert TestSchedule().first_run(dag) >= later
        assert dag_of(snapshot, instance(), default_args={"start_date": MODIFIED}).start_date == MODIFIED

    def test_of_two_start_dates_the_later_holds(self, snapshot):
        now = datetime.now(UTC)
        earlier, later = now + timedelta(days=1), now + timedelta(days=2)
        for argument, shared in ((earlier, later), (later, earlier)):
            dag = dag_of(snapshot, instance(), start_date=argument, default_args={"start_date": shared})
            assert dag.start_date == later

    def test_an_end_date_is_that_of_the_dag(self, snapshot):
        past = datetime(2026, 1, 11, tzinfo=UTC)
        dag = dag_of(snapshot, instance(), default_args={"end_date": past})
        assert dag.end_date == past

    @pytest.mark.parametrize("given", ["tomorrow", 7, object()])
    def test_what_is_no_date_is_refused(self, snapshot, given):
        with pytest.raises(ValueError, match="default_args: start_date"):
            dag_of(snapshot, instance(), default_args={"start_date": given})

    def test_waiting_and_outlets_are_honoured_and_arguments_win(self, snapshot):
        shared = {
            "deferrable": False,
            "poll_interval": timedelta(seconds=7),
            "outlets": [instance_asset("else")],
        }
        [task] = dag_of(snapshot, instance(), default_args=shared).tasks
        assert (task.deferrable, task.poll_interval) == (False, 7)
        assert [each.uri for each in task.outlets] == [instance_asset("else").uri, instance_asset("42").uri]
        [task] = dag_of(snapshot, instance(), default_args=shared, deferrable=True, poll_interval=9).tasks
        assert (task.deferrable, task.poll_interval) == (True, 9)
        [task] = dag_of(snapshot, instance(), default_args={"outlets": instance_asset("else")}).tasks
        assert len(task.outlets) == 2

    def test_what_other_operators_share_does_not_change_what_runs(self, snapshot):
        shared = {
            "execution_type": "MANUAL",
            "instance_id": "7",
            "expected_start_date": "2030-01-01T00:00:00Z",
        }
        [task] = dag_of(snapshot, instance(), default_args=shared).tasks
        assert (task.execution_type, task.instance_id) == (None, "42")
        assert "params.expected_start_date" in task.expected_start_date


class TestPrefix:
    def test_it_enters_dag_ids_assets_and_tags(self, snapshot):
        dag = dag_of(snapshot, instance(), dag_id_prefix="staging_")
        assert dag.dag_id == "staging_mics_integration_batch_42"
        assert "staging_mediarithmics" in dag.tags
        assert [each.uri for each in dag.tasks[0].outlets] == [instance_asset("42", prefix="staging_").uri]
        assert instance_asset("42", prefix="staging_").uri != instance_asset("42").uri

    def test_it_enters_the_dag_ids_of_a_plan_and_of_what_cannot_be_planned(self, snapshot):
        def fail(known: Any, one: Any) -> Any:
            raise KeyError(one.id)

        for plan in (fail, lambda known, one: replace(plan_instance(known, one), dag_id="mine")):
            assert dag_of(snapshot, instance(), plan=plan, dag_id_prefix="staging_").dag_id.startswith(
                "staging_"
            )
        dag = dag_of(snapshot, instance(), customize=fail, dag_id_prefix="staging_")
        assert dag.dag_id == "staging_mics_integration_batch_42"

    @pytest.mark.parametrize("prefix", ["a b", "x" * 26, "é", "a/b", "a\n", None])
    def test_an_invalid_one_is_refused(self, snapshot, prefix):
        with pytest.raises(ValueError, match="must have at most 25 ASCII letters"):
            dag_of(snapshot, instance(), dag_id_prefix=prefix)
        with pytest.raises(ValueError, match="must have at most 25 ASCII letters"):
            instance_asset("42", prefix=prefix)

    def test_two_platforms_with_equal_ids_are_an_error_without_one(self, tmp_path):
        def dags_of_platform(name: str, **arguments: Any) -> dict[str, Any]:
            write_snapshot(tmp_path / name, *map(instance, range(1, 7)), host=f"https://{name}.test")
            return integration_batch_dags(name, snapshot=tmp_path / name, **arguments)

        kept = dags_of_platform("one")
        with pytest.raises(
            ValueError, match=r"6 DAG id\(s\) of connection 'other' are also .* dag_id_prefix="
        ) as raised:
            dags_of_platform("other")
        assert "connection 'one'" in str(raised.value)
        assert len({*kept, *dags_of_platform("other", dag_id_prefix="other_")}) == 12
        assert dags_of_platform("one").keys() == kept.keys(), "the same factory again"

    def test_however_many_ids_are_equal_the_error_comes_at_once(self, tmp_path):
        passes: list[str] = []

        def count(phase: str, info: dict[str, int]) -> None:
            if phase == "start" and info["generation"] == 2:
                passes.append(phase)

        kept = []
        for name in ("one", "other"):
            write_snapshot(tmp_path / name, *map(instance, range(60)), host=f"https://{name}.test")
        kept.append(integration_batch_dags("one", snapshot=tmp_path / "one"))
        gc.callbacks.append(count)
        try:
            with pytest.raises(ValueError, match=r"60 DAG id\(s\) of connection 'other'"):
                integration_batch_dags("other", snapshot=tmp_path / "other")
        finally:
            gc.callbacks.remove(count)
        assert len(passes) < 10, "a pass over all objects of the process takes a third of a second"

    def test_two_connections_to_one_platform_are_no_error(self, tmp_path):
        for name in ("first", "second"):
            write_snapshot(tmp_path / name, instance(1), host="https://same.test")
        kept = integration_batch_dags("first", snapshot=tmp_path / "first")
        assert integration_batch_dags("second", snapshot=tmp_path / "second").keys() == kept.keys()


class TestSchedule:
    """A change of schedule never fires a past tick."""

    def first_run(self, dag: Any) -> datetime:
        restriction = TimeRestriction(earliest=dag.start_date, latest=None, catchup=False)
        info = dag.timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
        moment: datetime = info.run_after
        return moment

    def test_the_first_run_is_never_before_the_schedule_is_in_force(self, snapshot):
        since = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=2)
        dag = dag_of(snapshot, instance(cron="*/5 * * * *", modified=since))
        assert dag.start_date == since
        assert self.first_run(dag) >= since

    def test_a_later_start_date_delays_the_first_run_and_an_earlier_one_does_not_matter(self, snapshot):
        later = datetime.now(UTC) + timedelta(days=30)
        dag = dag_of(snapshot, instance(), start_date=later)
        assert self.first_run(dag) >= later
        assert dag_of(snapshot, instance(), start_date=MODIFIED - timedelta(days=9)).start_date == MODIFIED


def test_a_snapshot_of_another_organisation_is_ignored(snapshot, caplog):
    with pytest.raises(MicsError, match="cannot be listed"):
        dags_of(snapshot, instance(), organisation_id="2", mics_conn_id="no_such_connection")
    assert "it is of organisation 1185, not of 2" in caplog.text
