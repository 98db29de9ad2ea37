"""The code blocks of the documentation."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_HERE_DOCUMENT = re.compile(r" <<'(\w+)'\n.*?^\1$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, its language and its text."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_dag_file(self) -> bool:
        """Whether it is a whole file; others are parts of one."""
        return "import" in self.text and (
            "with DAG(" in self.text or "_dag" in self.text.split("import", 1)[1]
        )

    def commands(self) -> Iterator[list[str]]:
        """Yield the words of each command, without the variables before it and what comes after a pipe."""
        text = _HERE_DOCUMENT.sub("\n", self.text).replace("\\\n", " ")
        has_prompt = text.startswith("$ ")
        for line in _whole_lines(text):
            if has_prompt and not line.startswith("$ "):
                continue
            for part in re.split(r" && |; ", line.removeprefix("$ ").partition(" # ")[0]):
                words = shlex.split(part.removesuffix("&"))
                while words and re.match(r"[A-Z_]+=", words[0]):
                    words.pop(0)
                if words:
                    yield words


def _whole_lines(text: str) -> Iterator[str]:
    """Yield lines; those within one quotation are one."""
    pending = ""
    for line in text.splitlines():
        pending = f"{pending}\n{line}" if pending else line
        if pending.count("'") % 2 == 0:
            yield pending
            pending = ""


def blocks(language: str) -> list[Block]:
    """Return all blocks of a language."""
    return [block for page in PAGES for block in _blocks_of(page) if block.language == language]


def _blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Block(page, line, match["language"], textwrap.dedent(match["text"]))
