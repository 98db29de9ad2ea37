"""A DAG processor of Airflow 3 that writes down how long it parsed and how long it stored each file.

``python tests/benchmarks/timed_processor.py FILE`` appends a line of JSON to FILE for each file that was stored.
"""

from __future__ import annotations

import json
import os
import sys
import time
from functools import wraps
from pathlib import Path
from typing import Any

from airflow.__main__ import main
from airflow.dag_processing.manager import DagFileProcessorManager


def timed(store: Any, records: Path) -> Any:
    """The method that stores what a file gave, with a record of each call."""

    @wraps(store)
    def persist_parsing_result(self: Any, **given: Any) -> None:
        began, cpu = time.time(), time.process_time()
        store(self, **given)
        record = {
            "processor": os.getpid(),
            "file": given["relative_fileloc"],
            "dags": len(given["parsing_result"].serialized_dags),
            "errors": given["parsing_result"].import_errors or {},
            "parse_s": given["run_duration"],
            "store_s": time.time() - began,
            "store_cpu_s": time.process_time() - cpu,
            "stored_at": time.time(),
        }
        with records.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    return persist_parsing_result


if __name__ == "__main__":
    DagFileProcessorManager.persist_parsing_result = timed(  # type: ignore[method-assign]
        DagFileProcessorManager.persist_parsing_result, Path(sys.argv[1])
    )
    sys.argv = ["airflow", "dag-processor"]
    main()
