"""What building many DAGs costs, ours beside the least that Airflow's classes allow and beside other factories.

``python -m tests.benchmarks.bench_parse [--short] [N ...]`` prints two tables as Markdown (N: 100, 1,000 and 5,000).
Each row is measured in a process of its own, all in one run: on another machine the times differ, the ratios hardly do.
All are milliseconds of CPU, the least of some rounds: what is above it is the machine. What ours does for one DAG on a
worker is in the second table.
"""
# ruff: noqa: T201 - it prints a table

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROUNDS, SERIALIZED = 7, 200
DETAILS = "parts of ours"


def least_ms(work: Callable[[], object]) -> float:
    """The least of several rounds, in milliseconds of CPU."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        rounds.append((time.process_time() - began) * 1000)
    return min(rounds)


def measure(row: str, number: int, folder: Path) -> dict[str, float]:
    """What one maker costs: importing it, building ``number`` DAGs, serializing some of them."""
    from airflow import sdk

    for each in ("DAG", "BaseOperator", "Param"):
        getattr(sdk, each)
    from tests.benchmarks.dag_makers import IMPORTS, MAKERS

    began = time.process_time()
    if row in IMPORTS:
        __import__(IMPORTS[row])
    importing = (time.process_time() - began) * 1000
    from tests.provider.dag_factory.factories import serialized

    make = MAKERS[row](number, folder)
    assert len(make()) == number, f"{row} made {len(make())} DAGs of {number}"
    some = list(make().values())[:SERIALIZED]
    return {
        "import": importing,
        "build": least_ms(make) / number,
        "serialize": least_ms(lambda: [serialized(dag) for dag in some]) / len(some),
    }


def measure_parts(number: int, folder: Path) -> dict[str, float]:
    """What our factory does besides building: reading and planning, and all it does for one DAG on a worker."""
    from airflow_provider_mics.core.planning.dag_plans import plan_all
    from airflow_provider_mics.core.planning.inventory import Inventory
    from tests.benchmarks.dag_makers import ours

    make = ours(number, folder)
    content = (folder / "inventory.jsonl").read_bytes()
    inventory = Inventory.from_bytes(content)
    last = inventory.instances[-1].id
    dag_id = list(make())[-1]

    def on_a_worker() -> None:
        os.environ["_AIRFLOW_PARSING_CONTEXT_DAG_ID"] = dag_id
        assert len(make()) == 1
        del os.environ["_AIRFLOW_PARSING_CONTEXT_DAG_ID"]

    return {
        "warm parse of all": least_ms(make),
        "of it, reading the snapshot": least_ms(lambda: Inventory.from_bytes(content)),
        "of it, planning": least_ms(lambda: plan_all(inventory)),
        "warm parse on a worker, of one DAG": least_ms(on_a_worker),
        "of it, reading one instance": least_ms(lambda: Inventory.of_one(content, last)),
    }


def in_a_process(row: str, number: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.bench_parse", "--only", row, str(number)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{row} of {number}: {done.stderr[-2000:]}")
    costs: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return costs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("numbers", nargs="*", type=int, default=[100, 1000, 5000])
    parser.add_argument("--short", action="store_true", help="100 DAGs: whether it runs")
    parser.add_argument("--only", help="one row, as JSON")
    chosen = parser.parse_args()
    numbers = [100] if chosen.short else chosen.numbers
    if chosen.only:
        with tempfile.TemporaryDirectory(prefix="bench-parse-") as home:
            os.environ["AIRFLOW_HOME"] = home
            logging.disable()
            measured = measure_parts if chosen.only == DETAILS else lambda *it: measure(chosen.only, *it)
            print(json.dumps(measured(numbers[0], Path(home))))
        return
    from tests.benchmarks.dag_makers import MAKERS

    print("| DAGs | | build, ms a DAG | x bare | serialize, ms a DAG | x bare | import, ms |")
    print("|---|---|---|---|---|---|---|")
    for number in numbers:
        floor: dict[str, float] = {}
        for row in MAKERS:
            cost = in_a_process(row, number)
            floor = floor or cost
            build, serialize = (f"{cost[name] / floor[name]:.2f}" for name in ("build", "serialize"))
            cells = f"{cost['build']:.2f} | {build} | {cost['serialize']:.2f} | {serialize} | {cost['import']:.0f}"
            print(f"| {number:,} | {row} | {cells} |", flush=True)
    print(f"\n| ms | {' | '.join(f'{number:,} instances' for number in numbers)} |")
    print("|---" * (len(numbers) + 1) + "|")
    parts = [in_a_process(DETAILS, number) for number in numbers]
    for name in parts[0]:
        print(f"| {name} | {' | '.join(f'{each[name]:.2f}' for each in parts)} |")


if __name__ == "__main__":
    main()
