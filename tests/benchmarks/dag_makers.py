"""DAGs of the same instances, made by each of several means. A maker is given what it reads, and returns its DAGs.

Each DAG has a cron, a start, two tags, a text, an argument for its tasks, a parameter and one task. The floor has only
what no DAG can do without.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

START = datetime(2024, 1, 1, tzinfo=UTC)
Maker = Callable[[], dict[str, Any]]
ENDING = "mediarithmics integration batch"


def names_and_crons(number: int) -> list[tuple[str, str]]:
    return [(f"batch_{each}", f"{each % 60} {each % 24} * * *") for each in range(number)]


def bare(number: int, folder: Path) -> Maker:
    """A DAG with an operator that does nothing, and nothing else."""
    from airflow.sdk import DAG, BaseOperator

    names = [name for name, _ in names_and_crons(number)]

    def make() -> dict[str, Any]:
        dags = {}
        for name in names:
            with DAG(name, schedule=None, start_date=START, catchup=False) as dag:
                BaseOperator(task_id="execute")
            dags[name] = dag
        return dags

    return make


def naive_loop(number: int, folder: Path) -> Maker:
    """What a person writes first: a loop over a list in JSON."""
    from airflow.sdk import DAG, BaseOperator, Param

    file = folder / "instances.json"
    file.write_text(json.dumps([{"name": name, "cron": cron} for name, cron in names_and_crons(number)]))

    def make() -> dict[str, Any]:
        dags = {}
        for each in json.loads(file.read_text()):
            moment = Param(None, type=["null", "string"], format="date-time")
            with DAG(
                each["name"],
                schedule=each["cron"],
                start_date=START,
                catchup=False,
                tags=["mediarithmics", "naive"],
                doc_md=f"{ENDING} {each['name']}",
                default_args={"retries": 0},
                params={"expected_start_date": moment},
            ) as dag:
                BaseOperator(task_id="execute")
            dags[each["name"]] = dag
        return dags

    return make


def dag_factory(number: int, folder: Path) -> Maker:
    from dagfactory import load_yaml_dags

    file = folder / "dag_factory.yml"
    described = {name: _described(name, cron) for name, cron in names_and_crons(number)}
    file.write_text(json.dumps(described, default=str))

    def make() -> dict[str, Any]:
        made: dict[str, Any] = {}
        load_yaml_dags(made, config_filepath=str(file))
        return {name: value for name, value in made.items() if name.startswith("batch_")}

    return make


def gusty(number: int, folder: Path) -> Maker:
    import yaml
    from gusty import create_dags

    for name, cron in names_and_crons(number):
        (folder / "gusty" / name).mkdir(parents=True)
        described = _described(name, cron)
        task = described.pop("tasks")["execute"]
        (folder / "gusty" / name / "METADATA.yml").write_text(yaml.safe_dump(described))
        (folder / "gusty" / name / "execute.yml").write_text(yaml.safe_dump(task))

    def make() -> dict[str, Any]:
        made: dict[str, Any] = {}
        create_dags(str(folder / "gusty"), made, latest_only=False)
        return made

    return make


def ours(number: int, folder: Path) -> Maker:
    """A warm parse: the snapshot is read and planned too."""
    from airflow_provider_mics.dag_factory import integration_batch_dags
    from tests.core.planning.instances import instance
    from tests.provider.dag_factory.factories import write_snapshot

    snapshot = folder / "inventory.jsonl"
    crons = enumerate(names_and_crons(number))
    write_snapshot(snapshot, *(instance(10_000 + each, name=name, cron=cron) for each, (name, cron) in crons))
    return lambda: integration_batch_dags("no_such_connection", snapshot=snapshot)


def _described(name: str, cron: str) -> dict[str, Any]:
    """The DAG as those read it that are told of DAGs in YAML, of which JSON is a part."""
    task = {"operator": "airflow.providers.standard.operators.empty.EmptyOperator"}
    return {
        "schedule": cron,
        "start_date": START,
        "catchup": False,
        "tags": ["mediarithmics", "yaml"],
        "doc_md": f"{ENDING} {name}",
        "default_args": {"retries": 0, "owner": "data", "start_date": START},
        "params": {"expected_start_date": None},
        "tasks": {"execute": task},
    }


MAKERS: dict[str, Callable[[int, Path], Maker]] = {
    "bare DAGs (floor)": bare,
    "ours": ours,
    "naive loop": naive_loop,
    **({"dag-factory": dag_factory} if importlib.util.find_spec("dagfactory") else {}),
    **({"gusty": gusty} if importlib.util.find_spec("gusty") else {}),
}
IMPORTS = {
    "ours": "airflow_provider_mics.dag_factory",
    "dag-factory": "dagfactory",
    "gusty": "gusty",
}
