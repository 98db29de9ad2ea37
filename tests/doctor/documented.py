"""The examples of docs/doctor.md. ``python -m tests.doctor.documented`` runs them, and writes what they print."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox_server import SandboxServer

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "doctor.md"
ADDRESS = "http://127.0.0.1:8480"
"""Where the sandbox of an example is, for the reader."""
BLOCK = re.compile(
    r"(?P<commands>```console\n\$ python -m airflow_provider_mics\.sandbox (?P<sandbox>(?:[^\n]|\\\n)+)\n"
    r"\$ (?P<variables>(?:[^\n]|\\\n)*)python -m airflow_provider_mics\.doctor(?P<doctor>[^\n]*)\n)"
    r"(?P<output>.*?)```\n",
    re.DOTALL,
)
ROW = re.compile(r"^(\S.{0,15}?) {2,}(ok|note|unknown|to do|not asked)(?: |$)", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """The commands of an example, and what the page says that they print."""

    commands: str
    sandbox: tuple[str, ...]
    variables: dict[str, str]
    doctor: tuple[str, ...]
    output: str

    def run(self) -> str:
        """Return what the doctor prints, with the address that the page gives."""
        # A default for the token and for the port is what the sandbox has without these options.
        with SandboxServer(tokens={"sandbox-token": ["1185"]}, arguments=list(self.sandbox)) as server:
            done = subprocess.run(
                [sys.executable, "-m", "airflow_provider_mics.doctor", *self.doctor],
                cwd=ROOT,
                env={**os.environ, "COLUMNS": "120", **self.variables, "MICS_HOST": server.url},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            return done.stdout.replace(server.url, ADDRESS)


def examples(page: str) -> Iterator[Example]:
    for block in BLOCK.finditer(page):
        variables = dict(each.split("=", 1) for each in shlex.split(block["variables"].replace("\\\n", " ")))
        yield Example(
            block["commands"],
            tuple(shlex.split(block["sandbox"].replace("\\\n", " "))),
            variables,
            tuple(shlex.split(block["doctor"])),
            block["output"],
        )


def rows_of(output: str) -> list[tuple[str, str]]:
    """Return the checks of a table, as far as they stand in its first line, with their results."""
    return [(check.strip(), result) for check, result in ROW.findall(output)]


def main() -> None:
    page = PAGE.read_text()
    for example in examples(page):
        page = page.replace(f"{example.commands}{example.output}```", f"{example.commands}{example.run()}```")
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
