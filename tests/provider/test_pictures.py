"""The browser of ``make pictures``, on a page of its own: the pictures themselves are looked at by a person."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from demo.browser import Browser, BrowserError

PAGE = "data:text/html,<p>Hello</p><input name=user><button onclick=\"document.body.append('pressed')\">Press</button>"

pytestmark = pytest.mark.skipif(shutil.which("chromedriver") is None, reason="there is no chromedriver")


def test_it_writes_clicks_and_takes_a_picture(tmp_path: Path):
    with Browser(400, 300) as browser:
        browser.open(PAGE)
        browser.write("input[name=user]", "admin")
        browser.click("button", "Press")
        assert (
            browser.run("return document.querySelector('input').value + document.body.lastChild.data")
            == "adminpressed"
        )
        browser.picture(tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch):
    with Browser(400, 300) as browser:
        browser.open(PAGE)
        monkeypatch.setattr("demo.browser.WAIT_SECONDS", 0.5)
        with pytest.raises(BrowserError, match="no h1 with 'Nothing' at data:"):
            browser.find("h1", "Nothing")
        monkeypatch.undo()
