"""``make demo``: a local mediarithmics and a real Airflow, with one DAG per integration batch instance.

``make demo ONCE=1`` ends by itself: with exit code 0 only when everything in `proof.py` was seen.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import requests

from airflow_provider_mics.api import MicsClient, MicsError, get_connected_user
from demo.proof import proof
from demo.state import HEAD, Batch, batches
from demo.table import table
from local_airflow.components import LocalAirflow
from local_airflow.home import environ_for, migrate, set_for_this_process
from local_airflow.postgres import postgres
from local_airflow.processes import Processes, free_port

PROJECT = Path(__file__).resolve().parent.parent
HOME = PROJECT / ".demo"
TOKEN = "demo-token-of-the-sandbox"
ORGANISATION = "1185"
USER = PASSWORD = "admin"
START_SECONDS = 300
PROOF_SECONDS = 600
LOOK_SECONDS = 2
PAGE = "/plugin/mediarithmics"
"""The page of all batches, in Airflow's UI."""


class GaveUp(Exception):
    """The demo cannot go on; its text says why."""


class Progress:
    """One line that says what is waited for and for how long; on a pipe, only what is done, a line each."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._live = sys.stdout.isatty()

    def tell(self, text: str) -> None:
        if self._live:
            print(f"\r\033[K{time.monotonic() - self._started:4.0f} s  {text}", end="", flush=True)

    def done(self, text: str) -> None:
        elapsed = time.monotonic() - self._started
        print(f"{chr(13) + chr(27) + '[K' if self._live else ''}{elapsed:4.0f} s  {text}", flush=True)


class Demo:
    """The running sandbox and Airflow.

    :param database_url: SQLAlchemy's URL of Airflow's migrated database
    """

    def __init__(self, processes: Processes, progress: Progress, database_url: str) -> None:
        self.started = datetime.now(UTC)
        self.processes = processes
        self.progress = progress
        self.sandbox_url = f"http://127.0.0.1:{free_port(8480)}"
        self.client = MicsClient(self.sandbox_url, TOKEN, ORGANISATION, max_retries=0)
        connection = {
            "conn_type": "mediarithmics",
            "host": self.sandbox_url,
            "password": TOKEN,
            # Not in the extra: Airflow masks what is there, and warns at each parse that four characters are too few.
            "login": ORGANISATION,
        }
        environ = {
            "AIRFLOW_CONN_MICS_DEFAULT": json.dumps(connection),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url,
        }
        login = (USER, PASSWORD)
        self.airflow = LocalAirflow(HOME / "airflow", environ, port=free_port(8080), login=login)
        self.api = self.airflow.api

    def start(self) -> None:
        self._start_sandbox()
        self.progress.done(f"mediarithmics sandbox   {self.sandbox_url}")
        self.until("Airflow to start", self.api.is_healthy, START_SECONDS)
        self.progress.done(f"Airflow                 {self.airflow.url}   login {USER} / {PASSWORD}")
        # Only now: the scheduler starts tasks before the API server can accept what they report.
        shutil.copy(PROJECT / "demo" / "batches.py", self.airflow.home / "dags")

    def _start_sandbox(self) -> None:
        port = self.sandbox_url.rsplit(":", 1)[1]
        command = ["-m", "airflow_provider_mics.sandbox", "--seed-demo", "--port", port]
        command += ["--db", str(HOME / "sandbox.db"), "--token", f"{TOKEN}={ORGANISATION}"]
        self.processes.start("sandbox", command, environ_for(HOME / "airflow"))
        self.until("the sandbox", self._sandbox_answers, START_SECONDS)

    def _sandbox_answers(self) -> bool:
        try:
            self.client.run(get_connected_user())
        except MicsError:
            return False
        return True

    def until(self, what: str, holds: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition, visibly.

        :raises GaveUp: it does not hold in time, or a process of the demo has ended
        """
        give_up = time.monotonic() + seconds
        while not holds():
            if ended := self.processes.ended() or self.airflow.ended():
                raise GaveUp(ended)
            if time.monotonic() > give_up:
                raise GaveUp(f"{what}: not within {seconds:.0f} s; the logs are in {HOME}")
            self.progress.tell(f"waiting for {what}")
            time.sleep(LOOK_SECONDS)

    def show_dags(self) -> None:
        wanted = sum(not batch.instance.archived for batch in self.batches())
        self.until("the DAGs", lambda: len(self._dags()) >= wanted, START_SECONDS)
        self.progress.done(f"{wanted} DAGs, one for each instance that is not archived")
        self.progress.done(f"the page of all batches {self.airflow.url}{PAGE}")

    def _dags(self) -> dict[str, object]:
        errors = self.api.import_errors()
        if errors:
            raise GaveUp(f"the DAG file cannot be imported:\n{errors[0]}")
        return dict(self.api.dags())

    def batches(self) -> list[Batch]:
        return list(batches(self.client, self.api))

    def trigger_by_hand(self) -> None:
        """Run one batch that has no cron, and the one that fails, as a person would with the button."""
        idle = sorted((each for each in self.batches() if each.dag), key=lambda each: each.seconds)
        fails = [batch for batch in idle if batch.fails][:1]
        runs = [batch for batch in idle if not batch.instance.cron and not batch.fails][:1]
        for batch in fails + runs:
            self.airflow.trigger(batch.dag_id)
            self.progress.done(f"triggered by hand: {batch.instance.name}")

    def until_proven(self) -> None:
        def proven() -> bool:
            missing = [each.claim for each in proof(self.batches(), self.api, self.started) if not each.seen]
            if missing:
                self.progress.tell(f"not seen yet: {'; '.join(missing)}")
            return not missing

        self.until("the proof", proven, PROOF_SECONDS)

    def report(self) -> bool:
        """Print the table and the proof; whether everything was seen."""
        now = self.batches()
        seen = proof(now, self.api, self.started)
        print(f"\n{table(HEAD, [batch.row() for batch in now])}\n")
        rows = [["yes" if each.seen else "NO", each.claim, each.evidence] for each in seen]
        print(f"{table(['seen', 'what', 'where'], rows)}\n")
        print(f"Batches   {self.airflow.url}{PAGE}   all batches and their DAGs on one page")
        print(f"Airflow   {self.airflow.url}   login {USER} / {PASSWORD}")
        print(f"Sandbox   {self.sandbox_url}   token {TOKEN}, organisation {ORGANISATION}\n", flush=True)
        return all(each.seen for each in seen)


def open_page(url: str) -> None:
    """Open a page in the browser of whoever watches, where there is a screen to open it on."""
    has_screen = (
        sys.platform in ("darwin", "win32") or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    )
    if sys.stdout.isatty() and has_screen:
        webbrowser.open(url)


@contextmanager
def interruptible() -> Iterator[None]:
    """End on SIGTERM as on Ctrl-C, so that nothing is left running."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def running_demo(progress: Progress) -> Iterator[Demo]:
    """Start everything anew, and end it on leaving."""
    if HOME.exists():
        shutil.rmtree(HOME)
    HOME.mkdir()
    set_for_this_process(HOME / "airflow")
    with interruptible(), Processes(HOME) as processes, postgres(HOME / "postgresql") as database_url:
        progress.tell("making Airflow's database")
        migrate(HOME / "airflow", database_url)
        demo = Demo(processes, progress, database_url)
        with demo.airflow:
            demo.start()
            demo.show_dags()
            demo.trigger_by_hand()
            yield demo


def main() -> int:
    once = os.environ.get("ONCE", "") not in ("", "0")
    try:
        with running_demo(Progress()) as demo:
            if not once:
                open_page(f"{demo.airflow.url}{PAGE}")
            demo.until_proven()
            seen = demo.report()
            if not once:
                print("Running until Ctrl-C.", flush=True)
                demo.until("Ctrl-C", lambda: False, float("inf"))
    except KeyboardInterrupt:
        print("\nEnding.", flush=True)
        return 0 if not once else 130
    except (GaveUp, requests.RequestException, MicsError) as problem:
        print(f"\nThe demo gave up: {problem}", file=sys.stderr, flush=True)
        return 1
    return 0 if seen else 1


if __name__ == "__main__":
    sys.exit(main())
