"""What the page of all batches costs: 1,000 batches with their DAGs in a real Airflow 3, over HTTP.

``python -m tests.benchmarks.bench_page [--short] [--pictures FOLDER]`` prints the time to an answer (median and
maximum, in milliseconds) and its size, as it is and compressed. ``cold`` is the first look in a process, ``new`` one
just after the platform was read again, ``kept`` one in between.
"""
# ruff: noqa: T201 - it prints a table

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from airflow_provider_mics.page.shared_readings import KEPT_FOR
from local_airflow.chromium import Chromium
from local_airflow.components import LocalAirflow
from local_airflow.home import environ_for, migrate
from tests.provider.mics_connections import connection_to
from tests.sandbox_server import SandboxServer

GROUPS = (
    ("Store sales feed {}", "*/5 * * * *", "ACTIVE", 300),
    ("CRM import {}", "15 3 * * *", "ACTIVE", 86_400),
    ("Loyalty export {}", "30 5 * * 1-5", "ACTIVE", 86_400),
    ("Newsletter preferences {}", "0 */4 * * *", "PAUSED", 14_400),
    ("Catalogue rebuild {}", None, None, 86_400),
)
DAG_FILE = """
from airflow_provider_mics.dag_factory import integration_batch_dags

globals().update(integration_batch_dags(snapshot_ttl=86400))  # airflow: every instance is a dag
"""
LOOKS, NEW_LOOKS = 20, 3


@contextmanager
def running(home: Path, batches: int) -> Iterator[tuple[str, requests.Session, SandboxServer]]:
    """An API server whose database has the DAGs of so many batches; its address, and a session in it."""
    migrate(home)
    with SandboxServer() as sandbox:
        for name, cron, status, every_s in GROUPS:
            what = {"name": name, "cron": cron, "cron_status": status, "every_s": every_s, "executions": 10}
            sandbox.bulk(instances=batches // len(GROUPS), organisation_id=sandbox.organisation_id, **what)
        (home / "dags" / "batches.py").write_text(DAG_FILE)
        connection = {"AIRFLOW_CONN_MICS_DEFAULT": connection_to(sandbox)}
        environ = environ_for(home) | connection | {"AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300"}
        subprocess.run([sys.executable, "-m", "airflow", "dags", "reserialize"], check=True, env=environ)
        airflow = LocalAirflow(home, connection)
        airflow.start("api-server")
        try:
            session = requests.Session()
            session.trust_env = False
            yield airflow.url, session, sandbox
        finally:
            airflow.__exit__()


def sign_in(url: str, session: requests.Session) -> str:
    while True:
        try:
            token: str = session.get(f"{url}/auth/token", timeout=30).json()["access_token"]
        except (requests.RequestException, ValueError, KeyError):
            time.sleep(0.5)
        else:
            session.cookies.set("_token", token)
            return token


def look(url: str, session: requests.Session, *, is_compressed: bool = True) -> tuple[float, int]:
    """Look at the page: the milliseconds, and the bytes on the wire."""
    began = time.perf_counter()
    headers = {"Accept-Encoding": "gzip" if is_compressed else "identity"}
    with session.get(f"{url}/mediarithmics/", headers=headers, timeout=120, stream=True) as answer:
        raw = answer.raw.read(decode_content=False)
        answer.raise_for_status()
    return 1000 * (time.perf_counter() - began), len(raw)


def measure(url: str, session: requests.Session, batches: int) -> str:
    """Return a row of the table."""
    cold, compressed = look(url, session)
    time.sleep(1)
    kept = [look(url, session)[0] for _ in range(LOOKS)]
    new = []
    for _ in range(NEW_LOOKS):
        time.sleep(KEPT_FOR + 0.5)
        look(url, session)
        time.sleep(1)
        new.append(look(url, session)[0])
    whole = look(url, session, is_compressed=False)[1]
    times = " | ".join(f"{statistics.median(each):.0f} / {max(each):.0f}" for each in (kept, new))
    return f"| {batches:,} | {cold:.0f} | {times} | {compressed / 1000:.0f} | {whole / 1000:.0f} |"


def take_pictures(url: str, token: str, folder: Path, name: str) -> None:
    for theme in ("light", "dark"):
        with Chromium(
            folder / "chromedriver.log", width=1440, height=900, is_dark=theme == "dark"
        ) as browser:
            browser.open(f"{url}/mediarithmics/static/icon.svg")
            browser.add_cookie("_token", token)
            browser.open(f"{url}/mediarithmics/")
            browser.one("table.batches")
            browser.screenshot(folder / f"{name}-{theme}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="100 batches")
    parser.add_argument("--pictures", type=Path, help="a folder for screenshots")
    arguments = parser.parse_args()
    batches = 100 if arguments.short else 1000
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), batches) as (url, session, sandbox):
        token = sign_in(url, session)
        print("| batches | cold, ms | kept, ms | new, ms | KB, compressed | KB, as it is |")
        print("|---|---|---|---|---|---|")
        print(measure(url, session, batches), flush=True)
        if arguments.pictures:
            arguments.pictures.mkdir(parents=True, exist_ok=True)
            take_pictures(url, token, arguments.pictures, f"{batches}-batches")
            sandbox.stop()
            time.sleep(KEPT_FOR + 1)
            look(url, session)
            time.sleep(8)
            take_pictures(url, token, arguments.pictures, f"{batches}-batches-platform-down")


if __name__ == "__main__":
    main()
