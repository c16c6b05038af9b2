"""Handing a secret to a program: on its standard input or on a descriptor of its own, by a pipe.

A pipe's bytes are the kernel's: on no disk, in no argument and in no environment. The program is started without a
shell, by the words of the command.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

from dta.base.errors import EXIT_COMMAND, DtaError, UsageError
from dta.base.secret import SecretBytes

PLACEHOLDER = "{fd}"


class CommandFailed(DtaError):
    """The program ended with another status than 0, or before it had read the secret. ``data``: ``status``, and
    ``signal`` where one ended it."""

    kind = "command-failed"
    exit_code = EXIT_COMMAND

    def __init__(self, program: str, status: int, *, was_read: bool) -> None:
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        super().__init__(
            f"{program} {how}" if was_read else f"{program} {how} before it had read the secret",
            hint="the request's keys are kept: receive again",
            data={"program": program, "status": max(status, 0), "signal": max(-status, 0), "was_read": was_read},
        )


def words_of(command: str) -> list[str]:
    """The command's words, split as a shell splits them. Raises UsageError where there is no such program."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"the command can't be split into words: {error}", hint="is a quote missing?") from None
    if not words or shutil.which(words[0]) is None:
        raise UsageError(f"there is no program {words[0] if words else ''!r} to give the secret to")
    return words


def hand_over(words: Sequence[str], secret: SecretBytes, *, stdout_to_stderr: bool = False) -> None:
    """Runs the program, gives it the secret, and waits for it. Raises CommandFailed, OSError (it can't be started).

    The secret is its standard input; where a word has ``{fd}``, it is a descriptor of that number instead, and
    standard input is the caller's.
    """
    reader, writer = os.pipe()
    try:
        named = any(PLACEHOLDER in word for word in words)
        child = subprocess.Popen(
            [word.replace(PLACEHOLDER, str(reader)) for word in words],
            stdin=None if named else reader,
            stdout=sys.stderr.fileno() if stdout_to_stderr else None,
            pass_fds=(reader,) if named else (),
        )
    except BaseException:
        os.close(writer)
        raise
    finally:
        os.close(reader)
    with child:  # whatever interrupts this waits for the program, which has the terminal too
        try:
            was_read = _write_all(writer, secret)
        finally:
            os.close(writer)
        status = child.wait()
    if status or not was_read:
        raise CommandFailed(words[0], status, was_read=was_read)


def _write_all(writer: int, secret: SecretBytes) -> bool:
    """Whether there was somebody to read all of it, as far as a pipe shows."""
    left = memoryview(secret.reveal())
    try:
        while left:
            left = left[os.write(writer, left) :]
    except BrokenPipeError:
        return False
    return True
