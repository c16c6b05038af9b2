"""What mkdocs is told about pages outside docs/ (mkdocs.yml, hooks): where they stand in the site, and links to them.

A link on a page is one of the repository, as it is read there. Those that lead to a page that stands elsewhere in the
site, or come from one, are written anew; all others are left to mkdocs, which refuses what is not there.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = "docs"
OUTSIDE: Final = {"README.md": "tour.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages of the repository's root, and their places in the site."""

_SOURCES: Final = {page: name for name, page in OUTSIDE.items()}
_LINK: Final = re.compile(r"(\[[^\]]*\]\()([^)#:\s]+)((?:#[^)\s]*)?\))")


def on_files(files: Any, config: Any) -> Any:
    """mkdocs: add the pages of the root."""
    for name, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """mkdocs: write links anew where a page stands elsewhere."""
    return moved(markdown, page.file.src_uri)


def moved(markdown: str, page: str) -> str:
    """The text of ``page``, a place in the site, with its links as they are there."""
    source = _SOURCES.get(page, f"{DOCS}/{page}")

    def written(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        place = OUTSIDE.get(target) or (target.removeprefix(f"{DOCS}/") if target.startswith(f"{DOCS}/") else "")
        if not place or (page not in _SOURCES and target not in OUTSIDE):
            return match[0]
        return f"{match[1]}{posixpath.relpath(place, posixpath.dirname(page) or '.')}{match[3]}"

    return _LINK.sub(written, markdown)
