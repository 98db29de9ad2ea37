"""``make pictures``: the pictures of the documentation, of the running demo, by a headless Chromium.

Needs Debian's packages chromium and chromium-driver.
"""

from __future__ import annotations

import sys
import time

from demo.run import ORGANISATION, PAGE, PASSWORD, PROJECT, TOKEN, USER, Demo, GaveUp, Progress, running_demo
from demo.state import TASK, Batch
from local_airflow.chromium import BrowserError, Chromium

FOLDER = PROJECT / "docs" / "images"
SETTLE_SECONDS = 2
"""Until the page has drawn what it has; nothing in it says when."""
WITHOUT_FOLDER = """
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(arguments[0], "");
"""
"""The paths in a traceback are those of whoever takes the pictures."""
GOOD, BAD = "mics_acme", "mics_without_organisation"
"""Not the connection of the environment: Airflow tests no other one of its id."""


class Photographer:
    """Goes through the pages of the demo as a user does, and takes a picture of each."""

    def __init__(self, demo: Demo, browser: Chromium) -> None:
        self._demo = demo
        self._browser = browser
        self._batches = demo.batches()

    def take_all(self) -> None:
        self._log_in()
        self._batches_page()
        self._dag_list()
        self._trigger_form()
        self._graph()
        self._failed_log()
        self._assets()
        self._connections()

    def _log_in(self) -> None:
        self._open("")
        self._browser.find("input[name=username]").type(USER)
        self._browser.find("input[name=password]").type(PASSWORD)
        self._browser.find("button[type=submit]").click()
        self._browser.find("nav a, a[href='/dags']")

    def _batches_page(self) -> None:
        for theme, name in (("dark", "batches-page-dark"), ("light", "batches-page")):
            self._browser.run("localStorage.setItem('theme', arguments[0])", theme)
            self._open(PAGE.removeprefix("/"))
            self._browser.enter_frame("iframe")
            self._browser.find("table.batches th", "Store sales feed")
            self._browser.leave_frame()
            self._take(name)

    def _dag_list(self) -> None:
        self._open("dags")
        self._browser.find("a", "Store sales feed")
        self._take("dags")

    def _trigger_form(self) -> None:
        self._open(f"dags/{self._ended_batch().dag_id}")
        self._browser.find("button", "Trigger").click()
        self._browser.find("*", "Expected start date")
        self._take("trigger-form")

    def _graph(self) -> None:
        batch = self._ended_batch()
        self._browser.run("localStorage.setItem('default_dag_view', JSON.stringify('graph'))")
        self._open(f"dags/{batch.dag_id}/runs/{batch.scheduled_runs('success')[0]['dag_run_id']}")
        self._browser.find(".react-flow__node")
        self._take("graph")
        self._browser.run("localStorage.setItem('default_dag_view', JSON.stringify('grid'))")

    def _failed_log(self) -> None:
        failing = next(each for each in self._batches if each.fails)
        run = next(each for each in failing.runs if each["state"] == "failed")
        self._open(f"dags/{failing.dag_id}/runs/{run['dag_run_id']}/tasks/{TASK}")
        self._browser.find("*", "SFTP login refused")
        self._take("failed-task-log")

    def _assets(self) -> None:
        self._open("assets")
        self._browser.find("a[href*='/assets/']")
        self._take("assets")

    def _connections(self) -> None:
        host, _, port = self._demo.sandbox_url.rpartition(":")
        fields = {"conn_type": "mediarithmics", "host": host, "port": int(port), "password": TOKEN}
        self._demo.api.add_connection({"connection_id": GOOD, "login": ORGANISATION, **fields})
        self._demo.api.add_connection({"connection_id": BAD, **fields})
        for name, picture in ((GOOD, "connection-test-green"), (BAD, "connection-test-red")):
            self._open("connections")
            self._browser.find("td", name)
            self._browser.run(
                "[...document.querySelectorAll('tr')].find((row) => row.textContent.includes(arguments[0]))"
                ".querySelector('button[aria-label*=\"est\"]').click()",
                name,
            )
            self._take(picture)
        self._open("connections")
        self._browser.find("button", "Add Connection").click()
        self._browser.find("input[name=connection_id]").type("mics_default")
        self._browser.find("input[role=combobox]").type("mediarithmics\ue007")
        self._take("connection-form")

    def _ended_batch(self) -> Batch:
        return next(each for each in self._batches if each.scheduled_runs("success"))

    def _open(self, path: str) -> None:
        self._browser.open(f"{self._demo.airflow.url}/{path}")

    def _take(self, name: str) -> None:
        time.sleep(SETTLE_SECONDS)
        self._browser.run(WITHOUT_FOLDER, f"{PROJECT}/")
        file = FOLDER / f"{name}.png"
        self._browser.screenshot(file)
        self._demo.progress.done(f"picture {file.relative_to(PROJECT)}")


def main() -> int:
    progress = Progress()
    try:
        with running_demo(progress) as demo, Chromium(height=1050) as browser:
            demo.until_proven()
            Photographer(demo, browser).take_all()
    except (GaveUp, BrowserError) as problem:
        print(f"No pictures: {problem}", file=sys.stderr)
        return 1
    print(f"Look at each of them: {FOLDER.relative_to(PROJECT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
