"""Handing a secret to a program: on its standard input or on a descriptor of its own, by a pipe.

A pipe's bytes are the kernel's: on no disk, in no argument and in no environment. The program is started without a
shell, by the words of the command.
"""

from __future__ import annotations

import fcntl
import os
import select
import shlex
import shutil
import subprocess
import sys
import termios
from array import array
from collections.abc import Sequence

from dta.base.errors import EXIT_COMMAND, DtaError, UsageError
from dta.base.secret import SecretBytes

PLACEHOLDER = "{fd}"
_LOOK_S = 0.1
_PIECE_BYTES = 4_096  # no more than a pipe that can be written to takes (PIPE_BUF)


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
        with _started(words, reader, stdout_to_stderr) as child:  # whatever interrupts this waits for the program
            try:
                given = _write(writer, secret, child)
            finally:
                os.close(writer)  # its end of the file
                writer = -1
            status = child.wait()
        was_read = given == len(secret) and not _left_in(reader)
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    if status or not was_read:
        raise CommandFailed(words[0], status, was_read=was_read)


def _started(words: Sequence[str], reader: int, stdout_to_stderr: bool) -> subprocess.Popen[bytes]:
    named = any(PLACEHOLDER in word for word in words)
    return subprocess.Popen(
        [word.replace(PLACEHOLDER, str(reader)) for word in words],
        stdin=None if named else reader,
        stdout=sys.stderr.fileno() if stdout_to_stderr else None,
        pass_fds=(reader,) if named else (),
    )


def _write(writer: int, secret: SecretBytes, child: subprocess.Popen[bytes]) -> int:
    """How much went into the pipe while the program was there. It can't break: its other end is kept open here."""
    os.set_blocking(writer, False)
    left = memoryview(secret.reveal())
    while left and child.poll() is None:
        if select.select([], [writer], [], _LOOK_S)[1]:
            left = left[os.write(writer, left[:_PIECE_BYTES]) :]
    return len(secret) - len(left)


def _left_in(reader: int) -> int:
    """How many bytes nobody has read."""
    held = array("i", [0])
    fcntl.ioctl(reader, termios.FIONREAD, held)
    return held[0]
