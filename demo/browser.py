"""A headless Chromium, driven by the W3C WebDriver protocol through Debian's ``chromedriver``."""

from __future__ import annotations

import base64
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import requests

from local_airflow.processes import free_port

WAIT_SECONDS = 60
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--lang=en-GB"]
FIND = """
const [selector, text] = arguments;
return [...document.querySelectorAll(selector)].find(
  (each) => each.offsetParent !== null && (!text || each.textContent.trim().includes(text) || each.ariaLabel === text));
"""
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""How the protocol names an element in JSON."""


class BrowserError(Exception):
    """The browser cannot be started, or does not show what was waited for."""


class Browser:
    """One window, closed with everything it started on leaving the ``with``."""

    def __init__(self, width: int = 1440, height: int = 1050) -> None:
        if shutil.which("chromedriver") is None:
            raise BrowserError("there is no chromedriver: install Debian's chromium and chromium-driver")
        self._url = f"http://127.0.0.1:{free_port()}"
        self._http = requests.Session()
        self._http.trust_env = False
        self._size = f"--window-size={width},{height}"

    def __enter__(self) -> Self:
        self._driver = subprocess.Popen(
            ["chromedriver", f"--port={self._url.rpartition(':')[2]}"],  # noqa: S607 - wherever it is installed
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._until_it_answers()
        options = {"args": [*ARGUMENTS, self._size]}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        session = self._ask("POST", "session", wanted)["sessionId"]
        self._session = f"session/{session}"
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("DELETE", self._session)
        finally:
            self._driver.terminate()
            self._driver.wait(WAIT_SECONDS)

    def open(self, url: str) -> None:
        self._ask("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript in the page and return what it returns."""
        return self._ask("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, selector: str, text: str = "") -> dict[str, str]:
        """Wait for a visible element of a CSS selector whose text has ``text``, or whose label is it.

        :raises BrowserError: there is none within a minute
        """
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            element: dict[str, str] | None = self.run(FIND, selector, text)
            if element is not None:
                return element
            time.sleep(0.2)
        raise BrowserError(f"no {selector} with {text!r} at {self.run('return location.href')}")

    def click(self, selector: str, text: str = "") -> None:
        element = self.find(selector, text)
        self._ask("POST", f"{self._session}/element/{element[ELEMENT]}/click", {})

    def write(self, selector: str, text: str) -> None:
        """Type into a field, as a person does."""
        element = self.find(selector)
        self._ask("POST", f"{self._session}/element/{element[ELEMENT]}/value", {"text": text})

    def picture(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(self._ask("GET", f"{self._session}/screenshot")))

    def _until_it_answers(self) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            try:
                if self._ask("GET", "status")["ready"]:
                    return
            except requests.RequestException:
                time.sleep(0.2)
        raise BrowserError("chromedriver does not answer")

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._http.request(method, f"{self._url}/{path}", json=body, timeout=2 * WAIT_SECONDS)
        value = answer.json()["value"]
        if not answer.ok:
            raise BrowserError(f"{path}: {value['error']}: {value['message'].splitlines()[0]}")
        return value
