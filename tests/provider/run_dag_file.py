"""The process in which ``dag_runs`` runs a DAG file. Its only argument is the request, in JSON."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.airflow_names import DAG


def main(request: dict[str, Any]) -> None:
    dag = _dag_of(Path(os.environ["AIRFLOW_HOME"], request["file"]), request["dag_id"])
    arguments: dict[str, Any] = {"run_conf": request["conf"]}
    if request["logical_date"]:
        is_new = "logical_date" in inspect.signature(dag.test).parameters
        moment = datetime.fromisoformat(request["logical_date"])
        arguments["logical_date" if is_new else "execution_date"] = moment
    dag.test(**arguments)


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
