"""Blocks of commands on pages, and what becomes of them: every one is run by a test, or says why not.

A block is fenced and says ``sh``; the line before it is one of

    <!-- run by tests/DIRECTORY/test_NAME.py -->
    <!-- not run: WHY -->

A test that runs a page takes its blocks from :func:`to_run`, whole and in their order, so that none is left out; a
reader sees nothing of the marks. Other blocks say ``text``, ``toml``, ``json`` or ``python``; one in Python that is a
whole program may have the first mark too, and is run by the reader's ``python``.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
LANGUAGES: Final = ("sh", "text", "toml", "json", "python")
_FENCE: Final = re.compile(r"( *)```(\w*)$")
_RUN: Final = re.compile(r"<!-- run by (tests/[\w/]+\.py) -->")
_NOT_RUN: Final = re.compile(r"<!-- not run: (\S.*) -->")
_END: Final = "THE_END_OF_THE_PROGRAM"
# What a command begins with, where somebody forgot the fence.
_COMMAND: Final = re.compile(r"(dta|curl|ipfs|age|pytest|scripts/\w+\.sh|python -m|\. scripts/) ?")


@dataclass(frozen=True, slots=True)
class Block:
    """``line``: of its fence. ``runner``: the test that runs it, or ""; ``reason``: why none does, or ""."""

    page: str
    line: int
    language: str
    text: str
    runner: str
    reason: str

    @property
    def typed(self) -> str:
        """What a shell is given to run it."""
        return f"python - <<'{_END}'\n{self.text}{_END}\n" if self.language == "python" else self.text


def blocks(text: str, page: str = "") -> Iterator[Block]:
    """The fenced blocks of a page, from its top."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        if fence is None:
            at += 1
            continue
        end = next((n for n in range(at + 1, len(lines)) if lines[n] == f"{fence[1]}```"), len(lines))
        before = lines[at - 1].strip() if at else ""
        run, not_run = _RUN.fullmatch(before), _NOT_RUN.fullmatch(before)
        body = "".join(f"{line.removeprefix(fence[1])}\n" for line in lines[at + 1 : end])
        yield Block(page, at + 1, fence[2], body, run[1] if run else "", not_run[1] if not_run else "")
        at = end + 1


def to_run(page: str, runner: str) -> list[str]:
    """What is to be typed of the blocks of ``page`` that ``runner`` runs, as they say; both are paths from the root."""
    return [one.typed for one in blocks((ROOT / page).read_text(), page) if one.runner == runner]


def unfenced(text: str) -> Iterator[int]:
    """Lines with a command in a block that is indented and not fenced: nobody would see whether it is run."""
    fenced = False
    before = ""
    for number, line in enumerate(text.splitlines(), 1):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and re.match(r" {4,}\S", line) and not before.strip() and _COMMAND.match(line.strip()):
            yield number
        before = line


def commands(text: str) -> list[str]:
    """The commands of a block, one a line: lines that end in a backslash are joined. Comments stay."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def statements(text: str) -> Iterator[str]:
    """What a shell runs at once of a block: a line or, where quotes or a here-document are open, all to their end.

    Lines that are nothing but a comment are left out.
    """
    lines: list[str] = []
    for line in text.splitlines():
        if not lines and (not line.strip() or line.lstrip().startswith("#")):
            continue
        lines.append(line)
        one = "".join(f"{line}\n" for line in lines)
        if _is_whole(one):
            yield one
            lines = []
    if lines:
        yield "\n".join(lines)


def _is_whole(text: str) -> bool:
    # bash warns of a here-document that its input ended, and does not refuse it; a last backslash it takes as nothing.
    read = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    return read.returncode == 0 and not read.stderr and not text.endswith("\\\n")


def faults(root: Path, page: str) -> Iterator[str]:
    """What is wrong with the blocks of a page."""
    text = (root / page).read_text()
    for number in unfenced(text):
        yield f"{page}:{number} a command that stands in no fence"
    for block in blocks(text, page):
        where = f"{page}:{block.line}"
        if block.language not in LANGUAGES:
            yield f"{where} says {block.language or 'nothing'}, not {', '.join(LANGUAGES)}"
        elif block.language == "sh" or (block.runner and block.language == "python"):
            yield from _faults_of_commands(root, where, block)
        elif block.runner or block.reason:
            yield f"{where} has a mark, and is no block of commands"


def _faults_of_commands(root: Path, where: str, block: Block) -> Iterator[str]:
    if not block.runner and not block.reason:
        yield f"{where} is neither run nor says why not"
    elif block.runner and not (root / block.runner).is_file():
        yield f"{where} is run by {block.runner}, which is not there"
    elif block.runner and not _names(root / block.runner, block.page):
        yield f"{where} is run by {block.runner}, which does not name the page"


def _names(test: Path, page: str) -> bool:
    """A test names a page by its path or, where its folder is the test's own subject, by its name alone."""
    source = test.read_text()
    return page in source or f'"{Path(page).stem}"' in source
