"""The README as a package index shows it: with absolute links, since an index has no other files of the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(?P<mark>!?)\[(?P<text>[^\]]*)\]\((?P<target>(?![a-z][a-z0-9+.-]*:|#)[^)\s]+)\)")
"""A Markdown link or picture whose target is a path of the repository."""


class ReadmeHook(MetadataHookInterface):
    """Sets the readme of the metadata."""

    def update(self, metadata: dict[str, Any]) -> None:
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        tag = f"v{metadata['version']}"
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": with_absolute_links(text, metadata["urls"]["Source"], tag),
        }


def with_absolute_links(text: str, source: str, tag: str) -> str:
    """Return Markdown whose links to files lead to them in the repository, as of a tag.

    :param source: URL of the repository
    """

    def absolute(link: re.Match[str]) -> str:
        view = "raw" if link["mark"] else "blob"
        return f"{link['mark']}[{link['text']}]({source}/{view}/{tag}/{link['target']})"

    return LINK.sub(absolute, text)
