"""What strangers make a server log: one counted line a minute for each place that logs, whatever they send.

A malformed request of 18 bytes makes aiohttp log a traceback, one with a long header 8.5 kB; a TLS handshake that fails
makes asyncio log another. Anybody could fill a disk with them.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PER_S: Final = 60.0
MAX_LINE_CHARS: Final = 500
STRANGERS: Final = ("aiohttp", "asyncio", "dta.http", "dta.login", "dta.node.gateway")
"""The loggers that a request, a connection or a block of somebody else's may reach, and those below them."""

_Place = tuple[str, str, int, str]


@dataclass(slots=True)
class _Said:
    at_s: float
    more: int = 0


class OneAMinute(logging.Filter):
    """A handler's filter: of each place in the code and kind of exception one line a minute, and how many there were.

    The key holds nothing that was sent, so there are as many as there are places. Lines are cut at 500 characters; an
    exception is its kind and where it was raised: what it says may be the request. Other loggers are left alone.
    """

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic_s = monotonic_s
        self._said: dict[_Place, _Said] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown; it is rewritten to one line."""
        if not any(record.name == name or record.name.startswith(name + ".") for name in STRANGERS):
            return True
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        place = (record.name, record.pathname, record.lineno, type(error).__name__)
        now_s = self._monotonic_s()
        before = self._said.get(place)
        if before is not None and now_s - before.at_s < PER_S:
            before.more += 1
            return False
        self._said[place] = _Said(now_s)
        text = record.getMessage()[:MAX_LINE_CHARS]
        if error is not None:
            text = f"{text.splitlines()[0] if text else ''}: {_kind_and_place(error)}"
        line = "".join(char if char.isprintable() else " " for char in text)[:MAX_LINE_CHARS]
        more = f" (and {before.more} more like it since the last such line)" if before and before.more else ""
        record.msg, record.args = line + more, ()
        record.exc_info = record.exc_text = record.stack_info = None
        return True


def _kind_and_place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def count_strangers() -> None:
    """Put the filter on what the root logger writes to. To be called once, when logging is set up."""
    counted = OneAMinute()
    for handler in logging.getLogger().handlers:
        handler.addFilter(counted)
