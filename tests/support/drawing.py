"""Pictures as SVG: boxes on a grid, and arrows between them. No script, no font and no image of anybody else's.

A picture has a background of its own, so that it is read on a dark page too, and a title and a description for who
hears the page. Every arrow names what it connects (``data-from``, ``data-to``), so that a test can hold it to a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape, quoteattr

COLUMN: Final = 230
ROW: Final = 120
MARGIN: Final = 30
LINE: Final = 18
LABEL_LINE: Final = 15
LABEL_CHAR: Final = 6.0
_STYLE: Final = (
    "text{font:14px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1f2933;text-anchor:middle}"
    ".label{font-size:12px;fill:#3e4c59}"
    ".box{stroke:#52606d;stroke-width:1.5}"
    ".arrow{stroke:#52606d;stroke-width:1.5;fill:none;marker-end:url(#tip)}"
)
_FILL: Final = {"plain": "#f5f7fa", "who": "#e0ecff", "begin": "#e3f3e6", "end": "#e4e7eb", "bad": "#fbe6e4"}


@dataclass(frozen=True, slots=True)
class Box:
    """``at``: column and row of its middle, in cells. ``kind``: plain, who, begin, end or bad. ``width``: pixels."""

    at: tuple[float, float]
    lines: tuple[str, ...]
    kind: str = "plain"
    width: int = 150

    @property
    def middle(self) -> tuple[float, float]:
        """In pixels."""
        return MARGIN + (self.at[0] + 0.5) * COLUMN, MARGIN + (self.at[1] + 0.5) * ROW - ROW / 4

    @property
    def height(self) -> int:
        """In pixels."""
        return 22 + LINE * len(self.lines)


@dataclass(frozen=True, slots=True)
class Arrow:
    """From one box to another, by their names. ``aside``: pixels by which it is moved to its right, seen along it.

    ``along``: where on it the label stands, from 0 to 1.
    """

    start: str
    end: str
    label: str = ""
    aside: float = 0
    along: float = 0.5


def _edge(box: Box, dx: float, dy: float) -> float:
    """How far along (dx, dy) from its middle a box ends."""
    reach = [half / abs(d) for half, d in ((box.width / 2, dx), (box.height / 2, dy)) if d]
    return min(reach)


def _drawn_arrow(arrow: Arrow, boxes: Mapping[str, Box]) -> list[str]:
    start, end = boxes[arrow.start], boxes[arrow.end]
    (x1, y1), (x2, y2) = start.middle, end.middle
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
    dx, dy = (x2 - x1) / length, (y2 - y1) / length
    out, into = _edge(start, dx, dy) + 2, length - _edge(end, -dx, -dy) - 9
    sx, sy = x1 - dy * arrow.aside, y1 + dx * arrow.aside
    names = f"data-from={quoteattr(arrow.start)} data-to={quoteattr(arrow.end)}"
    lines = [
        f'<path class="arrow" {names} d="M{sx + dx * out:.1f} {sy + dy * out:.1f} '
        f'L{sx + dx * into:.1f} {sy + dy * into:.1f}"/>'
    ]
    at = out + (into - out) * arrow.along
    return lines + _drawn_label(arrow.label.split("\n"), sx + dx * at, sy + dy * at) if arrow.label else lines


def _drawn_label(said: list[str], x: float, y: float) -> list[str]:
    """Around (x, y), over a piece of the background: as wide as most fonts need."""
    width, height = LABEL_CHAR * max(map(len, said)), LABEL_LINE * len(said)
    place = f'x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height}"'
    lines = [f'<rect {place} fill="#fff"/>']
    for number, line in enumerate(said):
        up = y + 4 + (number - (len(said) - 1) / 2) * LABEL_LINE
        lines.append(f'<text class="label" x="{x:.1f}" y="{up:.1f}">{escape(line)}</text>')
    return lines


def _drawn_box(name: str, box: Box) -> list[str]:
    x, y = box.middle
    lines = [
        f'<rect class="box" data-name={quoteattr(name)} x="{x - box.width / 2:.1f}" y="{y - box.height / 2:.1f}" '
        f'width="{box.width}" height="{box.height}" rx="6" fill="{_FILL[box.kind]}"/>'
    ]
    for number, line in enumerate(box.lines):
        up = y + 5 + (number - (len(box.lines) - 1) / 2) * LINE
        lines.append(f'<text x="{x:.1f}" y="{up:.1f}">{escape(line)}</text>')
    return lines


def drawn(title: str, description: str, boxes: Mapping[str, Box], arrows: Sequence[Arrow]) -> list[str]:
    """The lines of the file."""
    width = int(max(box.middle[0] + box.width / 2 for box in boxes.values()) + MARGIN)
    height = int(max(box.middle[1] + box.height / 2 for box in boxes.values()) + MARGIN)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-labelledby="title description">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="description">{escape(description)}</desc>',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="1" refY="4" markerWidth="8" markerHeight="8" orient="auto" '
        'markerUnits="userSpaceOnUse"><path d="M0 0 L8 4 L0 8 z" fill="#52606d"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    # Labels last: nothing is drawn over them.
    parts = [line for arrow in arrows for line in _drawn_arrow(arrow, boxes)]
    lines += [line for line in parts if line.startswith("<path")]
    lines += [line for line in parts if line.startswith("<rect")]
    lines += [line for name, box in boxes.items() for line in _drawn_box(name, box)]
    lines += [line for line in parts if line.startswith("<text")]
    return [*lines, "</svg>"]
