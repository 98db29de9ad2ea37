"""For MkDocs: parts of pages that are generated when the site is built.

A page says where by a comment, such as ``<!-- generated: sandbox -->``.
"""

from __future__ import annotations

import re
from typing import Any

from airflow_provider_mics.sandbox import __main__ as sandbox

_PLACE = re.compile(r"^<!-- generated: (?P<name>\S+) -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in the generated parts of a page.

    :raises KeyError: a page asks for a part that there is not
    """
    return _PLACE.sub(lambda place: PARTS[place["name"]](), markdown)


def sandbox_options() -> str:
    """Return the options, quirks, faults and routes of the sandbox, as tables."""
    parser = sandbox.command_line()
    options = [
        (", ".join(action.option_strings), action.help or "")
        for action in parser._actions  # noqa: SLF001 - argparse lists its options nowhere else
    ]
    parts = [_table("Options", "option", options)]
    parts += [_table(title.capitalize(), "name", _split(lines)) for title, lines in sandbox.topics().items()]
    return "\n\n".join(parts)


def _split(lines: list[str]) -> list[tuple[str, str]]:
    return [(name, told) for name, _, told in (line.partition(": ") for line in lines)]


def _table(title: str, head: str, rows: list[tuple[str, str]]) -> str:
    cells = [f"| `{name}` | {told.replace('|', chr(92) + '|')} |" for name, told in rows]
    return "\n".join([f"## {title}", "", f"| {head} | meaning |", "|---|---|", *cells])


PARTS = {"sandbox": sandbox_options}
