from __future__ import annotations

from airflow_provider_mics.sandbox.executions import Execution, execution_script


def execution(**changes: object) -> Execution:
    values = {
        "instance_id": 1,
        "organisation_id": "1185",
        "execution_type": "MANUAL",
        "expected_ms": 1_000,
        "created_ms": 0,
        "created_real_ms": 0,
        "created_by": "api",
        "start_ms": 1_000,
        "duration_ms": 4_000,
        "succeeds": True,
        "num_tasks": 4,
    } | changes
    return Execution(**values)  # type: ignore[arg-type]


def test_an_execution_is_pending_then_running_then_over() -> None:
    seen = [(moment, execution().state_at(moment)) for moment in (0, 999, 1_000, 4_999, 5_000, 10**9)]
    assert [state.status for _, state in seen] == [
        "PENDING", "PENDING", "RUNNING", "RUNNING", "SUCCEEDED", "SUCCEEDED",
    ]  # fmt: skip
    assert (seen[0][1].start_ms, seen[2][1].start_ms) == (None, 1_000)
    assert (seen[3][1].duration_ms, seen[4][1].duration_ms) == (None, 4_000)


def test_tasks_are_completed_one_after_the_other() -> None:
    done = [execution().state_at(moment).completed_tasks for moment in (1_000, 2_000, 3_500, 4_999, 5_000)]
    assert done == [0, 1, 2, 3, 4]
    failed = execution(succeeds=False).state_at(5_000)
    assert (failed.status, failed.completed_tasks, failed.erroneous_tasks) == ("FAILED", 3, 1)
    partly = execution(erroneous_tasks=3).state_at(5_000)
    assert (partly.status, partly.completed_tasks, partly.erroneous_tasks) == ("SUCCEEDED", 1, 3)


def test_an_execution_that_hangs_never_ends() -> None:
    state = execution(duration_ms=None).state_at(10**15)
    assert state.status == "RUNNING"
    assert state.completed_tasks < 4


def test_a_stop_counts_from_its_moment_and_not_after_the_end() -> None:
    stopped = execution(stop_ms=3_000, stop_status="CANCELED")
    assert stopped.state_at(2_999).status == "RUNNING"
    assert (stopped.state_at(3_000).status, stopped.state_at(3_000).duration_ms) == ("CANCELED", 2_000)
    assert execution(stop_ms=5_000, stop_status="CANCELED").state_at(6_000).status == "SUCCEEDED"
    before_its_start = execution(stop_ms=10, stop_status="CANCELED").state_at(6_000)
    assert (before_its_start.status, before_its_start.start_ms) == ("CANCELED", None)


def test_outcomes_are_taken_in_turn() -> None:
    for value in ('["fail","succeed"]', "fail, succeed", ["fail", "succeed"]):
        made = [execution_script({"sandbox.outcome": value}, run_index).succeeds for run_index in range(4)]
        assert made == [False, True, False, True]
    assert execution_script({"sandbox.outcome": "hang"}, 0).duration_ms is None


def test_properties_that_make_no_sense_are_read_as_their_defaults() -> None:
    odd = execution_script(
        {"sandbox.outcome": "explode", "sandbox.duration_s": "soon", "sandbox.num_tasks": -1}, 0
    )
    assert (odd.succeeds, odd.duration_ms, odd.num_tasks) == (True, 5_000, 10)
