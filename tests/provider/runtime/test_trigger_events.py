"""The event with which a trigger resumes its task."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_mics.runtime.trigger_events import outcome_of


@pytest.mark.parametrize("event", [None, {}, {"status": "done"}, "completed", {"status": "success"}])
def test_an_event_that_is_not_ours_is_never_taken_for_a_success(event: Any) -> None:
    with pytest.raises(AirflowException, match="says nothing of the execution"):
        outcome_of(event)
