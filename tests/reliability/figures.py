"""The laboratory's figures, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.reliability.laboratory import Findings


def table(rows: Sequence[Sequence[object]]) -> str:
    """Rows in columns; the first is the head."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in texts) for column in range(len(texts[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in texts
    )


def side_by_side(findings: Mapping[str, Findings]) -> str:
    """What each of them did with the same faults, and the faults by kind."""
    columns = list(findings.values())
    rows: list[list[object]] = [["", *findings]]
    rows += [
        ["logical runs", *(len(each.started) for each in columns)],
        ["tries", *(each.counts["tries"] for each in columns)],
        ["  cut short by a crash", *(each.counts["crashes"] for each in columns)],
        ["  failed", *(each.counts["failed tries"] for each in columns)],
        ["requests", *(each.counts["requests"] for each in columns)],
        ["faults for each request", *(f"{each.rate:.1%}" for each in columns)],
        ["faults on a POST", *(each.counts["faults on POST"] for each in columns)],
        ["executions created", *(each.created for each in columns)],
        ["  canceled before they started", *(each.canceled_in_time for each in columns)],
        ["runs started exactly once", *(sum(n == 1 for n in each.started.values()) for each in columns)],
        ["runs started more than once", *(len(each.double) for each in columns)],
        ["  surplus executions started", *(each.surplus for each in columns)],
        ["runs lost (never started)", *(len(each.lost) for each in columns)],
        ["runs whose task failed in the end", *(each.counts["failed"] for each in columns)],
        ["runs that believed in a wrong end", *(len(each.believed_wrongly) for each in columns)],
    ]
    kinds = sorted({kind for each in columns for kind in each.faults})
    rows += [[f"fault: {kind}", *(each.faults[kind] for each in columns)] for kind in kinds]
    return table(rows)
