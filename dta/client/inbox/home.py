"""The inbox of an identity whose home this is: its contacts, the keys of its requests, and how far it has read."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dta.base.errors import BadAnswer, DtaError, NotFound, RpcError, TimedOut, Unreachable, UsageError
from dta.client.custody import keyfile
from dta.client.inbox import followed, reading
from dta.client.inbox.followed import Followed
from dta.client.inbox.items import Inbox
from dta.client.inbox.reading import Reader, Reading
from dta.client.ledger.ledger import Ledger

WATCHED_S = 600.0
"""How long :meth:`HomeInbox.watch` waits for a change at a time; who watches notices nothing of it."""
RETRY_S = 2.0
_PASSING: Final = (Unreachable, BadAnswer, RpcError, TimedOut, NotFound)
"""What passes by itself: a node that is down, starts, or has dropped the state that was being read. A lie does not."""


@dataclass
class HomeInbox:
    """``directory``: the home. ``contacts``: asked at each reading, so that one added meanwhile counts.

    What was read is kept in ``inbox/<identity>.json``; several processes may share a home: each writes what it has
    read whole, and whoever finds an older one reads the rest again. ``last``: a reading of this home and identity to
    go on from.
    """

    ledger: Ledger
    identity: bytes
    directory: Path
    contacts: Callable[[], Collection[bytes]]
    last: Reading | None = None
    _saved: Followed | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._saved = self.last.followed if self.last is not None else None

    def read(self) -> Inbox:
        """All that waits now, proved. Raises NotVerified and what reads raise; UsageError for the home's files."""
        if self.last is not None:
            before, ended = self.last.followed, self.last.ended
        else:
            before, ended = followed.load(self.directory, self.ledger.trust.gid, self.identity), {}
            self._saved = before
        return self._keep(self.ledger.rpc.run(reading.read(self.ledger.flows, self._who(), before, ended)))

    def changed(self, timeout_s: float) -> Inbox:
        """The inbox once it differs from the one that was read last, or as it is after ``timeout_s`` seconds."""
        if self.last is None:
            return self.read()
        return self._keep(self.ledger.rpc.run(reading.changed(self.ledger.flows, self._who, self.last, timeout_s)))

    def watch(
        self, seconds: float = math.inf, missed: Callable[[DtaError], None] | None = None
    ) -> Iterator[Inbox]:
        """The inbox now, and again whenever something else waits, for so many ``seconds``; by default without an end.

        ``missed`` is told why a later look failed where that may pass, and the next one comes; without ``missed`` it is
        raised. NotVerified always is: nobody is to believe that all is quiet where a node shows them less.
        """
        until_s = time.monotonic() + seconds
        shown = self.read()
        yield shown
        while (left_s := until_s - time.monotonic()) > 0:
            try:
                now = self.changed(min(WATCHED_S, left_s))
            except _PASSING as error:
                if missed is None:
                    raise
                missed(error)
                time.sleep(min(RETRY_S, left_s))
                continue
            if not now.is_as(shown):
                shown = now
                yield shown

    def _who(self) -> Reader:
        held = keyfile.to_receive(self.directory, self.identity)
        return Reader(self.identity, self.contacts(), held)

    def _keep(self, found: Reading) -> Inbox:
        self.last = found
        read, saved = found.followed, self._saved
        if saved is None or (saved.last, saved.open) != (read.last, read.open):
            # What is not kept is read again: a home that can't be written makes the next reading slower, no more.
            with suppress(UsageError):
                followed.save(self.directory, read)
            self._saved = read
        return found.inbox
