"""Transcripts: commands with what they print and how they exit, as a person would see them.

``$ dta ...`` runs a command in this process; lines after it are its stdout, those with ``! `` its stderr, and
``[exit N]`` its exit code where that is not 0. ``<name>`` stands for any text, the same for the same name in the
whole file; a line ``...`` for any lines. ``# `` starts a comment. ``$ write FILE TEXT`` and ``$ edit FILE OLD NEW``
make and change files.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dta.cli.main import run

_PLACEHOLDER = re.compile(r"<([a-z0-9_-]+)>")


@dataclass
class Step:
    """One command of a transcript, and what is expected of it."""

    line: int
    words: list[str]
    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)
    exit_code: int = 0


def parse(text: str) -> Iterator[Step]:
    """The steps of a transcript."""
    step: Step | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("$ "):
            if step is not None:
                yield step
            step = Step(number, shlex.split(line[2:]))
        elif line.startswith("#") or not line:
            continue
        elif step is None:
            raise ValueError(f"line {number}: output before any command")
        elif line.startswith("[exit "):
            step.exit_code = int(line[6:-1])
        elif line.startswith("! "):
            step.stderr.append(line[2:])
        else:
            step.stdout.append(line)
    if step is not None:
        yield step


def _pattern(expected: list[str], known: dict[str, str]) -> re.Pattern[str]:
    fresh: set[str] = set()

    def part(match: re.Match[str]) -> str:
        name = match.group(1)
        if name in known:
            return re.escape(known[name])
        group = name.replace("-", "_")
        if group in fresh:
            return f"(?P={group})"
        fresh.add(group)
        return f"(?P<{group}>.+?)"

    lines = []
    for line in expected:
        if line == "...":
            lines.append(r"(?:.*\n)*?")
            continue
        pieces, at = "", 0
        for match in _PLACEHOLDER.finditer(line):
            pieces += re.escape(line[at : match.start()]) + part(match)
            at = match.end()
        lines.append(pieces + re.escape(line[at:]) + r"\n")
    return re.compile("".join(lines))


def _expect(step: Step, what: str, expected: list[str], said: str, known: dict[str, str]) -> None:
    match = _pattern(expected, known).fullmatch(said)
    if match is None:
        wanted = "\n".join(expected)
        pytest.fail(f"line {step.line}: {' '.join(step.words)}\n--- {what} expected\n{wanted}\n--- was\n{said}")
    known.update({name.replace("_", "-"): value for name, value in match.groupdict().items()})


def play(path: Path, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs a transcript with ``directory`` as the current one."""
    known: dict[str, str] = {}
    for step in parse(path.read_text(encoding="utf-8")):
        command, *words = step.words
        if command == "write":
            (directory / words[0]).write_text(words[1] + "\n")
            (directory / words[0]).chmod(0o600)
        elif command == "edit":
            file = directory / words[0]
            content = file.read_text()
            assert words[1] in content, f"line {step.line}: {words[1]!r} is not in {words[0]}"
            file.write_text(content.replace(words[1], words[2]))
        else:
            assert command == "dta", f"line {step.line}: {command}"
            capsys.readouterr()
            code = run(words)
            said = capsys.readouterr()
            _expect(step, "stdout", step.stdout, said.out, known)
            _expect(step, "stderr", step.stderr, said.err, known)
            assert code == step.exit_code, f"line {step.line}: {' '.join(step.words)} exited with {code}\n{said.err}"
