"""A submission and its retry on a real server with a long history: few requests, and one execution."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow_provider_mics.api import MicsClient
from airflow_provider_mics.core.exactly_once.identity import TaskTry, identity_of
from airflow_provider_mics.core.exactly_once.submission import submit_execution
from tests.sandbox_server import SandboxServer

PLATFORMS = [
    {"list_order": "newest"},
    {"list_order": "oldest", "lists_have_total": False},
    {"list_order": "oldest", "lists_have_total": False, "max_results_echo": "asked", "past_the_end": "416"},
    {"list_order": "oldest", "total_shown": "of_page", "past_the_end": "400"},
    {"list_order": "oldest", "total_shown": "too_large"},
]


def test_a_history_of_100_000_costs_few_requests_and_leads_to_one_execution() -> None:
    with SandboxServer() as server, MicsClient(server.url, server.token, server.organisation_id) as client:
        instance_id = server.create_instance(properties={"outcome": "hang"})
        server.bulk(instance_id=int(instance_id), executions=100_000, every_s=17)
        for number, quirks in enumerate(PLATFORMS):
            server.quirks(reset=True, max_results_cap=20, **quirks)
            now = datetime.now(UTC)
            identity = identity_of(
                TaskTry("nightly", f"run {number}", "import", -1, "manual", now, now), instance_id
            )
            server.reset_counters()
            created = client.run(submit_execution(identity))
            assert created.outcome == "created", quirks
            assert sum(server.counters().values()) <= 45, quirks
            server.reset_counters()
            found = client.run(submit_execution(identity, is_retry=True))
            assert (found.outcome, found.execution.id) == ("found", created.execution.id)
            assert sum(server.counters().values()) <= 45, quirks
