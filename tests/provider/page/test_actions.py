"""What an action answers where Airflow refuses what it is asked for; without a server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from local_airflow.components import HAS_PAGES

if not HAS_PAGES:
    pytest.skip("Airflow 2.11 and 3.0 have no such pages", allow_module_level=True)

from sqlalchemy.exc import IntegrityError

from airflow_provider_mics.page import actions
from airflow_provider_mics.page.batches import Batch, Dag, Source
from airflow_provider_mics.page.drift import ScheduleInAirflow

SOURCE = Source("mics_default")
DAG = Dag("d", SOURCE, "1", "one", False, ScheduleInAirflow(None, None))
BATCH = Batch(SOURCE, "1", "one", None, DAG, "by hand", "UTC", None, None, (), ())


class Admin:
    name = "admin"


@pytest.mark.parametrize("is_there", [True, False])
def test_a_run_that_another_api_server_made_for_the_form_counts_as_started(
    monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise IntegrityError("INSERT INTO dag_run", {}, Exception("UNIQUE constraint failed"))

    monkeypatch.setattr(actions, "trigger_dag", refuse)
    monkeypatch.setattr(actions.DagRun, "find_duplicate", lambda **_: object() if is_there else None)
    order = actions.Order(BATCH, Admin(), "0123456789abcdef", datetime(2026, 3, 2, tzinfo=UTC))  # type: ignore[arg-type]
    if is_there:
        answer = actions.run_batch(order)
        assert answer.is_done
        assert "started already by this form" in answer.text
    else:
        with pytest.raises(IntegrityError):
            actions.run_batch(order)
