"""``dta``: its global options, and what becomes of errors (docs/howto/command-line.md).

``--home``, ``--json``, ``--identity`` and ``--pin-fd`` may stand anywhere on the line, before a ``--``.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, TextIO

import typer

from dta.base import place
from dta.base.config import debugging
from dta.base.errors import EXIT_INTERRUPTED, EXIT_USAGE, DtaError, InternalError, UsageError
from dta.base.home import Home, default_home
from dta.base.place import PlaceFailure
from dta.cli.commands import COMMANDS
from dta.cli.loading import LoadingGroup
from dta.cli.session import Session, on_terminal
from dta.hsm.errors import expected

_FLAGS = frozenset({"--json"})
_VALUED = frozenset({"--home", "--identity", "--pin-fd"})
_BadCommandLine: type[Exception] = typer.BadParameter.__mro__[1]


def command_line() -> LoadingGroup:
    """All of ``dta``. No command is loaded yet: each is when it is named."""
    app = typer.Typer(
        name="dta",
        cls=LoadingGroup,
        help="A decentralized trust authority: identities, vaults, orders, and the node that serves them.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_global_options)
    root = typer.main.get_command(app)
    assert isinstance(root, LoadingGroup)
    root.offer(COMMANDS)
    return root


def _say_version(context: typer.Context, wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    from abci_app.params import PROTOCOL_VERSIONS

    try:
        installed = version("dta")
    except PackageNotFoundError:  # run from a checkout that nobody installed
        installed = "unknown"
    if context.params.get("as_json"):  # eager too, and in front: see hoisted()
        typer.echo(json.dumps({"version": installed, "protocol_versions": list(PROTOCOL_VERSIONS)}))
    else:
        typer.echo(f"dta {installed}, ledger protocol {', '.join(map(str, PROTOCOL_VERSIONS))}")
    raise typer.Exit


def _global_options(
    context: typer.Context,
    home: Annotated[Path | None, typer.Option(help="The directory to work in ($DTA_HOME, else ~/.dta).")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON value on stdout, for errors too.", is_eager=True)
    ] = False,
    identity_name: Annotated[str, typer.Option("--identity", help="The identity to act as, by its local name.")] = "",
    version: Annotated[  # noqa: ARG001 - its callback is all of it
        bool, typer.Option("--version", help="Say which version this is.", is_eager=True, callback=_say_version)
    ] = False,
    pin_fd: Annotated[int | None, typer.Option(min=0, help="Read the PIN or passphrase from this descriptor.")] = None,
) -> None:
    context.obj = Session(Home(home or default_home()), as_json, identity_name, pin_fd)


def hoisted(arguments: Sequence[str]) -> list[str]:
    """The arguments with the global options moved to the front, from wherever they stand before a ``--``."""
    rest = list(arguments)
    front: list[str] = []
    kept: list[str] = []
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*front, *kept, word, *rest]
        if word in _FLAGS or word.partition("=")[0] in _VALUED:
            if word in _FLAGS:
                front.insert(0, word)
            else:
                front.append(word)
            if word in _VALUED and rest:
                front.append(rest.pop(0))
        else:
            kept.append(word)
    return [*front, *kept]


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code. Errors are printed, never raised."""
    ordered = hoisted(arguments)
    as_json = "--json" in ordered[: len(ordered) - (ordered[::-1].index("--") + 1 if "--" in ordered else 0)]
    _say_all_that_is_said()
    try:
        code = _checked_run(ordered)
        sys.stdout.flush()  # here, where a disk that is full can be said to be; Python itself says it in a traceback
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _abandon(sys.stdout)  # the reader went away: nobody is left to tell
        return EXIT_INTERRUPTED
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # typer keeps the class to itself
            sys.stderr.write(_message_of(error) + "\n")
            return EXIT_USAGE
        if debugging():
            traceback.print_exc()
        return _report(_as_ours(error), as_json)
    return code


def _checked_run(ordered: list[str]) -> int:
    if any(not word.isprintable() and any(0xD800 <= ord(char) < 0xE000 for char in word) for word in ordered):
        raise UsageError(
            "a word of the command is no text in this terminal's encoding", hint="set LANG to a locale of UTF-8"
        )
    try:
        code = command_line().main(args=ordered, prog_name="dta", standalone_mode=False)
    except SystemExit as error:  # Typer's own way with completion, which is 0, and with a pipe that nobody reads
        if not error.code:
            return 0
        raise BrokenPipeError from error
    return code if isinstance(code, int) else 0


def _say_all_that_is_said() -> None:
    """What a terminal has no characters for is shown as escapes, and never ends a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _abandon(stream: TextIO) -> None:
    """Where ``stream`` goes can't be written: what is still to be written is let go, also when the process ends."""
    with suppress(OSError, ValueError):  # in a test it may have no descriptor
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _as_ours(error: Exception) -> DtaError:
    known = expected(error)
    if known is not None:
        return known
    if isinstance(error, _BadCommandLine):
        return UsageError(_message_of(error), hint="`dta --help`, or `dta COMMAND --help`")
    # What an unexpected exception says may hold anything: its kind and place are enough to find it.
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return InternalError(
        f"a fault of this program: {type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}",
        hint="please report it; DTA_DEBUG=1 shows where it came from",
    )


def _message_of(error: Exception) -> str:
    spoken = getattr(error, "format_message", None)
    return str(spoken()) if spoken is not None else str(error)


def _report(error: DtaError, as_json: bool) -> int:
    try:
        if as_json:
            sys.stdout.write(json.dumps({"error": error.as_json()}, indent=2) + "\n")
            sys.stdout.flush()
            return error.exit_code
        sys.stdout.flush()
    except OSError as unwritable:  # standard output itself is the trouble: it is said where it can be
        _abandon(sys.stdout)
        if as_json or not isinstance(error, PlaceFailure):
            error = place.failure(unwritable, "can't write standard output")
    with suppress(OSError):
        sys.stderr.write(f"error: {on_terminal(error.message)}\n")
        if error.hint:
            sys.stderr.write(f"hint: {on_terminal(error.hint)}\n")
    return error.exit_code
