"""A plan with an odd field is explained on its own DAG, and breaks no other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_mics.core.planning.dag_plans import plan_all, plan_instance
from tests.core.planning.instances import instance, inventory

ODD: dict[str, list[tuple[Any, str]]] = {
    "dag_id": [
        (["x"], "the dag_id ['x']: it must be a text of letters"),
        (None, "the dag_id None: it must"),
        (7, "the dag_id 7: it must"),
        ("abc1\n", "the dag_id 'abc1\\n': it must"),
        ("a b", "the dag_id 'a b': it must"),
        ("", "the dag_id '': it must"),
        ("x" * 251, "the dag_id 'xxxx"),
    ],
    "tags": [
        (None, "the tags None, which are no tuple of texts"),
        ("mine", "the tags 'mine', which are no tuple of texts, such as ('mine',)"),
        ((1, 2), "the tags (1, 2)"),
        (7, "the tags 7"),
    ],
    "timezone": [(None, "the timezone None, which is no text"), (1, "the timezone 1")],
    "instance_id": [(42, "the instance_id 42, which is no text")],
    "cron": [(["0 5 * * *"], "the cron ['0 5 * * *'], which is no text")],
    "display_name": [(b"x", "the display_name b'x'"), ("x" * 2001, "a display_name of 2001 characters")],
    "description": [({}, "the description {}")],
    "doc_md": [(1.5, "the doc_md 1.5")],
    "problem": [(KeyError("x"), "the problem KeyError('x')")],
}
FINE: list[dict[str, Any]] = [
    {},
    {"dag_id": "Ünï.code-1"},
    {"tags": ["a", "b"]},
    {"tags": frozenset({"a"})},
    {"tags": ()},
    {"description": None, "doc_md": None, "display_name": None},
    {"cron": None, "schedule_since": None},
]


@pytest.mark.parametrize("prefix", ["", "staging_"])
@pytest.mark.parametrize(
    ("name", "value", "reason"), [(name, *case) for name, cases in ODD.items() for case in cases]
)
def test_an_odd_field_is_explained_and_the_others_are_planned(name, value, reason, prefix):
    def mine(known: Any, one: Any) -> Any:
        plan = plan_instance(known, one)
        return replace(plan, **{name: value}) if one.id == "2" else plan

    known = inventory(*map(instance, (1, 2, 3)))
    plans = {one.id: plan for one, plan in plan_all(known, plan=mine, dag_id_prefix=prefix)}
    assert [plan.problem is None for plan in plans.values()] == [True, False, True]
    odd = plans["2"]
    assert odd.dag_id == f"{prefix}mics_integration_batch_2"
    assert odd.cron is None
    assert "cannot-be-planned" in odd.tags
    assert f"plan(...) gave {reason}" in (odd.problem or "")
    assert len(odd.description) < 500


@pytest.mark.parametrize("prefix", ["", "staging_"])
@pytest.mark.parametrize("fields", FINE)
def test_what_airflow_takes_is_taken(fields, prefix):
    known = inventory(instance())
    planned = plan_all(
        known, plan=lambda *each: replace(plan_instance(*each), **fields), dag_id_prefix=prefix
    )
    [(_, plan)] = planned
    assert plan.problem is None
