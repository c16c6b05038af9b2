"""Tables in Markdown, and text that is to show as it is."""

from __future__ import annotations

from collections.abc import Sequence


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
