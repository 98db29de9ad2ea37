"""What a warm parse of many instances costs, beside as many bare DAGs built in the same process.

``python -m tests.benchmarks.bench_parse [--short] [number of instances]``. Times are of the machine, ratios are ours.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROUNDS = 5
FOLDER = Path(tempfile.mkdtemp(prefix="bench-parse-"))
os.environ.setdefault("AIRFLOW_HOME", str(FOLDER))
START = datetime(2024, 1, 1, tzinfo=UTC)


def median_ms(work: Callable[[], object]) -> float:
    """The median of several rounds, in milliseconds of CPU."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        rounds.append((time.process_time() - began) * 1000)
    return statistics.median(rounds)


def main(number: int) -> None:
    from tests.airflow_names import DAG, BaseOperator

    began = time.process_time()
    from airflow_provider_mics.dag_factory import integration_batch_dags

    importing = (time.process_time() - began) * 1000
    from airflow_provider_mics.core.planning.dag_plans import plan_all
    from airflow_provider_mics.core.planning.inventory import Inventory
    from tests.core.planning.instances import instance
    from tests.provider.dag_factory.factories import serialized, write_snapshot

    snapshot = FOLDER / "inventory.jsonl"
    kept = write_snapshot(
        snapshot, *(instance(10_000 + each, cron=f"{each % 60} {each % 24} * * *") for each in range(number))
    )
    content = snapshot.read_bytes()
    last = kept.instances[-1].id

    def bare_dags() -> list[Any]:
        dags = []
        for each in range(number):
            with DAG(f"bare_{each}", schedule=None, start_date=START, catchup=False) as dag:
                BaseOperator(task_id="execute")
            dags.append(dag)
        return dags

    def parse() -> dict[str, Any]:
        return integration_batch_dags("no_such_connection", snapshot=snapshot)

    def parse_on_a_worker() -> None:
        os.environ["_AIRFLOW_PARSING_CONTEXT_DAG_ID"] = f"mics_integration_batch_{last}"
        assert len(parse()) == 1
        del os.environ["_AIRFLOW_PARSING_CONTEXT_DAG_ID"]

    bare, whole = median_ms(bare_dags), median_ms(parse)
    some = list(parse().values())[:200]
    some_bare = bare_dags()[:200]
    rows = {
        "import of airflow_provider_mics.dag_factory": importing,
        f"{number} bare DAGs": bare,
        f"warm parse of {number} instances": whole,
        "  reading the snapshot": median_ms(lambda: Inventory.from_bytes(content)),
        "  planning": median_ms(lambda: plan_all(kept)),
        "warm parse on a worker, one DAG": median_ms(parse_on_a_worker),
        "  reading one instance of the snapshot": median_ms(lambda: Inventory.of_one(content, last)),
        "serialization of 200 bare DAGs": median_ms(lambda: [serialized(dag) for dag in some_bare]),
        "serialization of 200 of ours": median_ms(lambda: [serialized(dag) for dag in some]),
    }
    for name, milliseconds in rows.items():
        sys.stdout.write(f"{name:<45}{milliseconds:>10.2f} ms\n")
    sys.stdout.write(f"{'warm parse / bare DAGs':<45}{whole / bare:>10.2f}\n")


if __name__ == "__main__":
    numbers = [int(each) for each in sys.argv[1:] if each != "--short"]
    main(*numbers or [100 if "--short" in sys.argv else 1000])
