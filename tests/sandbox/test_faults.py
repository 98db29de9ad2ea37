"""Fault plans select requests by their rules, and the same ones for the same seed."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_mics.sandbox.faults import FaultPlan, fault_rules
from tests.sandbox_server import SandboxServer


def test_a_rule_applies_by_method_path_times_and_after(server: SandboxServer) -> None:
    instance_id = server.create_instance()
    server.faults([{"kind": 500, "method": "GET", "path": "/executions$", "times": 2, "after": 1}])
    path = f"integration_batch_instances/{instance_id}/executions"
    assert server.send("GET", "connected_user").ok
    assert [server.send("GET", path).status_code for _ in range(5)] == [200, 500, 500, 200, 200]


def injected_kinds(seed: int, rules: list[dict[str, Any]], requests_made: int = 300) -> list[str | None]:
    plan = FaultPlan()
    plan.replace_rules(fault_rules(rules), seed)
    faults = [plan.match("GET", "/v1/plugins").fault for _ in range(requests_made)]
    return [None if fault is None else fault.kind for fault in faults]


def test_the_same_seed_selects_the_same_requests() -> None:
    rules = [{"kind": "500", "probability": 0.2}, {"kind": "slow", "probability": 0.1}]
    assert injected_kinds(7, rules) == injected_kinds(7, rules) != injected_kinds(8, rules)
    assert 30 < sum(kind == "500" for kind in injected_kinds(7, rules)) < 90


def test_a_rule_that_is_added_last_changes_nothing_for_the_others() -> None:
    rules = [{"kind": "500", "probability": 0.2}]
    alone, together = (
        injected_kinds(1, rules),
        injected_kinds(1, [*rules, {"kind": "slow", "probability": 0.5}]),
    )
    assert [kind == "500" for kind in alone] == [kind == "500" for kind in together]


@pytest.mark.parametrize(
    "rule",
    [{"kind": "explode"}, {}, {"kind": "500", "path": "("}, {"kind": "500", "parameters": {"colour": 1}},
     {"kind": "500", "probability": 2}, {"kind": "body", "parameters": {"raw_base64": "é"}}],
)  # fmt: skip
def test_a_plan_that_cannot_be_read_is_refused(server: SandboxServer, rule: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="fault"):
        server.faults([rule])


def test_a_rule_may_apply_for_a_time_only(server: SandboxServer) -> None:
    server.faults([{"kind": "401", "begins_after_s": 0.5, "ends_after_s": 1.5}])
    assert server.send("GET", "connected_user").ok
    server.wait_until(lambda: server.send("GET", "connected_user").status_code == 401, 5)
    server.wait_until(lambda: server.send("GET", "connected_user").ok, 5)
    server.faults([{"kind": "401", "ends_after_s": 0}])
    assert server.send("GET", "connected_user").ok
