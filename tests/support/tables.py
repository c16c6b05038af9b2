"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]], rule: str = "") -> list[str]:
    """A Markdown table. ``rule``: the line under the heads, where not all columns stand to the left."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return [lines[0], rule or f"|{'---|' * len(head)}", *lines[1:]]
