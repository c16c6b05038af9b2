"""Commands whose modules are imported when they are used, and not before.

Half a command's time would else be the loading of what other commands need. So a group holds, for each of its
commands, one that can be listed and no more (:class:`Listed`), and puts the real one in its place once it is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from dta.cli.commands import Command, Entry

PACKAGE = "dta.cli"


def function_of(at: str) -> Callable[..., Any]:
    """The function that does a command, ``module:function``; its module is imported."""
    module, _, function = at.partition(":")
    found: Callable[..., Any] = getattr(import_module(f"{PACKAGE}.{module}"), function)
    return found


class KeptDefault(TyperOption):
    """An option that, where it is not given, keeps its default as it stands.

    Typer converts defaults too, and loads pydantic to do so: longer than all else takes that lists commands.
    """

    def process_value(self, ctx: Any, value: Any) -> Any:
        """As :class:`TyperOption`'s, but for a value that is the default."""
        if value != self.default or self.required:
            return super().process_value(ctx, value)
        return value if self.callback is None else self.callback(ctx, self, value)


def _keeping_defaults(parameters: Sequence[Any]) -> None:
    for parameter in parameters:
        if type(parameter) is TyperOption:  # Typer makes them itself, from a function's signature: no other way in
            parameter.__class__ = KeptDefault


class LoadedCommand(TyperCommand):
    """A command with its options."""

    def get_params(self, ctx: Any) -> Any:
        """As :class:`TyperCommand`'s, ``--help`` among them. Typer keeps the types to itself."""
        parameters = super().get_params(ctx)
        _keeping_defaults(parameters)
        return parameters


class Listed(TyperCommand):
    """A command as the lists of its group have it: its name, and the first sentence of its help."""

    def __init__(self, name: str, entry: Command) -> None:
        super().__init__(name, help=entry.help, rich_markup_mode=None)
        self._entry = entry

    def loaded(self) -> LoadedCommand:
        """The command itself."""
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        app.command(self.name, cls=LoadedCommand)(function_of(self._entry.at))
        command = typer.main.get_command(app)
        assert isinstance(command, LoadedCommand)
        return command


class LoadingGroup(TyperGroup):
    """A group that loads a command when it is named: to be run, to say its help, or to complete its options.

    ``alone``: what is done where no command is named, ``module:function`` of a function that takes the context.
    """

    alone = ""
    _is_alone = False

    def get_params(self, ctx: Any) -> Any:
        """As :class:`TyperGroup`'s, ``--help`` among them."""
        parameters = super().get_params(ctx)
        _keeping_defaults(parameters)
        return parameters

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As :class:`TyperGroup`'s: the name, the command and the remaining words."""
        name, command, rest = super().resolve_command(ctx, args)
        if isinstance(command, Listed):
            command = command.loaded()
            self.add_command(command, name)
        return name, command, rest

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """As :class:`TyperGroup`'s. A word that does something by itself needs no other after it."""
        self._is_alone = bool(self.alone) and not args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """As :class:`TyperGroup`'s, or what the word does by itself."""
        return function_of(self.alone)(ctx) if self._is_alone else super().invoke(ctx)

    def offer(self, commands: Mapping[str, Entry]) -> None:
        """Add ``commands``, none of them loaded."""
        for name, entry in commands.items():
            if isinstance(entry, Command):
                self.add_command(Listed(name, entry))
            else:
                group = LoadingGroup(
                    name=name, help=entry.help, no_args_is_help=not entry.alone, rich_markup_mode=None,
                    invoke_without_command=bool(entry.alone),
                )  # fmt: skip
                group.alone = entry.alone
                group.offer(entry.commands)
                self.add_command(group)
