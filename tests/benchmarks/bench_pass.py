"""What a pass of real DAG processors costs on PostgreSQL, and whether scheduled runs come on time meanwhile.

``python -m tests.benchmarks.bench_pass [--short] [--before FOLDER] [--scheduled NUMBER ...]`` prints Markdown tables:

* parse and store of one pass, for 1,000 and 3,000 instances: in one file and in shards, with one DAG processor and
  two. With ``--before``, also by the package in another checkout, in one file.
* of a whole Airflow with two schedulers and two DAG processors, whose instances are in shards, for ``--scheduled``
  instances (3,000): how late the run of each minutely tick was created, how old the heartbeats of the processors
  became, and how long the import of a file took.

Needs Airflow 3, and takes an hour; ``--short`` takes a few minutes and shows that it works. The machine decides the
times: compare within one run.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local_airflow.home import environ_for, migrate
from local_airflow.postgres import postgres
from local_airflow.processes import Processes

TIMED_PROCESSOR = Path(__file__).with_name("timed_processor.py")
DAGS_PER_FILE = 250
MINUTELY = 13
WARM_PASSES = 2
PASS_LIMIT_S = 900
DAG_FILE = '''"""Airflow dags."""

import json
import os
import time
from datetime import timedelta
from pathlib import Path

began = time.monotonic()
from airflow_provider_mics.dag_factory import integration_batch_dags

globals().update(integration_batch_dags({arguments}))
if os.environ.get("BENCH_IMPORTS"):
    with Path(os.environ["BENCH_IMPORTS"]).open("a") as file:
        file.write(json.dumps({{"file": __file__, "seconds": time.monotonic() - began}}) + "\\n")
'''


@dataclass(frozen=True)
class Shape:
    """How the instances are spread over files and processors."""

    name: str
    files: int
    processors: int
    package: Path | None = None


def write_files(folder: Path, files: int, arguments: str) -> None:
    """Make the DAG files, and no others."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number in range(1, files + 1):
        shard = "" if files == 1 else f", shard=({number}, {files})"
        (folder / f"batches_{number}.py").write_text(DAG_FILE.format(arguments=arguments + shard))


def lines_of(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@contextmanager
def airflow_home() -> Iterator[tuple[Path, str]]:
    """A home on a PostgreSQL of its own, and the URL of that."""
    folder = Path(tempfile.mkdtemp(prefix="bench-pass-"))
    try:
        with postgres(folder / "postgresql") as url:
            migrate(folder / "home", url)
            yield folder / "home", url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# ---------------------------------------------------------------------------------------------------------------------
# One pass, without schedulers


def one_pass(number: int, shape: Shape) -> dict[str, float]:
    """Measure the passes after the first one, which creates the DAGs."""
    from tests.core.planning.instances import instance
    from tests.provider.dag_factory.factories import write_snapshot

    with airflow_home() as (home, url):
        snapshot, parsed, records = (home / name for name in ("inventory", "parsed.jsonl", "stored.jsonl"))
        write_snapshot(
            snapshot,
            *(instance(10_000 + each, cron=f"{each % 60} {each % 24} * * *") for each in range(number)),
        )
        arguments = f'"no_such_connection", snapshot={str(snapshot)!r}, snapshot_ttl=timedelta(days=1)'
        write_files(home / "dags", shape.files, arguments)
        environ = environ_for(home) | {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "1",
            "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "600",
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
        }
        if shape.package is not None:
            environ["PYTHONPATH"] = f"{shape.package}:{environ['PYTHONPATH']}"
        with Processes(home / "process_logs") as processes:

            def start(name: str) -> None:
                # Not by its module's name, which would put this checkout before the other package.
                processes.start(name, [str(TIMED_PROCESSOR), str(home)], environ)

            start("1")  # alone, since two that create the same DAGs fail on each other's rows
            wait_for_passes(processes, records, shape.files, 1)
            for each in range(2, shape.processors + 1):
                start(str(each))
            if shape.processors > 1:
                time.sleep(15)  # the others import Airflow
            records.unlink()
            parsed.unlink()
            began = time.time()
            stored = wait_for_passes(processes, records, shape.files, WARM_PASSES * shape.processors)
        assert not any(each["errors"] for each in stored), stored[0]["errors"]
        assert sum({each["file"]: each["dags"] for each in stored}.values()) == number
        parses, passes = lines_of(parsed), len(stored) / shape.files

        def mean(records: list[dict[str, Any]], name: str) -> float:
            return sum(each[name] for each in records) / len(records) * shape.files

        return {
            "parse": mean(parses, "parse_s"),
            "parse cpu": mean(parses, "parse_cpu_s"),
            "store": mean(stored, "store_s"),
            "store cpu": mean(stored, "store_cpu_s"),
            "longest parse": max(each["parse_s"] for each in parses),
            "longest store": max(each["store_s"] for each in stored),
            "pass": (stored[-1]["at"] - began) / passes,
        }


def wait_for_passes(processes: Processes, records: Path, files: int, passes: int) -> list[dict[str, Any]]:
    """Wait until the files were stored as often, on average, and return the records."""
    deadline = time.monotonic() + PASS_LIMIT_S * passes
    while len(stored := lines_of(records)) < files * passes or len({each["file"] for each in stored}) < files:
        ended = processes.ended()
        assert ended is None, ended
        assert time.monotonic() < deadline, f"{len(stored)} files were stored; {processes.log('1')[-2000:]}"
        time.sleep(0.2)
    return stored


def pass_table(numbers: list[int], before: Path | None) -> None:
    say(
        "| instances | files | processors | parse s | store s | of it CPU s | longest transaction s | pass s |"
    )
    say("|---|---|---|---|---|---|---|---|")
    for number in numbers:
        shards = math.ceil(number / DAGS_PER_FILE)
        shapes = [
            *((Shape("before, 1", 1, each, before) for each in (1, 2)) if before else ()),
            Shape("1", 1, 1),
            *(Shape(f"{shards} shards", shards, each) for each in (1, 2)),
        ]
        for shape in shapes:
            took = one_pass(number, shape)
            figures = " | ".join(f"{value:.1f}" for value in took.values())
            say(f"| {number} | {shape.name} | {shape.processors} | {figures} |")


# ---------------------------------------------------------------------------------------------------------------------
# A whole Airflow


def scheduled(number: int, minutes: int) -> dict[str, str]:
    """Let a whole Airflow run for some minutes, and return how late the runs were."""
    from local_airflow.components import LocalAirflow
    from tests.provider.mics_connections import connection_to
    from tests.sandbox_server import SandboxServer

    shards = math.ceil(number / DAGS_PER_FILE)
    with SandboxServer() as sandbox, airflow_home() as (home, url):
        minutely = sandbox.bulk(instances=MINUTELY, cron="* * * * *", cron_status="ACTIVE")["instance_ids"]
        hour = (datetime.now(UTC) + timedelta(hours=12)).hour
        sandbox.bulk(instances=number - MINUTELY, cron=f"7 {hour} * * *", cron_status="ACTIVE")
        write_files(home / "dags", shards, "poll_interval=5")
        imports = home / "imports.jsonl"
        environ = {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "2",
            "AIRFLOW_CONN_MICS_DEFAULT": connection_to(sandbox),
            "BENCH_IMPORTS": str(imports),
        }
        with LocalAirflow(home, environ) as airflow:
            airflow.start("scheduler", "second scheduler")
            airflow.until(
                lambda: rows(url, "SELECT count(*) FROM dag WHERE NOT is_stale")[0][0] == number, 1200
            )
            airflow.start("dag-processor", "second dag-processor")
            airflow.until(airflow.api.is_healthy, 150)
            time.sleep(60)
            imports.unlink(missing_ok=True)
            begin = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
            oldest = watched_heartbeats(url, begin + timedelta(minutes=minutes, seconds=31))
            ended = airflow.ended()
        ticks = [begin + timedelta(minutes=each) for each in range(minutes)]
        dag_ids = [f"mics_integration_batch_{each}" for each in minutely]
        late = lateness(url, dag_ids, ticks)
        longest = max(each["seconds"] for each in lines_of(imports))
    in_time = [each for each in late if each is not None and each <= 30]
    known = [each for each in late if each is not None]
    return {
        "instances": str(number),
        "shards": str(shards),
        "ticks": str(len(late)),
        "with a run": str(len(known)),
        "within 30 s": str(len(in_time)),
        "p50 s": f"{statistics.median(known):.1f}" if known else "-",
        "latest s": f"{max(known):.1f}" if known else "-",
        "oldest processor heartbeat s": f"{oldest:.1f}",
        "longest import s": f"{longest:.1f}",
        "ended": "none" if ended is None else ended.splitlines()[0],
    }


def watched_heartbeats(url: str, until: datetime) -> float:
    """Return the greatest age that the heartbeat of a running DAG processor had, in seconds."""
    oldest = 0.0
    query = (
        "SELECT extract(epoch FROM now() - latest_heartbeat) FROM job "
        "WHERE job_type = 'DagProcessorJob' AND state = 'running'"
    )
    while datetime.now(UTC) < until:
        oldest = max(oldest, *(float(age) for (age,) in rows(url, query)))
        time.sleep(1)
    return oldest


def lateness(url: str, dag_ids: list[str], ticks: list[datetime]) -> list[float | None]:
    """Return for each DAG and tick how many seconds after it the run was created, or None where there is none."""
    query = "SELECT dag_id, logical_date, queued_at FROM dag_run WHERE run_type = 'scheduled'"
    created: dict[str, dict[datetime, datetime]] = defaultdict(dict)
    for dag_id, tick, queued_at in rows(url, query):
        created[dag_id][tick] = queued_at
    return [
        (created[dag_id][tick] - tick).total_seconds() if tick in created[dag_id] else None
        for dag_id in dag_ids
        for tick in ticks
    ]


def rows(url: str, query: str) -> list[Any]:
    import psycopg2

    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            found: list[Any] = cursor.fetchall()
            return found
    finally:
        connection.close()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--short", action="store_true", help="few instances, to see that it works")
    parser.add_argument("--before", type=Path, help="another checkout, whose package is measured too")
    parser.add_argument("--passes", type=int, nargs="*", default=[1000, 3000], metavar="NUMBER")
    parser.add_argument("--scheduled", type=int, nargs="*", default=[3000], metavar="NUMBER")
    parser.add_argument("--minutes", type=int, default=10, help="of ticks that are watched (10)")
    given = parser.parse_args()
    # What it started ends with it, however it is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if given.short:
        given.passes, given.scheduled, given.minutes = [60], [60], 1
    if given.passes:
        pass_table(given.passes, given.before)
        say("")
    for count, number in enumerate(given.scheduled):
        row = scheduled(number, given.minutes)
        if count == 0:
            say(f"| {' | '.join(row)} |")
            say("|" + "---|" * len(row))
        say(f"| {' | '.join(row.values())} |")


if __name__ == "__main__":
    main()
