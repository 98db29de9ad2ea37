"""On a worker only the DAG that is to run is built, also without snapshot and platform."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mics.core.planning.snapshots import LocalFile
from airflow_provider_mics.dag_factory import integration_batch_dags, plan_instance
from tests.core.planning.instances import instance, inventory
from tests.provider.dag_factory.factories import as_bytes, write_snapshot
from tests.provider.mics_connections import connection_to

WorkOn = Callable[[str], None]


@pytest.fixture
def work_on(monkeypatch: pytest.MonkeyPatch) -> WorkOn:
    """Parse from now on as a worker that runs a task of this DAG."""

    def begin(dag_id: str) -> None:
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", dag_id)
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "execute")

    return begin


def named_by_us(known: Any, one: Any) -> Any:
    return replace(plan_instance(known, one), dag_id=f"batch.{one.name}")


def test_from_the_snapshot_without_a_request(snapshot, work_on):
    write_snapshot(snapshot, *(instance(number) for number in range(50)), age=timedelta(days=100))
    work_on("mics_integration_batch_7")
    [dag] = integration_batch_dags("no_such_connection", snapshot=snapshot).values()
    assert dag.dag_id == "mics_integration_batch_7"
    assert dag.tasks[0].tick_context.cron == "30 5 * * *"


def test_it_is_the_same_dag_as_in_a_full_parse(snapshot, work_on):
    write_snapshot(snapshot, *(instance(number) for number in range(5)))
    everybody = integration_batch_dags(snapshot=snapshot)["mics_integration_batch_3"]
    work_on("mics_integration_batch_3")
    [ours] = integration_batch_dags(snapshot=snapshot).values()
    assert vars(ours.tasks[0]).keys() == vars(everybody.tasks[0]).keys()
    assert as_bytes({"same": ours}) == as_bytes({"same": everybody})


def test_without_a_snapshot_only_that_instance_is_requested(mics_default, snapshot, work_on):
    created = mics_default.create_instance("Nightly", cron="30 5 * * *")
    mics_default.create_instance("another")
    work_on(f"mics_integration_batch_{created}")
    mics_default.reset_counters()
    [dag] = integration_batch_dags(snapshot=snapshot).values()
    assert dag.dag_display_name == "Nightly"
    context = dag.tasks[0].tick_context
    assert (context.cron, context.timezone) == ("30 5 * * *", "Europe/Paris")
    assert mics_default.counters() == {"GET /v1/integration_batch_instances/{id}": 1}


def test_an_instance_newer_than_the_snapshot_is_requested(mics_default, snapshot, work_on):
    write_snapshot(snapshot, instance("old"))
    created = mics_default.create_instance("new")
    work_on(f"mics_integration_batch_{created}")
    [dag] = integration_batch_dags(snapshot=snapshot).values()
    assert dag.dag_display_name == "new"


def test_an_archived_instance_has_its_dag_until_its_run_is_over(mics_default, snapshot, work_on):
    created = mics_default.create_instance("old", cron="30 5 * * *", archived=True)
    work_on(f"mics_integration_batch_{created}")
    [dag] = integration_batch_dags(snapshot=snapshot).values()
    assert dag.tasks[0].instance_id == created


@pytest.mark.parametrize("is_reachable", [True, False])
def test_without_snapshot_and_platform_the_id_is_enough(
    mics_default, snapshot, work_on, caplog, is_reachable
):
    if is_reachable:
        mics_default.faults([{"kind": "500"}])
    else:
        mics_default.terminate()
    caplog.set_level(logging.INFO)
    work_on("mics_integration_batch_42")
    [dag] = integration_batch_dags(
        snapshot=snapshot, group_id="com.acme", default_args={"retries": 3}
    ).values()
    if is_reachable:
        mics_default.clear_faults()
    [task] = dag.tasks
    assert (dag.dag_id, task.task_id, task.instance_id) == ("mics_integration_batch_42", "execute", "42")
    assert (task.retries, task.mics_conn_id) == (3, "mics_default")
    assert task.tick_context.timezone == "Europe/Paris"
    # A scheduled run is a tick even if the cron is unknown, and never a MANUAL execution.
    assert task.tick_context.cron == ""
    ours = [record for record in caplog.records if record.name.startswith("airflow_provider_mics")]
    assert [record.levelname for record in ours] == ["WARNING"]
    assert "Only the id of instance 42 is known" in ours[0].getMessage()


def test_without_a_connection_the_id_is_enough(snapshot, work_on):
    work_on("mics_integration_batch_42")
    [dag] = integration_batch_dags("no_such_connection", snapshot=snapshot).values()
    assert dag.tasks[0].tick_context.timezone == ""


@pytest.mark.parametrize(
    "dag_id", ["some_dag", "mics_integration_batch", "mics_integration_batch_a.b", "batch.1"]
)
def test_for_another_dag_nothing_is_built_or_requested(mics_default, snapshot, work_on, dag_id):
    mics_default.create_instance("one")
    mics_default.reset_counters()
    work_on(dag_id)
    assert integration_batch_dags(snapshot=snapshot) == {}
    assert mics_default.counters() == {}


def test_nothing_is_written(mics_default, snapshot, work_on, airflow_home):
    def files() -> list[Path]:
        return sorted(path for root in (snapshot.parent, airflow_home / "mics") for path in root.glob("*"))

    created = mics_default.create_instance("one")
    before = files()
    work_on(f"mics_integration_batch_{created}")
    assert integration_batch_dags(snapshot=snapshot)
    work_on("batch.one")
    assert integration_batch_dags(snapshot=snapshot, plan=named_by_us)
    assert files() == before


def test_a_prefixed_dag_is_found_by_its_own_factory_only(snapshot, work_on):
    write_snapshot(snapshot, instance(1), instance("a b"))
    work_on("staging_mics_integration_batch_1")
    assert integration_batch_dags(snapshot=snapshot) == {}
    [dag] = integration_batch_dags(snapshot=snapshot, dag_id_prefix="staging_").values()
    assert (dag.dag_id, dag.tasks[0].instance_id) == ("staging_mics_integration_batch_1", "1")
    work_on("mics_integration_batch_1")
    assert integration_batch_dags(snapshot=snapshot, dag_id_prefix="staging_") == {}


class TestSeveralFactoriesInOneFile:
    def test_an_instance_of_another_organisation_is_not_ours(self, mics_default, snapshot, work_on):
        ours, theirs = mics_default.organisation_id, "9999"
        mics_default.set_tokens({mics_default.token: [ours, theirs]})
        created = mics_default.create_instance("theirs", organisation_id=theirs)
        work_on(f"mics_integration_batch_{created}")
        assert integration_batch_dags(snapshot=snapshot) == {}
        assert len(integration_batch_dags(organisation_id=theirs, snapshot=snapshot)) == 1

    def test_an_instance_that_the_token_may_not_see_is_not_ours(self, mics_default, snapshot, work_on):
        theirs = "9998"
        mics_default.set_tokens({mics_default.token: [mics_default.organisation_id, theirs]})
        created = mics_default.create_instance("theirs", organisation_id=theirs)
        mics_default.set_tokens({mics_default.token: [mics_default.organisation_id]})
        work_on(f"mics_integration_batch_{created}")
        assert integration_batch_dags(snapshot=snapshot) == {}

    @pytest.mark.parametrize("order", [("mics_default", "other"), ("other", "mics_default")], ids="-".join)
    @pytest.mark.parametrize("has_snapshot", [True, False], ids=["a snapshot", "no snapshot"])
    @pytest.mark.parametrize("failure", ["an expired token", "no connection", "an outage"])
    def test_one_that_can_ask_nobody_takes_no_dag_of_the_other(
        self, mics_default, tmp_path, work_on, monkeypatch, failure, has_snapshot, order
    ):
        write_snapshot(tmp_path / "mics_default", instance(1))
        if has_snapshot:
            write_snapshot(tmp_path / "other", instance(2), organisation_id="9997", source="other||")
        if failure == "an outage":
            mics_default.terminate()
        if failure != "no connection":
            theirs = connection_to(mics_default, {"organisation_id": "9997"}, password="expired")
            monkeypatch.setenv("AIRFLOW_CONN_OTHER", theirs)
        work_on("mics_integration_batch_1")
        kept: dict[str, Any] = {}
        for name in order:
            grace = None if name == "mics_default" else timedelta(minutes=2)
            kept.update(integration_batch_dags(name, snapshot=tmp_path / name, platform_grace=grace))
        [task] = kept["mics_integration_batch_1"].tasks
        assert (task.mics_conn_id, task.tick_context.cron) == ("mics_default", "30 5 * * *")
        assert task.tick_context.platform_grace is None

    def test_of_two_organisations_in_an_outage_each_has_its_own(self, mics_default, tmp_path, work_on):
        for organisation_id, number in (("1185", 1), ("1186", 2)):
            kept = {"organisation_id": organisation_id, "source": f"mics_default|{organisation_id}|"}
            write_snapshot(tmp_path / organisation_id, instance(number), **kept)
        mics_default.terminate()
        for number, ours in ((1, "1185"), (2, "1186")):
            work_on(f"mics_integration_batch_{number}")
            built = {
                each: integration_batch_dags(organisation_id=each, snapshot=tmp_path / each)
                for each in ("1185", "1186")
            }
            assert [each for each, dags in built.items() if dags] == [ours]

    def test_a_factory_whose_dag_is_no_longer_used_keeps_none_from_the_other(self, tmp_path, work_on):
        write_snapshot(tmp_path / "one", instance(1))
        work_on("mics_integration_batch_1")
        assert len(integration_batch_dags("one", snapshot=tmp_path / "one")) == 1
        assert len(integration_batch_dags("other", snapshot=tmp_path / "other")) == 1

    def test_a_snapshot_that_lost_lines_does_not_say_that_an_instance_is_not_ours(
        self, mics_default, snapshot, work_on
    ):
        write_snapshot(snapshot, instance(1), instance(2))
        snapshot.write_bytes(snapshot.read_bytes()[:-40])
        mics_default.terminate()
        work_on("mics_integration_batch_2")
        assert len(integration_batch_dags(snapshot=snapshot)) == 1

    def test_an_instance_that_is_gone_was_ours(self, mics_default, snapshot, work_on):
        before = inventory(instance(1), instance(2))
        LocalFile(snapshot).write_bytes(inventory(previous=before, gone=["2"]).to_bytes())
        mics_default.terminate()
        work_on("mics_integration_batch_2")
        assert len(integration_batch_dags(snapshot=snapshot)) == 1

    def test_each_factory_builds_what_it_selects(self, snapshot, work_on):
        write_snapshot(snapshot, instance(1), instance(2, group_id="other"))
        work_on("mics_integration_batch_2")
        assert integration_batch_dags(snapshot=snapshot, group_id="com.acme") == {}
        assert len(integration_batch_dags(snapshot=snapshot, group_id="other")) == 1


class TestCustomDagIds:
    def test_a_dag_is_found_by_the_id_in_its_plan(self, snapshot, work_on):
        write_snapshot(snapshot, instance(1, name="one"), instance(2, name="two"))
        work_on("batch.two")
        [dag] = integration_batch_dags("no_such_connection", snapshot=snapshot, plan=named_by_us).values()
        assert (dag.dag_id, dag.tasks[0].instance_id) == ("batch.two", "2")
        work_on("batch.three")
        assert integration_batch_dags("no_such_connection", snapshot=snapshot, plan=named_by_us) == {}

    def test_without_a_snapshot_the_instances_are_listed(self, mics_default, snapshot, work_on):
        created = mics_default.create_instance("two")
        work_on("batch.two")
        [dag] = integration_batch_dags(snapshot=snapshot, plan=named_by_us).values()
        assert dag.tasks[0].instance_id == created

    def test_during_an_outage_there_is_no_dag_and_a_warning(self, mics_default, snapshot, work_on, caplog):
        mics_default.terminate()
        work_on("batch.two")
        assert integration_batch_dags(snapshot=snapshot, plan=named_by_us) == {}
        assert "cannot be listed" in caplog.text

    def test_one_that_cannot_be_planned_is_found_too(self, snapshot, work_on):
        write_snapshot(snapshot, instance("a b"))
        [whole] = integration_batch_dags(snapshot=snapshot).values()
        work_on(whole.dag_id)
        assert list(integration_batch_dags(snapshot=snapshot)) == [whole.dag_id]
