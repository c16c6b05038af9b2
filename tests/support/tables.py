"""Tables in Markdown, and text that is to show as it is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path


def table(head: Sequence[str], rows: Sequence[Sequence[str]], rule: str = "") -> list[str]:
    """A Markdown table. ``rule``: the line under the heads, where not all columns stand to the left."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return [lines[0], rule or f"|{'---|' * len(head)}", *lines[1:]]


def plain(text: str) -> str:
    """Text in which Markdown sees no table, no link and no markup but what stands between backticks."""
    parts = text.replace("  [", " [").replace("|", "\\|").split("`")
    for number in range(0, len(parts), 2):
        parts[number] = parts[number].replace("<", "&lt;")
        for char in "*_[":
            parts[number] = parts[number].replace(char, f"\\{char}")
    return "`".join(parts)


def rows_of(page: Path, heading: str) -> list[list[str]]:
    """The cells of each row of the page's table whose first heading this is."""
    lines = page.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines[start + 2 :])
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in rows]
