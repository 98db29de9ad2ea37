"""The process in which ``dag_runs`` runs a DAG file. Its only argument is the request, in JSON."""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow import __version__ as airflow_version

from tests.airflow_names import DAG


def main(request: dict[str, Any]) -> None:
    _log_as_later_lines_do()
    file = Path(os.environ["AIRFLOW_HOME"], request["file"])
    dag = _dag_of(file, request["dag_id"])
    if airflow_version.startswith("3.0.") and any(task.outlets for task in dag.tasks):
        _store_dags_of(file.parent)
    arguments: dict[str, Any] = {"run_conf": request["conf"]}
    if request["logical_date"]:
        is_new = "logical_date" in inspect.signature(dag.test).parameters
        moment = datetime.fromisoformat(request["logical_date"])
        arguments["logical_date" if is_new else "execution_date"] = moment
    dag.test(**arguments)


def _log_as_later_lines_do() -> None:
    """Log from INFO on, with plain tracebacks.

    Under ``dag.test()``, Airflow 3.0 leaves structlog to its defaults: debug lines, of which one holds each secret that
    is to be masked, and tracebacks in boxes, with the variables of every frame.
    """
    try:
        import structlog
    except ImportError:  # Airflow 2
        return
    if structlog.is_configured():
        return
    *before, _ = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    info = structlog.make_filtering_bound_logger(logging.INFO)
    structlog.configure(processors=[*before, plain], wrapper_class=info)


def _store_dags_of(folder: Path) -> None:
    """As a DAG processor does. Airflow 3.0 runs no task with an outlet whose asset is not in its database."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.models.dagbag import DagBag

    DagBundlesManager().sync_bundles_to_db()
    DagBag(folder, bundle_path=folder, include_examples=False).sync_to_db("dags-folder", None)


def _dag_of(file: Path, dag_id: str | None) -> DAG:
    """Imported by its name, as Airflow does, so that a trigger that the file defines can be found again."""
    sys.path.insert(0, str(file.parent))
    module = importlib.import_module(file.stem)
    dags = {value.dag_id: value for value in vars(module).values() if isinstance(value, DAG)}
    if dag_id is None and len(dags) == 1:
        return next(iter(dags.values()))
    if dag_id not in dags:
        sys.exit(f"{file.name} has the DAGs {sorted(dags)}; asked was for {dag_id}")
    return dags[dag_id]


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
