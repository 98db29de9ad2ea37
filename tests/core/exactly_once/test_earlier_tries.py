"""After a clear, what earlier tries of the task left running is found, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from airflow_provider_mics.api.field_types import ExecutionType, milliseconds
from airflow_provider_mics.core.exactly_once.earlier_tries import unfinished_executions
from airflow_provider_mics.core.exactly_once.identity import ExecutionIdentity
from tests.simulated_platform import START, SimulatedPlatform

MS = timedelta(milliseconds=1)
GIVE_UP_AT = START + timedelta(hours=1)


def test_only_unfinished_executions_of_earlier_tries_are_found():
    platform = SimulatedPlatform()
    tick = ExecutionIdentity("42", ExecutionType.CRON, START, timedelta(seconds=60))
    manual = [ExecutionIdentity("42", ExecutionType.MANUAL, START + number * MS) for number in range(4)]

    def add(identity, status):
        start = milliseconds(identity.expected_start_date)
        return platform.create(
            {"execution_type": identity.execution_type, "expected_start_date": start}, status
        )["id"]

    expected = [add(tick, "RUNNING"), add(manual[1], "PENDING"), add(manual[2], "RUNNING")]
    add(manual[1], "FAILED")
    add(manual[2], "SUCCEEDED")
    add(manual[3], "RUNNING")
    found = platform.run(unfinished_executions([tick, *manual[:3]], GIVE_UP_AT))
    assert sorted(each.id for each in found) == expected
    assert platform.run(unfinished_executions([manual[0]], GIVE_UP_AT)) == []
    # The run has a later start since it was cleared.
    cleared = replace(manual[2], not_before=START + timedelta(days=1))
    assert [each.id for each in platform.run(unfinished_executions([cleared], GIVE_UP_AT))] == expected[2:]
