"""A headless Chromium, driven over the WebDriver protocol of its ``chromedriver``. Needs no package."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import requests

from local_airflow.processes import free_port

DRIVER = shutil.which("chromedriver")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key of an element's id in the protocol."""
START_SECONDS = 60
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-proxy-server",
    "--lang=en-GB",
)
FIND = """
const [selector, text] = arguments;
return [...document.querySelectorAll(selector)].find(
  (each) => each.offsetParent !== null && (!text || each.textContent.trim().includes(text) || each.ariaLabel === text));
"""


class BrowserError(Exception):
    """The browser cannot be started, or does not show what was waited for."""


def missing() -> str | None:
    """Why no browser can be started on this machine, or None if one can."""
    if DRIVER and BROWSER:
        return None
    return "there is no chromium with its chromedriver: install Debian's chromium and chromium-driver"


class Element:
    """An element of a page."""

    def __init__(self, browser: Chromium, element_id: str) -> None:
        self._browser = browser
        self._path = f"element/{element_id}"
        self.as_json = {ELEMENT: element_id}

    @property
    def text(self) -> str:
        return str(self._browser.ask("GET", f"{self._path}/text"))

    def attribute(self, name: str) -> str | None:
        value: str | None = self._browser.ask("GET", f"{self._path}/attribute/{name}")
        return value

    def click(self) -> None:
        self._browser.ask("POST", f"{self._path}/click", {})

    def type(self, text: str) -> None:
        self._browser.ask("POST", f"{self._path}/value", {"text": text})


class Chromium:
    """A browser with an empty profile, used with ``with``.

    :param log: the file to which its driver's log is appended; by default it is dropped
    :raises BrowserError: there is no Chromium on this machine, or a command fails
    """

    def __init__(
        self, log: Path | None = None, *, width: int = 1440, height: int = 900, is_dark: bool = False
    ) -> None:
        self._log = log or Path(os.devnull)
        self._size = f"--window-size={width},{height}"
        self._is_dark = is_dark
        self._http = requests.Session()
        self._http.trust_env = False

    def __enter__(self) -> Self:
        if reason := missing():
            raise BrowserError(reason)
        port = free_port()
        with self._log.open("a") as log:
            self._driver = subprocess.Popen([str(DRIVER), f"--port={port}"], stdout=log, stderr=log)
        self._url = f"http://127.0.0.1:{port}"
        arguments = [*ARGUMENTS, self._size]
        if self._is_dark:
            arguments.append("--blink-settings=preferredColorScheme=0")
        options = {"binary": BROWSER, "args": arguments}
        capabilities = {"alwaysMatch": {"goog:chromeOptions": options, "unhandledPromptBehavior": "accept"}}
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                session = self._send("POST", "/session", {"capabilities": capabilities})
                break
            except requests.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self._url += f"/session/{session['sessionId']}"
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._send("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(10)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a command to the session."""
        return self._send(method, f"/{path}", body)

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, self._url + path, json=body, timeout=120)
        value = answer.json()["value"]
        if isinstance(value, dict) and "error" in value:
            raise BrowserError(f"{method} {path}: {value['error']}: {value['message']}")
        return value

    def open(self, url: str) -> None:
        self.ask("POST", "url", {"url": url})

    @property
    def url(self) -> str:
        return str(self.ask("GET", "url"))

    @property
    def source(self) -> str:
        return str(self.ask("GET", "source"))

    def all(self, selector: str) -> list[Element]:
        """The elements that a CSS selector selects."""
        found = self.ask("POST", "elements", {"using": "css selector", "value": selector})
        return [Element(self, each[ELEMENT]) for each in found]

    def one(self, selector: str, seconds: float = 20) -> Element:
        """The first element that a CSS selector selects, as soon as there is one."""
        found: list[Element] = self.until(lambda: self.all(selector), f"no {selector}", seconds)
        return found[0]

    def find(self, selector: str, text: str = "", seconds: float = 60) -> Element:
        """The first visible element of a CSS selector whose text has ``text`` or whose label is it, once there is one.

        :raises BrowserError: there is none in time
        """
        found = self.until(lambda: self.run(FIND, selector, text), f"no {selector} with {text!r}", seconds)
        return Element(self, found[ELEMENT])

    def until(self, holds: Callable[[], Any], what: str, seconds: float = 20) -> Any:
        """Wait until a condition holds, and return what it returned."""
        deadline = time.monotonic() + seconds
        while not (value := holds()):
            if time.monotonic() > deadline:
                raise BrowserError(f"{what} within {seconds} s at {self.url}:\n{self.source[:3000]}")
            time.sleep(0.05)
        return value

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page, and return what it returns; a promise is awaited."""
        return self.ask("POST", "execute/sync", {"script": script, "args": list(arguments)})

    def enter_frame(self, selector: str) -> None:
        """Go on in a frame, as soon as there is one."""
        self.ask("POST", "frame", {"id": self.one(selector, 60).as_json})

    def leave_frame(self) -> None:
        self.ask("POST", "frame", {"id": None})

    def add_cookie(self, name: str, value: str, path: str = "/") -> None:
        """Set a cookie for the origin of the open page."""
        self.ask("POST", "cookie", {"cookie": {"name": name, "value": value, "path": path}})

    def resize(self, width: int, height: int) -> None:
        self.ask("POST", "window/rect", {"width": width, "height": height})

    def screenshot(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self.ask("GET", "screenshot")))

    def problems(self, axe: str) -> list[str]:
        """What the rules of axe find serious or critical in the page.

        :param axe: its script
        """
        self.run(axe)
        found = self.run("return axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{each['id']}: {each['help']}: {json.dumps([node['html'][:200] for node in each['nodes'][:3]])}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]
