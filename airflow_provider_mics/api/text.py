"""One text: cleaned of what others wrote into it; on one line, shortened and without the token for logs and errors."""

from __future__ import annotations

import html
import re
from urllib.parse import quote

EXCERPT_LENGTH = 200
"""Characters of an excerpt."""
EXCERPT_SOURCE = 4000
"""Characters at the start of a text from which an excerpt is made."""
CUT = "…"
"""Stands where a line was cut."""
FEWEST_TELLING = 4
"""Characters of a secret."""
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, except tab and line feed
    "\ud800-\udfff"  # halves of a character
    "\u202a-\u202e\u2066-\u2069]"  # changes of the writing direction, which disguise what a text says
)


def clean_text(text: str) -> str:
    """Return a text that PostgreSQL, UTF-8, a log and a page can take.

    Control characters, lone surrogates and changes of the writing direction become U+FFFD. Tabs and line feeds stay;
    other line ends become line feeds.
    """
    if text.isprintable():
        return text
    return _CONTROLS.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str, longest: int | None = None) -> str:
    """Return a text on one line: white space and unprintable characters become single spaces.

    :param text: any text
    :param longest: cut the line to so many characters, the ``…`` at its end included; None does not cut it
    """
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    line = " ".join(text.split())
    return line if longest is None or len(line) <= longest else f"{line[: longest - 1]}{CUT}"


def redact(text: str, secret: str) -> str:
    """Return a text with ``***`` for the secret, in each spelling in which a server may repeat it."""
    for spelling in _spellings(secret):
        text = text.replace(spelling, "***")
    return text


def redact_cut(text: str, secret: str) -> str:
    """Return a text as `redact` does, and without a secret of which `one_line` has cut off the end.

    A few characters of it tell nothing, and may be those of another word.
    """
    *parts, end = redact(text, secret).split(CUT)
    return CUT.join([*(_without_beginning(part, secret) for part in parts), end])


def _without_beginning(text: str, secret: str) -> str:
    for spelling in _spellings(secret):
        for length in range(len(spelling) - 1, FEWEST_TELLING - 1, -1):
            if text.endswith(spelling[:length]):
                return f"{text[:-length]}***"
    return text


def excerpt(text: str, secret: str) -> str:
    """Return the beginning of a text on one line, without the secret.

    A secret that ``EXCERPT_SOURCE`` cuts in two is not recognised, so the end of the cut text is dropped.
    """
    beginning = redact(text[:EXCERPT_SOURCE], secret)
    if len(text) > EXCERPT_SOURCE:
        beginning = beginning[: -max(map(len, _spellings(secret)), default=0) or None]
    return one_line(beginning, EXCERPT_LENGTH)


def _spellings(secret: str) -> set[str]:
    if not secret:
        return set()
    return {secret, quote(secret, safe=""), html.escape(secret), secret.replace("/", "\\/")}
