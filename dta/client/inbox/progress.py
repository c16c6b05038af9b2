"""How far a reading has come, entry by entry: what is kept of one that is cut before its end.

An entry is proved by itself, and so is what its record says: that a reading did not end takes nothing from what it has
read so far. Only the inbox itself, of which nothing is left out, is there at the end alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from dta.client.inbox.followed import Followed, OpenEntry
from dta.client.inbox.looks import Receipt
from dta.client.ledger.concerns import Concern

KEEP_EVERY: Final = 1_000
"""So many entries and records are read, then what was read is kept: a process may be killed."""


def _forget(_: Followed) -> None:
    pass


class Progress:
    """What a reading has read. Of its entries those that are not over, by their numbers, ascending.

    ``keep`` is given it after every :data:`KEEP_EVERY` steps. ``ended``, ``unsent``: as of
    :class:`dta.client.inbox.reading.Reading`.
    """

    def __init__(self, keep: Callable[[Followed], None] = _forget) -> None:
        self._keep = keep
        self._steps = 0
        self._read: Followed | None = None
        self._open: dict[int, OpenEntry] = {}
        self.ended: dict[bytes, Receipt] = {}
        self.unsent: dict[bytes, None] = {}

    def begin(self, read: Followed, ended: Mapping[bytes, Receipt], unsent: Sequence[bytes]) -> None:
        """Goes on from what was read before."""
        self._read = replace(read, open=())
        self._open = {one.entry.number: one for one in read.open}
        self.ended = dict(ended)
        self.unsent = dict.fromkeys(unsent)

    def listed(self, entry: Concern, height: int, *, may_wait: bool) -> None:
        """The next entry of the list was read, as it is at ``height``."""
        read = self._begun()
        self._read = replace(read, last=entry.number, height=max(read.height, height))
        if may_wait:
            self._open[entry.number] = OpenEntry(entry)
        self._went()

    def looked(self, one: OpenEntry, *, is_over: bool, height: int) -> None:
        """An entry's record was looked at, as it is at ``height``."""
        read = self._begun()
        self._read = replace(read, height=max(read.height, height))
        if is_over:
            self._open.pop(one.entry.number, None)
        else:
            self._open[one.entry.number] = one
        self._went()

    @property
    def open(self) -> tuple[OpenEntry, ...]:
        """The entries that are not over, the oldest first."""
        return tuple(self._open.values())

    @property
    def is_begun(self) -> bool:
        """Whether there is anything to be kept of it."""
        return self._read is not None

    @property
    def followed(self) -> Followed:
        """How far it has come, once it has begun."""
        return replace(self._begun(), open=self.open)

    def _begun(self) -> Followed:
        assert self._read is not None, "begin comes first"
        return self._read

    def _went(self) -> None:
        self._steps += 1
        if self._steps >= KEEP_EVERY:
            self._steps = 0
            self._keep(self.followed)
