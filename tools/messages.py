"""The messages of the package, as a user sees them in a log or an exception: read from its source.

``python3 tools/messages.py`` prints those that no page below ``docs/troubleshooting/`` lists, and those listed that the
package no longer has.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PACKAGE = PROJECT / "airflow_provider_mics"
PAGES = PROJECT / "docs" / "troubleshooting"
NO_MESSAGES = ("sandbox", "doctor", "provider_info.py")
"""The sandbox is for developers, the doctor explains itself, and the form's texts are no messages."""
GAP = "…"
"""Stands in a template for what differs from message to message."""
FEWEST_WORDS = 3
_PLACEHOLDER = re.compile(r"%(?:\([a-z]+\))?[-+ 0#]*[0-9.]*[srdf]|\{[a-z_.!]*\}")
_WORD = re.compile(r"[A-Za-z][a-z'-]*[a-z](?![\w/])")
_LISTED = re.compile(r"^- `(?P<template>.+)`$", re.MULTILINE)


def templates() -> dict[str, str]:
    """Return the templates of all messages, each with the first file that has it."""
    found: dict[str, str] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE)
        if name.parts[0] not in NO_MESSAGES:
            for template in _templates_in(ast.parse(file.read_text())):
                found.setdefault(template, str(name))
    return found


def listed() -> dict[str, list[str]]:
    """Return the templates that the pages list, each with the names of its pages."""
    found: dict[str, list[str]] = {}
    for page in sorted(PAGES.glob("*.md")):
        for line in _LISTED.finditer(page.read_text()):
            found.setdefault(line["template"], []).append(page.name)
    return found


def _templates_in(module: ast.Module) -> Iterator[str]:
    """Yield each string that is a sentence or a part of one: messages are put together from several."""
    skipped = set(_no_messages(module))
    for node in ast.walk(module):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            skipped.update(id(part) for part in node.values)
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else GAP for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = _PLACEHOLDER.sub(GAP, node.value)
        else:
            continue
        if len(_WORD.findall(text)) >= FEWEST_WORDS:
            yield re.sub(rf"(?:{GAP})+", GAP, " ".join(text.split())).replace("`", "'")


def _no_messages(module: ast.Module) -> Iterator[int]:
    """Yield the nodes of docstrings, annotations and of strings that stand alone below a constant."""
    for node in ast.walk(module):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield id(node.value)
        annotations = [getattr(node, name, None) for name in ("annotation", "returns")]
        yield from (id(part) for one in annotations if one is not None for part in ast.walk(one))


def main() -> int:
    there, told = templates(), listed()
    missing = {template: file for template, file in there.items() if template not in told}
    for template, file in missing.items():
        print(f"{file}: - `{template}`")
    stale = [template for template in told if template not in there]
    for template in stale:
        print(f"{told[template][0]}: the package no longer has `{template}`")
    return 1 if missing or stale else 0


if __name__ == "__main__":
    sys.exit(main())
