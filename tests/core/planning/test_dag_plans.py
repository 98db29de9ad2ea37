"""An instance becomes the plan of a DAG: the whole translation, without Airflow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mics.core.planning.dag_plans import (
    DagPlan,
    dag_id_of,
    instance_id_of,
    plan_all,
    plan_instance,
)
from airflow_provider_mics.core.planning.inventory import Inventory
from tests.core.planning.instances import CONSOLE, MODIFIED, instance, inventory

PAGE = f"{CONSOLE}/#/o/1185/jobs/integration_batch_instances/42"


def plan_of(**fields: object) -> DagPlan:
    one = instance(**fields)
    return plan_instance(inventory(one), one)


def test_an_active_instance_runs_on_its_cron():
    assert plan_of(name="Nightly import") == DagPlan(
        dag_id="mics_integration_batch_42",
        instance_id="42",
        display_name="Nightly import",
        description="Integration batch; cron 30 5 * * * (Europe/Paris).",
        doc_md=(
            "### Nightly import\n\n"
            "| mediarithmics | |\n|---|---|\n"
            "| Instance | 42 |\n"
            "| Plugin | com.acme : import |\n"
            "| Version | 1.2.0 |\n"
            "| Cron | 30 5 \\* \\* \\* (Europe/Paris) |\n"
            "| Status | ACTIVE |\n\n"
            f"[Open on mediarithmics]({PAGE})\n"
        ),
        tags=("com.acme", "import", "mediarithmics"),
        cron="30 5 * * *",
        timezone="Europe/Paris",
        schedule_since=MODIFIED,
        console_page=PAGE,
        problem=None,
    )


def test_a_paused_one_has_no_schedule_a_tag_and_its_cron_in_the_description():
    plan = plan_of(cron_status="PAUSED")
    assert plan.cron is None
    assert plan.schedule_since is None
    assert "cron paused" in plan.tags
    assert plan.description == "Integration batch, paused; cron 30 5 * * * (Europe/Paris)."
    assert plan.problem is None


def test_one_without_cron_runs_by_hand():
    plan = plan_of(cron=None, cron_status=None)
    assert plan.cron is None
    assert plan.tags == ("com.acme", "import", "mediarithmics")
    assert "runs by hand" in plan.description


@pytest.mark.parametrize(
    "cron", ["61 5 * * *", "@daily", "0 0 30 2 *", "0 5 * *", "  ", "nonsense" * 100, "0 0 l * *"]
)
def test_a_cron_that_cannot_be_read_is_shown_with_the_reason(cron):
    plan = plan_of(cron=cron)
    assert plan.cron is None
    assert "invalid-cron" in plan.tags
    assert plan.problem is not None
    assert plan.problem in plan.doc_md
    assert plan.problem in plan.description
    assert len(plan.description) < 500


@pytest.mark.parametrize("status", [None, "HIBERNATING"])
def test_a_cron_whose_status_is_not_known_is_not_run(status):
    plan = plan_of(cron_status=status)
    assert plan.cron is None
    assert "cannot-be-planned" in plan.tags
    assert "unknown status" in plan.description


def test_a_cron_of_every_minute_is_run_and_marked_as_odd():
    plan = plan_of(cron="* * * * *")
    assert plan.cron == "* * * * *"
    assert "probably not meant" in plan.description
    assert "probably not meant" in plan.doc_md


def test_a_cron_is_put_in_the_form_that_airflow_reads_rightly():
    assert plan_of(cron=" 1-1  5 * *  MON ").cron == "1 5 * * mon"


def test_a_renamed_instance_keeps_its_dag_id():
    before, after = plan_of(name="old"), plan_of(name="new")
    assert before.dag_id == after.dag_id
    assert (before.display_name, after.display_name) == ("old", "new")


def test_what_changes_without_meaning_changes_nothing_in_the_plan():
    assert plan_of(last_modified_by="7", creation_ts=1, modified=MODIFIED) == plan_of()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (None, "Integration batch 42"),
        ("", "Integration batch 42"),
        (" \n\t ", "Integration batch 42"),
        ("two\nlines\x00", "two lines"),
        ("🚀 Impört | <b>", "🚀 Impört | <b>"),
        ("x" * 3000, "x" * 249 + "…"),
    ],
)
def test_any_name_can_be_shown(name, shown):
    plan = plan_of(name=name)
    assert plan.display_name == shown
    assert "\n| Instance | 42 |\n" in plan.doc_md


def test_tags_are_sorted_short_and_there_once():
    plan = plan_of(group_id="z" * 300, artifact_id="mediarithmics")
    assert plan.tags == ("mediarithmics", "z" * 99 + "…")
    assert plan_of(group_id=None, artifact_id=" ").tags == ("mediarithmics",)


@pytest.mark.parametrize(
    ("group_id", "artifact_id", "tags"),
    [
        ("Mediarithmics", "Import", ("Import", "mediarithmics")),
        ("acme", "ACME", ("acme", "mediarithmics")),
        ("été", "ETE", ("mediarithmics", "été")),
        ("straße", "STRASSE", ("mediarithmics", "straße")),
    ],
)
def test_of_tags_that_a_database_takes_for_equal_there_is_one(group_id, artifact_id, tags):
    assert plan_of(group_id=group_id, artifact_id=artifact_id).tags == tags


def test_without_an_organisation_there_is_no_page_to_link_to():
    one = instance()
    unknown = Inventory(None, "UTC", CONSOLE, MODIFIED, (one,))
    plan = plan_instance(unknown, one)
    assert plan.console_page is None
    assert "Open on" not in plan.doc_md
    assert plan.schedule_since is None


class TestDagIds:
    @given(st.from_regex(r"[A-Za-z0-9_-]{1,60}", fullmatch=True))
    def test_the_instance_is_read_from_its_dag_id(self, instance_id):
        assert instance_id_of(dag_id_of(instance_id)) == instance_id

    @given(st.text(min_size=1, max_size=400))
    def test_any_id_gives_a_dag_id_that_airflow_takes(self, instance_id):
        dag_id = dag_id_of(instance_id)
        assert len(dag_id) <= 250
        assert all(char.isascii() and (char.isalnum() or char in "_-.") for char in dag_id)

    @given(st.lists(st.text(max_size=20), unique=True, max_size=20))
    def test_two_ids_never_share_a_dag_id(self, instance_ids):
        assert len({dag_id_of(each) for each in instance_ids}) == len(instance_ids)

    @pytest.mark.parametrize(
        "dag_id", ["my_dag", "mics_integration_batch_", "mics_integration_batch_a.b", ""]
    )
    def test_another_dag_is_about_no_instance(self, dag_id):
        assert instance_id_of(dag_id) is None

    def test_an_id_that_the_platform_never_gives_is_shown_with_the_reason(self):
        plan = plan_of(id="4 2")
        assert "cannot-be-planned" in plan.tags
        assert "'4 2'" in plan.description


class TestPlanAll:
    def test_each_instance_has_its_plan_in_the_order_of_ids(self):
        whole = inventory(instance(10), instance(9))
        assert [(one.id, plan.instance_id) for one, plan in plan_all(whole)] == [("9", "9"), ("10", "10")]

    def test_the_same_inventory_gives_the_same_plans(self):
        whole = inventory(*(instance(number, cron=f"{number} 5 * * *") for number in range(60)))
        assert plan_all(whole) == plan_all(Inventory.from_bytes(whole.to_bytes()))

    def test_only_what_is_selected_has_a_plan(self):
        whole = inventory(instance(1), instance(2))
        assert [one.id for one, _ in plan_all(whole, select=lambda each: each.id == "2")] == ["2"]

    def test_a_translation_of_ones_own_replaces_ours(self):
        def mine(known, one):
            return replace(plan_instance(known, one), dag_id=f"mine_{one.id}", tags=("mine",))

        [(_, plan)] = plan_all(inventory(instance(1)), plan=mine)
        assert (plan.dag_id, plan.tags) == ("mine_1", ("mine",))

    @pytest.mark.parametrize("where", ["plan", "select"])
    def test_one_that_fails_shows_why_and_takes_no_other_down(self, where):
        class Broken:
            pass

        def fail_for_2(*arguments):
            if arguments[-1].id == "2":
                raise KeyError(f"no team\nfor {Broken()}")
            return plan_instance(*arguments) if where == "plan" else True

        planned = plan_all(inventory(*map(instance, (1, 2, 3))), **{where: fail_for_2})
        plans = {one.id: plan for one, plan in planned}
        assert plans["1"].cron == plans["3"].cron == "30 5 * * *"
        assert plans["2"].dag_id == "mics_integration_batch_2"
        assert plans["2"].cron is None
        assert "cannot-be-planned" in plans["2"].tags
        assert f"{where}(...) raised KeyError" in plans["2"].description
        assert "no team" in plans["2"].description
        assert "at 0x…" in plans["2"].description, "an address differs at each parse"

    def test_a_plan_that_is_none_is_shown_as_such(self):
        [(_, plan)] = plan_all(inventory(instance(1)), plan=lambda *_: None)
        assert "gave NoneType, not a DagPlan" in plan.description

    def test_of_two_with_the_same_dag_id_both_are_shown(self):
        def same(known, one):
            return replace(plan_instance(known, one), dag_id="same")

        planned = plan_all(inventory(*map(instance, (1, 2, 3))), plan=same)
        assert [plan.dag_id for _, plan in planned] == [
            "same",
            "mics_integration_batch_2",
            "mics_integration_batch_3",
        ]
        assert "is taken by instance 1" in planned[1][1].description

    def test_even_the_name_of_the_reason_can_be_taken(self):
        def clash(known, one):
            return replace(plan_instance(known, one), dag_id="mics_integration_batch_2")

        planned = plan_all(inventory(*map(instance, (1, 2))), plan=clash)
        assert len({plan.dag_id for _, plan in planned}) == 2
