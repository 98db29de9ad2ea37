"""Generated content of lists, and the reading of it."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as some

from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.core.polling.execution_lists import lenient_page
from airflow_provider_mics.core.polling.listed_executions import ListedExecution
from airflow_provider_mics.core.polling.organisation_list import read_items
from tests.case_counts import cases

ANY_JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(), inner, max_size=4),
    max_leaves=12,
)
on_any_machine = settings(max_examples=cases(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
FIELDS = [*Execution.model_fields, "external_model_id", "unknown"]
SOME_EXECUTION = some.dictionaries(some.sampled_from(FIELDS), ANY_JSON, max_size=len(FIELDS))


def read(content):
    """Read a page as an instance's list."""
    return lenient_page("integration_batch_instances/42/executions", Execution, {}).read(content)


def listed(content):
    """Read a page as the organisation's list: its usable items, and the number of all."""
    page = read_items(content)
    return [ListedExecution(*each) for each in page.items], page.size
