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
NO_MESSAGES = ("sandbox", "doctor", "example_dags", "provider_info.py", "cron_words.py")
"""The sandbox and the examples are for developers, the doctor explains itself; texts of the form and crons in words are
no messages."""
NO_SENTENCES = (
    "jan feb mar",
    "sun mon tue",
    "days of the week",
    "CPU, RAM, disk",
    "<i class",
    "data-",
    "default-src",
)
"""How lists of names, markup and headers begin."""
NOT_OURS = "other-lines.md"
"""The page of lines that the package passes on, or that Airflow writes."""
GAP = "…"
"""Stands in a template for what differs from message to message."""
FEWEST_WORDS = 3
LOG_CALLS = ("debug", "info", "warning", "error", "exception", "critical", "log", "Log", "task_failure")
_PLACEHOLDER = re.compile(r"%(?:\([a-z]+\))?[-+ 0#]*[0-9.]*[srdf]|\{[a-z_.!]*\}")
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*|[A-Za-z]+[_a-z]+=?\S*")
_LISTED = re.compile(r"^- `(?P<template>.+)`$", re.MULTILINE)


def templates() -> dict[str, str]:
    """Return the templates of all messages, each with the first file that has it."""
    found: dict[str, str] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE)
        if name.parts[0] not in NO_MESSAGES and name.name not in NO_MESSAGES:
            for template in _templates_in(ast.parse(file.read_text())):
                found.setdefault(template, str(name))
    return found


def listed() -> dict[str, list[str]]:
    """Return the templates that the pages list, each with the names of its pages."""
    found: dict[str, list[str]] = {}
    for page in sorted(PAGES.glob("*.md")):
        if page.name == NOT_OURS:
            continue
        for line in _LISTED.finditer(page.read_text()):
            found.setdefault(line["template"], []).append(page.name)
    return found


def _templates_in(module: ast.Module) -> Iterator[str]:
    """Yield each string that is a sentence or a part of one, since messages are put together from several.

    What is given to an exception or to a log is one however short it is.
    """
    skipped = set(_no_messages(module))
    told = {id(argument) for call in ast.walk(module) if _tells(call) for argument in call.args}  # type: ignore[attr-defined]
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
        if _is_sentence(text, FEWEST_WORDS if id(node) not in told else 1):
            yield re.sub(rf"(?:{GAP})+", GAP, " ".join(text.split())).replace("`", "'")


def _tells(node: ast.AST) -> bool:
    """Whether a call logs, or makes an exception."""
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in LOG_CALLS or name.endswith(("Error", "Exception"))


def _is_sentence(text: str, fewest: int) -> bool:
    """Whether a text has a few words; not a regular expression, a template or an address."""
    parts = text.split()
    words = [part for part in parts if _WORD.fullmatch(part.strip(",.:;()'?!"))]
    is_code = "(?" in text or "{{" in text or text.startswith(NO_SENTENCES)
    return len(words) >= fewest and len(parts) > 1 and not is_code


def _no_messages(module: ast.Module) -> Iterator[int]:
    """Yield the nodes of annotations and of strings that stand alone: docstrings, and notes below a constant."""
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
