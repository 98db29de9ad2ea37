"""Generated content of lists, and the reading of it."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as some

from airflow_provider_mics.core.polling.execution_lists import ExecutionSummary, lenient_page

ANY_JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(), inner, max_size=4),
    max_leaves=12,
)
on_any_machine = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FIELDS = [*ExecutionSummary.model_fields, "error", "result", "unknown"]
SOME_EXECUTION = some.dictionaries(some.sampled_from(FIELDS), ANY_JSON, max_size=len(FIELDS))


def read(content, model=ExecutionSummary):
    return lenient_page("integration_batch_instances.executions", model, {}).read(content)
