"""What strangers make a server log: one counted line a minute for each place that logs, whatever they send.

A malformed request of 18 bytes makes aiohttp log a traceback, one with a long header 8.5 kB; a TLS handshake that fails
makes asyncio log another. Anybody could fill a disk with them.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

PER_S: Final = 60.0
MAX_KEYS: Final = 256
MAX_LINE_CHARS: Final = 500
STRANGERS: Final = (
    "aiohttp", "asyncio", "dta.blocks", "dta.http", "dta.login", "dta.node.agent.runner", "dta.node.door",
    "dta.node.gateway", "dta.node.hooks", "dta.service", "uvicorn",
)  # fmt: skip
"""The loggers that a request, a connection, a block or an order of somebody else's may reach, and those below them."""


@dataclass(slots=True)
class _Said:
    at_s: float
    more: int = 0


class OncePerMinute:
    """Under each key one line a minute, and how many there were in between.

    At most 256 keys: those of which nothing was said for a minute are forgotten; where there are too many within one,
    what is new shares a key.
    """

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._said: dict[Hashable, _Said] = {}
        self._lock = Lock()

    def more(self, key: Hashable) -> int | None:
        """How many of ``key`` were not said since the last that was; None: this one is not to be said either."""
        with self._lock:
            now_s = self._monotonic_s()
            if key not in self._said and len(self._said) >= MAX_KEYS:
                self._said = {old: said for old, said in self._said.items() if now_s - said.at_s < PER_S}
                if len(self._said) >= MAX_KEYS:
                    key = None
            before = self._said.get(key)
            if before is not None and now_s - before.at_s < PER_S:
                before.more += 1
                return None
            self._said[key] = _Said(now_s)
            return 0 if before is None else before.more


def counted(more: int) -> str:
    """What stands at the end of a line of which ``more`` were not said; nothing for none."""
    return f" (and {more} more like it since the last such line)" if more else ""


class OneAMinute(logging.Filter):
    """A handler's filter: of each place in the code and kind of exception one line a minute, and how many there were.

    The key holds nothing that was sent, so there are as many as there are places. Lines are cut at 500 characters; an
    exception is its kind and where it was raised: what it says may be the request. Other loggers are left alone.
    """

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._places = OncePerMinute(monotonic_s)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown; it is rewritten to one line."""
        if not any(record.name == name or record.name.startswith(name + ".") for name in STRANGERS):
            return True
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        more = self._places.more((record.name, record.pathname, record.lineno, type(error).__name__))
        if more is None:
            return False
        text = record.getMessage()[:MAX_LINE_CHARS]
        if error is not None:
            text = f"{text.splitlines()[0] if text else ''}: {_kind_and_place(error)}"
        line = "".join(char if char.isprintable() else " " for char in text)[:MAX_LINE_CHARS]
        record.msg, record.args = line + counted(more), ()
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
