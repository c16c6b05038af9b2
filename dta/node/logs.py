"""A child's output on its way into its log: the file is exchanged when it is large, while the child runs.

The supervisor reads what its children write from a pipe. So no log grows without bound, whatever a stranger makes a
process say. CometBFT's goes by line: what strangers make it say is counted, and that its consensus ended, which it says
nowhere else, is seen (:class:`CometLines`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dta.base.lines import is_torn
from dta.http.logs import MAX_LINE_CHARS, OncePerMinute, counted

MAX_LOG_BYTES: Final = 64 * 1024 * 1024
"""Of a log; the one before it is kept beside it, as NAME.log.1."""
READ_BYTES: Final = 1 << 16
MAX_LINE_BYTES: Final = 1 << 16
"""What is kept of a line where it goes by line."""
OF_EACH_BLOCK: Final = frozenset({
    b"Timed out", b"received proposal", b"received complete proposal block", b"finalizing commit of block",
    b"finalized block", b"executed block", b"committed state", b"indexed block events",
})  # fmt: skip
"""What CometBFT says of each block and round, and a stranger can't make it say: this is written every time."""

_MAX_REASON_CHARS = 300
# At the start of its line alone: what strangers say stands further on, in CometBFT's forms `plain` and `json`.
_FAILED = re.compile(rb'(?:[A-Z]\[[0-9|:. -]{1,40}\] CONSENSUS FAILURE!!! |\{"_msg":"CONSENSUS FAILURE!!!")')
# The message is filled up with spaces to 44 characters; the module, where there is one, comes first after it.
_PLAIN = re.compile(rb"[A-Z]\[[0-9|:. -]{1,40}\] (.*?) *(?:$|  | module=([^ ]*))")
_JSON = re.compile(rb'\{"_msg":"((?:[^"\\]|\\.)*)"(?:.*"module":"([^"]*)")?')
_OF_GO = re.compile(rb"[0-9/]{10} [0-9:]{8} (.*)()")  # net/http's own, by Go's standard logger
_DEBUG = re.compile(rb'D\[|\{.*"level":"debug"')
# What differs from line to line in a message: numbers and hex, and what follows a colon, a brace or a quote.
_VARIES = re.compile(rb"[0-9A-F]+|[:{\"'].*")
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


class CometLines:
    """What is written of each line of CometBFT's log. ``failed`` is told why its consensus ended.

    A connection of a stranger makes it write up to five lines. So of each message but those of each block there is one
    line a minute, of at most 500 bytes, with the count of the others. Lines at level debug are written: whoever turns
    that on wants them. A line that is in none of CometBFT's forms (of a panic that is a Go program's own, say) goes the
    way of the line before it.
    """

    def __init__(self, failed: Callable[[str], None], monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._failed = failed
        self._messages = OncePerMinute(monotonic_s)
        self._is_written = True

    def __call__(self, line: bytes) -> bytes | None:
        """What is written in the place of ``line``; None: nothing."""
        reason = consensus_failure(line)
        if reason:
            self._failed(reason)
        found = _PLAIN.match(line) or _JSON.match(line) or _OF_GO.match(line)
        if found is None:
            return line if self._is_written else None
        message, module = found.groups()
        self._is_written = True
        if reason or message in OF_EACH_BLOCK or _DEBUG.match(line):
            return line
        more = self._messages.more((module, _VARIES.sub(b"", message)))
        self._is_written = more is not None
        return None if more is None else line[:MAX_LINE_CHARS] + counted(more).encode()


class ChildLog:
    """The log at ``path`` of one child after another. ``shown`` says what is written of each line; None: all of it."""

    def __init__(
        self, path: Path, shown: Callable[[bytes], bytes | None] | None = None, max_bytes: int = MAX_LOG_BYTES
    ) -> None:
        self._path = path
        self._shown = shown
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
        self._write(chunk if self._shown is None else self._lines(chunk, self._shown))
        return True

    def _end(self) -> None:
        if self._pipe is not None:
            asyncio.get_running_loop().remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = None
        if self._line and self._shown is not None:
            self._write(self._lines(b"\n", self._shown))

    def _lines(self, chunk: bytes, shown: Callable[[bytes], bytes | None]) -> bytes:
        """What is written of the lines that ``chunk`` ends; the beginning of the next is kept."""
        first, *others = chunk.split(b"\n")
        self._line += first[: MAX_LINE_BYTES - len(self._line)]
        written = []
        for following in others:
            line = shown(bytes(self._line))
            if line is not None:
                written.append(line + b"\n")
            self._line[:] = following[:MAX_LINE_BYTES]
        return b"".join(written)

    def _write(self, chunk: bytes) -> None:
        """What finds no room is lost: a disk ends no supervisor by a log, and holds no child up."""
        if not chunk:
            return
        try:
            if self._file is not None and self._size_bytes + len(chunk) > self._max_bytes:
                os.close(self._file)
                self._file = None
                self._path.replace(self._path.with_suffix(".log.1"))
            if self._file is None:
                self._open_file()
            if self._lost_bytes:
                self._begin_line()
                self._append(f"dta: {self._lost_bytes} bytes found no room here\n".encode())
                self._lost_bytes = 0
            while chunk:
                chunk = chunk[self._some(chunk) :]
        except OSError:
            self._lost_bytes += len(chunk)

    def _open_file(self) -> None:
        with contextlib.suppress(OSError):
            if self._path.stat().st_size > self._max_bytes:
                self._path.replace(self._path.with_suffix(".log.1"))
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size_bytes = os.fstat(self._file).st_size
        self._begin_line()

    def _begin_line(self) -> None:
        assert self._file is not None
        if is_torn(self._file):
            self._append(b"\n")

    def _append(self, data: bytes) -> None:
        """All of it. Raises OSError, also where a part found room."""
        if self._some(data) != len(data):
            raise OSError(errno.ENOSPC, "a part found no room")

    def _some(self, data: bytes) -> int:
        """As much of it as finds room; how much that is."""
        assert self._file is not None
        written = os.write(self._file, data)
        self._size_bytes += written
        return written
