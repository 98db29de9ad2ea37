"""The report: rows as a table or as JSON, and the exit status."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from itertools import zip_longest
from typing import Any

from airflow_provider_mics import __version__
from airflow_provider_mics.api.text import one_line, redact_cut
from airflow_provider_mics.doctor.checks.rows import Result, Row

LONGEST_TEXT = 1000
"""Characters of one cell."""
FIRST_WIDTHS = (16, 9)
"""Characters of the first two columns, which are not wrapped unless a word is too long."""
NARROWEST = 100
GAP = "  "


class ExitStatus(IntEnum):
    """The exit status of the command. An incomplete report is 2, whatever its rows say."""

    FINE = 0
    SOMETHING_TO_DO = 1
    NOT_ASKED = 2


@dataclass(frozen=True)
class Report:
    """What the doctor found out. ``requests`` counts those that were sent."""

    host: str
    organisation_id: str | None
    timezone: str
    rows: tuple[Row, ...]
    requests: int

    @property
    def exit_status(self) -> ExitStatus:
        results = {row.result for row in self.rows}
        if Result.NOT_ASKED in results:
            return ExitStatus.NOT_ASKED
        return ExitStatus.SOMETHING_TO_DO if Result.TO_DO in results else ExitStatus.FINE

    def without(self, secret: str) -> Report:
        """Return the report with ``***`` for the secret, wherever a server repeats it, and each text on one line."""

        def clean(text: str) -> str:
            return one_line(redact_cut(text, secret), LONGEST_TEXT)

        rows = tuple(
            replace(
                row,
                found=clean(row.found),
                means=clean(row.means),
                set=clean(row.set),
                looked_at=clean(row.looked_at),
            )
            for row in self.rows
        )
        return replace(self, host=clean(self.host), rows=rows)

    def to_json(self) -> str:
        """Return the report as JSON, with the keys of `Row` in each of ``rows``."""
        document: dict[str, Any] = {
            "provider_version": __version__,
            "host": self.host,
            "organisation_id": self.organisation_id,
            "timezone": self.timezone,
            "requests": self.requests,
            "exit_status": int(self.exit_status),
            "rows": [asdict(row) for row in self.rows],
        }
        return json.dumps(document, indent=2)

    def to_table(self, width: int) -> str:
        """Return the report as a table of ``width`` characters, and a last line that says what to do."""
        cells = [("check", "result", "found", "what it means", "what to set or do")]
        for row in self.rows:
            found = f"{row.found} (looked at: {row.looked_at})" if row.looked_at else row.found
            cells.append((row.check, str(row.result), found, row.means, row.set))
        widths = _widths(max(width, NARROWEST))
        lines = _wrapped(cells[0], widths)
        for row_cells in cells[1:]:
            lines += [GAP.join("-" * each for each in widths), *_wrapped(row_cells, widths)]
        head = f"{self.host}, organisation {self.organisation_id or '(none)'}: {self.requests} requests"
        return "\n".join([head, "", *lines, "", self._summary()])

    def _summary(self) -> str:
        to_do = [row.check for row in self.rows if row.result is Result.TO_DO]
        not_asked = [row.check for row in self.rows if row.result is Result.NOT_ASKED]
        parts = [f"not asked: {', '.join(not_asked)}"] if not_asked else []
        parts += [f"to do: {', '.join(to_do)}"] if to_do else []
        return f"{'; '.join(parts) or 'nothing to do'} (exit status {self.exit_status:d})"


def _widths(width: int) -> tuple[int, ...]:
    left = width - sum(FIRST_WIDTHS) - 4 * len(GAP)
    found = left * 2 // 5
    means = (left - found) * 3 // 5
    return (*FIRST_WIDTHS, found, means, left - found - means)


def _wrapped(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    columns = [textwrap.wrap(cell, each) or [""] for cell, each in zip(cells, widths, strict=True)]
    return [
        GAP.join(part.ljust(each) for part, each in zip(parts, widths, strict=True)).rstrip()
        for parts in zip_longest(*columns, fillvalue="")
    ]
