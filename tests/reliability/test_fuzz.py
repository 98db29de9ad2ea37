"""Whatever is answered, only a `MicsError` comes out, soon, and with little memory."""

from __future__ import annotations

import gzip
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_mics import api
from tests.case_counts import IS_FULL
from tests.raw_server import RawServer, Reply, answer_of
from tests.reliability.any_answers import ENDLESS, NASTY, answers
from tests.reliability.asked_jobs import JOBS, MODES, outcome
from tests.reliability.conftest import Tell, asks_nothing_of_airflow

pytestmark = asks_nothing_of_airflow

CASES = 2000 if IS_FULL else 80
READ_TIMEOUT_S = 2.0
UNPACKED = 320 << 20
"""Bytes. Five times what a client takes."""

both = pytest.mark.parametrize("mode", MODES)


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    with RawServer([]) as server:
        yield server


def outcome_of_one(mode: str, url: str, timeout: float) -> str:
    with closing(MODES[mode](url, timeout=timeout, max_retries=0)) as client:
        return outcome(client, api.get_instance("42"))


@both
def test_any_answer_gives_a_value_or_a_mics_error(mode: str, server: RawServer, tell: Tell) -> None:
    outcomes: Counter[str] = Counter()

    @settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=not IS_FULL,
    )
    @given(answer=answers, name=st.sampled_from(sorted(JOBS)))
    def fuzz(answer: bytes, name: str) -> None:
        server.replies = [Reply(answer, then="close")]
        outcomes[outcome(client, JOBS[name]())] += 1
        server.requests.clear()

    with closing(MODES[mode](server.url, timeout=READ_TIMEOUT_S)) as client:
        fuzz()
    tell(f"{sum(outcomes.values())} cases by the {mode} client: {dict(outcomes.most_common())}")
    assert len(outcomes) > 3


@both
@pytest.mark.parametrize("body", NASTY)
def test_an_answer_made_to_hurt_gives_a_value_or_a_mics_error(
    mode: str, body: str, server: RawServer
) -> None:
    server.replies = [Reply(answer_of(NASTY[body]), then="close")]
    with closing(MODES[mode](server.url, timeout=READ_TIMEOUT_S)) as client:
        for job in JOBS.values():
            outcome(client, job())
    server.requests.clear()


@both
@pytest.mark.parametrize("server_that", ENDLESS)
def test_an_answer_without_end_is_ended(mode: str, server_that: str) -> None:
    with RawServer([ENDLESS[server_that]]) as server:
        came = outcome_of_one(mode, server.url, timeout=0.5)
    assert came in {"MicsConnectionError", "MicsResponseError"}


@lru_cache
def bomb(layers: int) -> bytes:
    packed = b"[" * UNPACKED
    for _ in range(layers):
        packed = gzip.compress(packed, 1)
    return packed


@both
@pytest.mark.parametrize("layers", [1, 2])
def test_a_small_answer_that_unpacks_to_a_large_one_takes_little_memory(mode: str, layers: int) -> None:
    coding = [("Content-Encoding", ", ".join(["gzip"] * layers))]
    with RawServer([Reply(answer_of(bomb(layers), headers=coding), then="close")]) as server:
        tracemalloc.start()
        try:
            came = outcome_of_one(mode, server.url, timeout=30.0)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert came == "MicsResponseError"
    assert peak < UNPACKED // 2, "and not all of it was unpacked"
