"""A token's sessions in this process: each is used by one thread at a time, or all of them by one that is alone.

Nothing here calls a module. Who is alone waits until every session is back, and nobody takes one meanwhile: so what
changes keys, sessions or the login is never beside a use.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False)
class Pooled:
    """One session. ``handle``: python-pkcs11's, None while it is being opened; ``keys``: those remembered in it."""

    handle: Any = None
    keys: dict[str, Any] = field(default_factory=dict)
    is_broken: bool = False
    learnt: int = 0


class Pool:
    """Up to ``most`` sessions, none at first.

    ``sessions`` are those that are open, ``retired`` those that broke and are to be closed: by who is :meth:`alone`.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.sessions: list[Pooled] = []
        self.retired: list[Pooled] = []
        self._free: list[Pooled] = []
        self._turn = threading.Condition()
        self._is_alone = False
        self._waiting = 0
        self._forgotten = 0

    @contextlib.contextmanager
    def one(self, opened: Callable[[], Any | None]) -> Iterator[Pooled | None]:
        """A session for this thread, the one that was used last where several are free.

        Where none is free and fewer than ``most`` are open, one more is opened by ``opened``, which answers None where
        that can't be: then what is there has to do. None: no session is open, and a login takes who is alone.
        """
        pooled = self._taken(opened)
        try:
            yield pooled
        finally:
            if pooled is not None:
                with self._turn:
                    if pooled.is_broken:
                        self.sessions.remove(pooled)
                        self.retired.append(pooled)
                    else:
                        self._free.append(pooled)
                    self._turn.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else uses a session meanwhile. Not to be entered inside :meth:`one`."""
        with self._turn:
            self._waiting += 1
            try:
                self._turn.wait_for(lambda: not self._is_alone and len(self._free) == len(self.sessions))
                self._is_alone = True
            finally:
                self._waiting -= 1
        try:
            yield
        finally:
            with self._turn:
                self._free = list(self.sessions)
                self._is_alone = False
                self._turn.notify_all()

    def forget(self) -> None:
        """No session remembers a key any more, from the next time on that it is taken."""
        with self._turn:
            self._forgotten += 1

    def recalled(self, pooled: Pooled) -> Pooled:
        """``pooled``, without what it remembers where that was to be forgotten since."""
        if pooled.learnt != self._forgotten:
            pooled.keys.clear()
            pooled.learnt = self._forgotten
        return pooled

    def _taken(self, opened: Callable[[], Any | None]) -> Pooled | None:
        while True:
            with self._turn:
                self._turn.wait_for(self._is_takeable)
                if not self.sessions:
                    return None
                if self._free:
                    return self.recalled(self._free.pop())
                pooled = Pooled(learnt=self._forgotten)
                self.sessions.append(pooled)
            try:
                pooled.handle = opened()
            finally:
                if pooled.handle is None:
                    with self._turn:
                        self.sessions.remove(pooled)
                        self.most = min(self.most, max(1, len(self.sessions)))
                        self._turn.notify_all()
            if pooled.handle is not None:
                return pooled

    def _is_takeable(self) -> bool:
        if self._is_alone or self._waiting:
            return False
        return not self.sessions or bool(self._free) or len(self.sessions) + len(self.retired) < self.most
