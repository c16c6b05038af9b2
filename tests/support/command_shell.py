"""A shell as a reader of a page has it open: what is typed into it, and what it printed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Final

from tests.support.command_player import Names

COMMAND_S: Final = 600.0
CLOSING_S: Final = 30.0
ENDED: Final = "-- the command ended with"


class Shell:
    """One bash in ``directory``. ``names``: what was printed in it. Standard input is empty: nothing asks."""

    def __init__(self, directory: Path, environment: dict[str, str], command_s: float = COMMAND_S) -> None:
        self.names = Names()
        self._command_s = command_s
        self._bash = subprocess.Popen(
            ["bash", "--norc"], cwd=directory, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def type(self, statement: str) -> str:
        """Run what a reader would paste; what was printed meanwhile. It must succeed, in ``command_s`` seconds."""
        typed = self.names.put_known_in(statement).rstrip("\n")
        assert self._bash.stdin is not None
        # In braces, bash reads all of it before it runs any: no command gets what is typed after it as its input.
        self._bash.stdin.write(f"{{\n{typed}\n}} </dev/null\nprintf '\\n%s %d\\n' '{ENDED}' $?\n")
        self._bash.stdin.flush()
        code, said = self._answer()
        assert code == "0", f"{typed}\nended with {code}:\n{said}"
        self.names.learn(said)
        return said

    def _answer(self) -> tuple[str, str]:
        assert self._bash.stdout is not None
        late = threading.Timer(self._command_s, self._stop, (signal.SIGKILL,))
        late.start()
        said = ""
        try:
            for line in self._bash.stdout:
                if line.startswith(ENDED):
                    return line.removeprefix(ENDED).strip(), said
                said += line
            return f"nothing: the shell has ended, or {self._command_s:.0f} s were over", said
        finally:
            late.cancel()

    def _stop(self, number: int) -> None:
        """The shell, and what it put into the background."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._bash.pid, number)

    def close(self) -> None:
        """End it, with what was left in its background."""
        self._stop(signal.SIGTERM)
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.close()
        try:
            self._bash.wait(timeout=CLOSING_S)
        finally:
            self._stop(signal.SIGKILL)
            self._bash.stdout.close()
