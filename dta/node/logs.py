"""A child's output on its way into its log: the file is exchanged when it is large, while the child runs.

The supervisor reads what its children write from a pipe. So no log grows without bound, whatever a stranger makes a
process say, and the supervisor sees what CometBFT says of itself nowhere else (:func:`consensus_failure`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

MAX_LOG_BYTES: Final = 64 * 1024 * 1024
"""Of a log; the one before it is kept beside it, as NAME.log.1."""
READ_BYTES: Final = 1 << 16
MAX_LINE_BYTES: Final = 8_192
"""What is looked at of a line; the file has it whole."""

_MAX_REASON_CHARS = 300
# At the start of its line alone: what strangers say stands further on, in CometBFT's forms `plain` and `json`.
_FAILED = re.compile(rb'(?:[A-Z]\[[0-9|:. -]{1,40}\] CONSENSUS FAILURE!!! |\{"_msg":"CONSENSUS FAILURE!!!")')
_WHY = re.compile(rb'(?: err=|"err":)(?:"((?:[^"\\]|\\.)*)|([^ ,}]+))')


def consensus_failure(line: bytes) -> str:
    """Why CometBFT's consensus ended, where ``line`` of its log says that it did; else an empty string.

    A panic in its consensus is caught there and logged; the process stays, answers, and takes part in nothing.
    """
    if not _FAILED.match(line):
        return ""
    why = _WHY.search(line)
    said = (why[1] or why[2] or b"") if why else b""
    text = "".join(char if char.isprintable() else " " for char in said.decode("utf-8", "replace"))
    return text[:_MAX_REASON_CHARS] or "it does not say why"


class ChildLog:
    """The log at ``path`` of one child after another. ``seen`` gets the beginning of each line."""

    def __init__(
        self, path: Path, seen: Callable[[bytes], None] | None = None, max_bytes: int = MAX_LOG_BYTES
    ) -> None:
        self._path = path
        self._seen = seen
        self._max_bytes = max_bytes
        self._file: int | None = None
        self._size_bytes = 0
        self._lost_bytes = 0
        self._line = bytearray()
        self._pipe: int | None = None

    def open(self) -> int:
        """A descriptor for a new child to write to. Whoever starts the child closes its own copy."""
        self.close()
        read, write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(read, False)
        self._pipe = read
        asyncio.get_running_loop().add_reader(read, self._readable)
        return write

    def close(self) -> None:
        """Take what the last child wrote, and let its pipe go."""
        while self._pipe is not None and self._readable():
            pass
        self._end()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _readable(self) -> bool:
        """Whether something was there."""
        if self._pipe is None:
            return False
        try:
            chunk = os.read(self._pipe, READ_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            self._end()
            return False
        self._write(chunk)
        if self._seen is not None:
            self._look(chunk)
        return True

    def _end(self) -> None:
        if self._pipe is not None:
            asyncio.get_running_loop().remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = None
        self._line.clear()

    def _look(self, chunk: bytes) -> None:
        first, *others = chunk.split(b"\n")
        self._line += first[: MAX_LINE_BYTES - len(self._line)]
        for following in others:
            if self._seen is not None:
                self._seen(bytes(self._line))
            self._line[:] = following[:MAX_LINE_BYTES]

    def _write(self, chunk: bytes) -> None:
        """What finds no room is lost: a disk ends no supervisor by a log, and holds no child up."""
        try:
            if self._file is not None and self._size_bytes + len(chunk) > self._max_bytes:
                os.close(self._file)
                self._file = None
                self._path.replace(self._path.with_suffix(".log.1"))
            if self._file is None:
                self._open_file()
            if self._lost_bytes:
                self._append(f"dta: {self._lost_bytes} bytes found no room here\n".encode())
                self._lost_bytes = 0
            self._append(chunk)
        except OSError:
            self._lost_bytes += len(chunk)

    def _open_file(self) -> None:
        with contextlib.suppress(OSError):
            if self._path.stat().st_size > self._max_bytes:
                self._path.replace(self._path.with_suffix(".log.1"))
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size_bytes = os.fstat(self._file).st_size

    def _append(self, data: bytes) -> None:
        assert self._file is not None
        self._size_bytes += len(data)
        while data:
            data = data[os.write(self._file, data) :]
