"""A dataclass of options, taken by a command as one parameter, is its options in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Annotated

import pytest
import typer

from dta.cli.option_groups import with_groups


@dataclass(frozen=True, slots=True)
class Place:
    host: Annotated[str, typer.Option(help="Where.")] = "here"
    port: Annotated[int, typer.Option("--at", help="The port.")] = 1


@dataclass(frozen=True, slots=True)
class Elsewhere(Place):
    host: Annotated[str, typer.Option(help="Where.")] = "there"


def run(command: Callable[..., None], arguments: list[str]) -> None:
    app = typer.Typer()
    app.command()(command)
    typer.main.get_command(app).main(args=arguments, standalone_mode=False)


def test_a_command_gets_its_group_of_what_was_said_and_of_defaults() -> None:
    got: list[object] = []

    @with_groups
    def command(context: typer.Context, *, name: str = "", place: Place, last: bool = False) -> None:
        """Says."""
        assert context.command_path
        got.extend((name, place, last))

    assert list(signature(command).parameters) == ["context", "name", "host", "port", "last"]
    assert command.__doc__ == "Says."
    run(command, ["--at", "7", "--name", "a", "--last"])
    run(command, ["--host", "x"])
    assert got == ["a", Place("here", 7), True, "", Place("x", 1), False]


def test_a_group_may_say_another_default() -> None:
    got: list[Elsewhere] = []

    @with_groups
    def command(*, place: Elsewhere) -> None:
        got.append(place)

    run(command, [])
    run(command, ["--host", "x"])
    assert got == [Elsewhere("there", 1), Elsewhere("x", 1)]


def test_a_group_s_name_is_no_option() -> None:
    @with_groups
    def command(*, place: Place) -> None:
        raise AssertionError(place)

    with pytest.raises(Exception, match="--place"):
        run(command, ["--place", "x"])
