"""Processes of ours as other users: Python and this program, wherever they are, may be in a directory of root's alone.

They are reached by open directories, which a child inherits: who has one needs no right to the way that leads there.
"""

from __future__ import annotations

import os
import site
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class User:
    """By numbers, which need no name on this machine. Its own group has its number; ``groups``: others besides."""

    id: int
    groups: tuple[int, ...] = ()


class OtherUsers:
    """Starts Python's modules and programs as users without rights."""

    def __init__(self, directories: dict[str, int]) -> None:
        self._directories = directories
        self._processes: list[subprocess.Popen[bytes]] = []

    def begin(self, user: User, arguments: Sequence[str], **given: Any) -> subprocess.Popen[bytes]:
        """``python ARGUMENTS`` as this user, with these groups and no others. It is killed at the end."""
        base, *paths = (f"/proc/self/fd/{number}" for number in self._directories.values())
        executable = os.path.realpath(sys.executable)
        environment = {
            "PATH": os.defpath, "PYTHONHOME": base, "PYTHONPATH": ":".join(paths), "PYTHONDONTWRITEBYTECODE": "1",
            "LD_LIBRARY_PATH": f"{base}/lib",
        }  # fmt: skip
        process = subprocess.Popen(
            [f"{base}/{os.path.relpath(executable, sys.base_prefix)}", *arguments], env=environment, cwd="/",
            pass_fds=tuple(self._directories.values()), user=user.id, group=user.id, extra_groups=user.groups, **given,
        )  # fmt: skip
        self._processes.append(process)
        return process

    def said(self, user: User, program: str, *arguments: str) -> str:
        """What this program prints, as this user. It has to end well."""
        process = self.begin(user, ["-c", program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, error = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, error.decode()
        return out.decode()

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


@contextmanager
def other_users() -> Iterator[OtherUsers]:
    """For root alone. What was begun is ended."""
    names = (sys.base_prefix, str(ROOT), *site.getsitepackages())
    opened = {name: os.open(name, os.O_PATH | os.O_DIRECTORY) for name in names}
    made = OtherUsers(opened)
    try:
        yield made
    finally:
        made.end()
        for number in opened.values():
            os.close(number)
