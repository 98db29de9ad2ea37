"""Draws the tables that the benchmarks print: ``python -m tests.benchmarks.plots [FILE]``.

The file is docs/benchmarks.md by default. The drawings, ``images/benchmark-*.svg``, are beside it. Tables are found by
their headings.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
WAITS, DAGS, HISTORY = ("waits", ""), ("DAGs", ""), ("what", "order", "executions")
Rows = list[list[str]]


def table(text: str, heading: Sequence[str]) -> Rows:
    """The cells of the table whose first headings are these, without its heading."""
    rows: Rows = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if cells[: len(heading)] == list(heading):
            rows = [[]]
        elif rows and not cells:
            return rows[1:]
        elif rows and not set(line) <= set("|-: "):
            rows.append(cells)
    return rows[1:]


def numbers(cell: str) -> list[float]:
    return [float(each) for each in re.findall(r"[\d.]+", cell.replace(",", ""))]


def series(rows: Rows, column: int, part: int = 0) -> dict[str, list[tuple[float, float]]]:
    """By the name in the second column: points of the first column and of this one."""
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        found.setdefault(row[1], []).append((numbers(row[0])[0], numbers(row[column])[part]))
    return found


def draw(axes: Any, lines: dict[str, list[tuple[float, float]]], title: str, across: str) -> None:
    for name, points in lines.items():
        is_ours = name.startswith("our")
        axes.plot(*zip(*points, strict=True), marker="o", label=name, linewidth=2.5 if is_ours else 1.2)
    axes.set(title=title, xlabel=across, xscale="log", yscale="log")
    axes.grid(visible=True, which="both", alpha=0.25)


def draw_waits(rows: Rows) -> Any:
    figure, axes = plt.subplots(1, 3, figsize=(13, 4))
    draw(axes[0], series(rows, 2), "CPU, seconds a minute", "waits")
    draw(axes[1], series(rows, 3, part=1), "from the end to the event, p99, seconds", "waits")
    draw(axes[2], series(rows, 4), "KiB a wait", "waits")
    axes[0].legend()
    return figure


def draw_dags(rows: Rows) -> Any:
    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    draw(axes[0], series(rows, 2), "building, ms a DAG", "DAGs")
    draw(axes[1], series(rows, 4), "serializing, ms a DAG", "DAGs")
    axes[0].legend()
    return figure


def draw_history(rows: Rows) -> Any:
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
    for side, order in zip(axes, ("newest first", "oldest first"), strict=True):
        for column, when in ((3, "first in a process"), (5, "next")):
            chosen = [[row[2], f"{row[0]}, {when}", *row[3:]] for row in rows if row[1] == order]
            lines = series([[*row[:2], row[column - 1]] for row in chosen], 2)
            draw(side, lines, f"requests, {order}", "executions of the instance")
    axes[1].legend(fontsize=7)
    return figure


def main(arguments: Sequence[str]) -> None:
    page = Path(arguments[0]) if arguments else PAGE
    text, folder = page.read_text(), page.parent / "images"
    folder.mkdir(exist_ok=True)
    # The same table gives the same bytes.
    mpl.rcParams["svg.hashsalt"] = "benchmarks"
    for name, heading, drawn in (
        ("waits", WAITS, draw_waits),
        ("dags", DAGS, draw_dags),
        ("history", HISTORY, draw_history),
    ):
        rows = table(text, heading)
        if not rows:
            sys.exit(f"{page} has no table with the headings {', '.join(heading)}")
        figure = drawn(rows)
        figure.tight_layout()
        figure.savefig(folder / f"benchmark-{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(sys.argv[1:])
