"""The inbox of an identity whose home this is: its contacts, the keys of its requests, and how far it has read."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from dta.base.errors import BadAnswer, DtaError, NotFound, RpcError, TimedOut, Unreachable, UsageError
from dta.base.place import Stamp, stamp_of
from dta.client.custody import keyfile
from dta.client.inbox import followed, reading
from dta.client.inbox.followed import Followed
from dta.client.inbox.items import Inbox
from dta.client.inbox.looks import Receipt
from dta.client.inbox.progress import Progress
from dta.client.inbox.reading import Reader, Reading
from dta.client.ledger.flow import Flow
from dta.client.ledger.ledger import Ledger

WATCHED_S = 600.0
"""How long :meth:`HomeInbox.watch` waits for a change at a time; who watches notices nothing of it."""
RETRY_S = 2.0
_PASSING: Final = (Unreachable, BadAnswer, RpcError, TimedOut, NotFound)
"""What passes by itself: a node that is down, starts, or has dropped the state that was being read. A lie does not."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process keeps from one reading of a home and identity to the next.

    ``last``: the last that came to its end. ``followed``, ``ended``, ``unsent``: how far was read, also by one that did
    not. ``file``, ``saved``: the file's stamp when it was last read or written here, and what it had then.
    """

    last: Reading | None = None
    followed: Followed | None = None
    ended: Mapping[bytes, Receipt] = field(default_factory=dict)
    unsent: Sequence[bytes] = ()
    file: Stamp | None = None
    saved: Followed | None = None


@dataclass
class HomeInbox:
    """``directory``: the home. ``contacts``: asked at each reading, so that one added meanwhile counts.

    What was read is kept in ``inbox/<identity>.json``, also of a reading that fails or is given up before its end: the
    next goes on from there. Several processes may share a home: each writes what it has read whole, and goes on from
    what another wrote where that is further. ``memory``: of a reading of this home and identity, to go on from.
    """

    ledger: Ledger
    identity: bytes
    directory: Path
    contacts: Callable[[], Collection[bytes]]
    memory: Memory = field(default_factory=Memory)

    def read(self) -> Inbox:
        """All that waits now, proved. Raises NotVerified and what reads raise; UsageError for the home's files."""
        self._go_on()
        now, flows = self.memory, self.ledger.flows
        return self._run(lambda got: reading.read(flows, self._who(), now.followed, now.ended, now.unsent, got))

    def changed(self, timeout_s: float) -> Inbox:
        """The inbox once it differs from the one that was read last, or as it is after ``timeout_s`` seconds."""
        if self.memory.last is None:
            return self.read()
        self._go_on()
        now, flows = self.memory, self.ledger.flows
        since = replace(
            self.memory.last, followed=now.followed or self.memory.last.followed, ended=now.ended, unsent=now.unsent
        )
        return self._run(lambda got: reading.changed(flows, self._who, since, timeout_s, got))

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
        return Reader(self.identity, self.contacts(), keyfile.held(self.directory, self.identity))

    def _go_on(self) -> None:
        """From the file, where somebody wrote it since it was looked at, and had read further."""
        state, now = stamp_of(followed.path_of(self.directory, self.identity)), self.memory
        if now.followed is not None and state == now.file:
            return
        found = followed.load(self.directory, self.ledger.trust.gid, self.identity)
        further = now.followed is None or found.is_further_than(now.followed)
        self.memory = replace(now, followed=found if further else now.followed, file=state, saved=found)

    def _run(self, flow: Callable[[Progress], Flow[Reading]]) -> Inbox:
        got = Progress(self._save)
        found: Reading | None = None
        try:
            found = self.ledger.rpc.run(flow(got))
        finally:  # a node that failed, a look whose time is over, a person who waits no more
            if got.is_begun:
                self._save(got.followed)
                self.memory = replace(
                    self.memory, last=found or self.memory.last, followed=got.followed, ended=got.ended,
                    unsent=tuple(got.unsent),
                )  # fmt: skip
        for request in found.over:
            keyfile.erase(self.directory, self.identity, request)
        return found.inbox

    def _save(self, read: Followed) -> None:
        """What is not kept is read again: a home that can't be written makes the next reading slower, no more."""
        saved = self.memory.saved
        if saved is not None and (saved.last, saved.open) == (read.last, read.open):
            return
        with suppress(UsageError):
            if stamp_of(followed.path_of(self.directory, self.identity)) != self.memory.file:
                other = followed.load(self.directory, self.ledger.trust.gid, self.identity)
                if other.is_further_than(read):
                    return  # the next reading goes on from there
            followed.save(self.directory, read)
        state = stamp_of(followed.path_of(self.directory, self.identity))
        self.memory = replace(self.memory, file=state, saved=read)
