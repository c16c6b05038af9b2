"""Transcripts as tests: what a person types, what comes back, and the exit code.

    $ alice vault open --title keys        run `dta` in alice's home
    vault      <VAULT>                     <NAME>: some word; the same word wherever the name stands again
    ...                                    any number of lines
    ! error: no such thing                 a line on standard error (others there are not looked at)
    = 3                                    the exit code; without it, 0

Lines that start with ``#`` are comments.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Run = Callable[[str, list[str]], tuple[int, str, str]]
"""(who, arguments) -> exit code, standard output, standard error."""

_NAME = re.compile(r"<([A-Z0-9_]+)>")


@dataclass
class Command:
    """One command of a transcript, with what it expects."""

    line: int
    who: str
    words: list[str]
    output: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    exit_code: int = 0


def parse(text: str) -> list[Command]:
    """The commands of a transcript."""
    commands: list[Command] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("$ "):
            who, *words = line[2:].split()
            commands.append(Command(number, who, words))
        elif line.startswith("! "):
            commands[-1].errors.append(line[2:])
        elif line.startswith("= "):
            commands[-1].exit_code = int(line[2:])
        elif line and not line.startswith("#"):
            commands[-1].output.append(line)
    return commands


def play(path: Path, run: Run, names: dict[str, str]) -> None:
    """Runs a transcript. ``names``: what is known beforehand. Fails on the first command that goes otherwise."""
    for command in parse(path.read_text()):
        words = [_NAME.sub(lambda match: names[match[1]], word) for word in command.words]
        code, output, errors = run(command.who, words)
        shown = f"{path.name}:{command.line}: dta {' '.join(words)}\n{output}{errors}(exit code {code})"
        assert code == command.exit_code, shown
        _match(command.output, output.splitlines(), names, shown)
        for line in command.errors:
            assert any(_fits(line, said, names) for said in errors.splitlines()), f"no line {line!r} in\n{shown}"


def _match(expected: list[str], said: list[str], names: dict[str, str], shown: str) -> None:
    lines, skipping = [line for line in said if line], False
    for line in expected:
        if line == "...":
            skipping = True
            continue
        while skipping and lines and not _fits(line, lines[0], names):
            lines.pop(0)
        found = bool(lines) and _fits(line, lines.pop(0), names)
        assert found, f"expected {line!r} in\n{shown}"
        skipping = False
    assert skipping or not lines, f"more than expected: {lines[:1]} in\n{shown}"


def _fits(expected: str, said: str, names: dict[str, str]) -> bool:
    """Whether a line is as expected; spaces count as one. New names are learnt from a line that fits."""
    pattern, new = "", []
    for part in re.split(r"(<[A-Z0-9_]+>|\s+)", expected.strip()):
        match = _NAME.fullmatch(part)
        if match is None:
            pattern += r"\s+" if part.isspace() else re.escape(part)
        elif match[1] in names:
            pattern += re.escape(names[match[1]])
        elif match[1] in new:
            pattern += f"(?P={match[1]})"
        else:
            pattern += rf"(?P<{match[1]}>\S+)"
            new.append(match[1])
    found = re.fullmatch(pattern, said.strip())
    if found is not None:
        names.update(found.groupdict())
    return found is not None
