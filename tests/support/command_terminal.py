"""A terminal: a command runs in it, and what it asks is answered, as by a person."""

from __future__ import annotations

import os
import pty
import select
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

WAIT_S: Final = 600.0
_READ_BYTES: Final = 65_536


def at_a_terminal(
    command: Sequence[str], directory: Path, environment: Mapping[str, str], answers: Mapping[str, str],
    wait_s: float = WAIT_S,
) -> tuple[int, str]:  # fmt: skip
    """The exit code and all that was printed, questions and what is echoed of answers too.

    ``answers``: by the end of a question, what is typed then. Raises TimeoutError when it is not over in ``wait_s``.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        # Nothing of the test's may go on here, whatever happens.
        try:
            os.chdir(directory)
            os.execvpe(command[0], list(command), dict(environment))
        finally:
            os._exit(127)
    ended = False
    try:
        said = _talk(terminal, answers, wait_s)
        ended = True
    finally:
        os.close(terminal)
        if not ended:
            os.killpg(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code, said


def _talk(terminal: int, answers: Mapping[str, str], wait_s: float) -> str:
    deadline = time.monotonic() + wait_s
    said, answered = "", 0
    while True:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError(f"not over after {wait_s:.0f} s:\n{said}")
        try:
            piece = os.read(terminal, _READ_BYTES)
        except OSError:  # Linux: nobody has the other end any more
            return said
        if not piece:
            return said
        said += piece.decode("utf-8", "replace").replace("\r\n", "\n")
        for question, answer in answers.items():
            if said[answered:].endswith(question):
                os.write(terminal, f"{answer}\n".encode())
                answered = len(said)
