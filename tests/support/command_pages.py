"""Every command of ``dta`` with its arguments and options, as they are declared: docs/reference/commands.md."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

import typer

from dta.cli.loading import Listed, LoadingGroup
from dta.cli.main import command_line
from tests.support.tables import plain, table

NOT_SHOWN = ("help", "install_completion", "show_completion")


def commands() -> list[str]:
    """A heading for each command, its docstring, and a table of what it takes."""
    root = command_line()
    lines = ["### dta", "", "These may stand anywhere on the line.", "", *_taken(root), ""]
    for words, command in _all(root, "dta"):
        lines += [f"### {words}", "", *_paragraphs(command.help or ""), "", *_taken(command), ""]
    return lines[:-1]


def _all(group: LoadingGroup, before: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        words = f"{before} {name}"
        if isinstance(command, LoadingGroup):
            yield from _all(command, words)
        else:
            yield words, command.loaded() if isinstance(command, Listed) else command


def _paragraphs(text: str) -> list[str]:
    """A docstring as Markdown: Typer's mark for a paragraph that is not to be filled goes."""
    return [plain(line) for line in cleandoc(text).replace("\b\n", "").splitlines()]


def _taken(command: Any) -> list[str]:
    """A table of its arguments and options, as its help has them; a line where it takes nothing."""
    with typer.Context(command) as context:
        records = [one.get_help_record(context) for one in command.get_params(context) if one.name not in NOT_SHOWN]
    rows = [(f"`{_cell(record[0])}`", plain(record[1])) for record in records if record is not None]
    return table(("argument or option", "what it is"), rows) if rows else ["It takes nothing."]


def _cell(text: str) -> str:
    """Text between backticks in a table: only the bar means something there."""
    return text.replace("|", "\\|")
