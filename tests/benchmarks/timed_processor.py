"""A DAG processor of Airflow 3 that writes down how long it parsed and how long it stored each file.

``python tests/benchmarks/timed_processor.py FOLDER`` appends a line of JSON to ``parsed.jsonl`` in the folder for each
file that was parsed, and to ``stored.jsonl`` for each one that was stored.
"""

from __future__ import annotations

import json
import sys
import time
from functools import wraps
from pathlib import Path
from typing import Any

from airflow.__main__ import main
from airflow.dag_processing import processor
from airflow.dag_processing.manager import DagFileProcessorManager


class Stopwatch:
    """Seconds since it was made, by the clock and of CPU."""

    def __init__(self) -> None:
        self._began, self._cpu = time.monotonic(), time.process_time()

    def read(self, name: str) -> dict[str, float]:
        return {
            f"{name}_s": time.monotonic() - self._began,
            f"{name}_cpu_s": time.process_time() - self._cpu,
            "at": time.time(),
        }


def write_down(records: Path, record: dict[str, Any]) -> None:
    with records.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def timed_store(store: Any, records: Path) -> Any:
    """The method by which a DAG processor stores what a file gave."""

    @wraps(store)
    def persist_parsing_result(self: Any, **given: Any) -> None:
        watch = Stopwatch()
        store(self, **given)
        result = given["parsing_result"]
        record = {"file": given["relative_fileloc"], "dags": len(result.serialized_dags)}
        write_down(records, record | {"errors": result.import_errors or {}} | watch.read("store"))

    return persist_parsing_result


def timed_parse(parse: Any, records: Path) -> Any:
    """The function by which a process of its own imports a file and serializes its DAGs."""

    @wraps(parse)
    def parse_file(*given: Any, **more: Any) -> Any:
        watch = Stopwatch()
        result = parse(*given, **more)
        write_down(records, watch.read("parse"))
        return result

    return parse_file


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    DagFileProcessorManager.persist_parsing_result = timed_store(  # type: ignore[method-assign]
        DagFileProcessorManager.persist_parsing_result, folder / "stored.jsonl"
    )
    processor._parse_file = timed_parse(processor._parse_file, folder / "parsed.jsonl")
    sys.argv = ["airflow", "dag-processor"]
    main()
