"""What is read of one committed state, kept for as long as it is the newest: every job at its height reads the same.

A value is kept with the height and the root that it was read at, and is given to nobody who pinned another one. What
was proved under a root is proved for as long as that is the root; what is due is asked for at each pin's height too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

from abci_app.state.view import StateView
from dta.node.agent.kept import Found, asked, keep
from dta.node.agent.proving import ProvenView, ProvesMany


class ReadsAhead(Protocol):
    """A source that answers many questions at once."""

    def get_all(self, leaves: Iterable[bytes], index: Iterable[bytes]) -> tuple[Found, Found]:
        """The leaves and the index entries at these keys, each None where there is none."""


class Source(ProvesMany, ReadsAhead, Protocol):
    """What a pinned connection is."""


class Reads:
    """What was read (``leaves``, ``index``) and proved (``proved``) of the state at ``height`` with ``root``.

    For several threads at once: each read and write is one step of a dictionary, and two that ask for the same are
    answered the same.
    """

    __slots__ = ("height", "index", "leaves", "proved", "root")

    def __init__(self, height: int, root: bytes) -> None:
        self.height: Final = height
        self.root: Final = root
        self.leaves: Found = {}
        self.index: Found = {}
        self.proved: Found = {}

    def is_of(self, height: int, root: bytes) -> bool:
        """Whether it is of this state."""
        return self.height == height and self.root == root


class SharedView:
    """A StateView over a pinned connection that asks for nothing twice. Scans are asked each time."""

    def __init__(self, source: Source, reads: Reads) -> None:
        self._source = source
        self._reads = reads

    def get(self, key: bytes) -> bytes | None:
        """See :class:`abci_app.state.view.StateView`."""
        return asked(self._reads.leaves, key, self._source.get)

    def index_get(self, key: bytes) -> bytes | None:
        """See :class:`abci_app.state.view.StateView`."""
        return asked(self._reads.index, key, self._source.index_get)

    def read_ahead(self, leaves: Iterable[bytes] = (), index: Iterable[bytes] = ()) -> None:
        """Ask for what is not known of these keys, all at once."""
        wanted = [key for key in leaves if key not in self._reads.leaves]
        entries = [key for key in index if key not in self._reads.index]
        if wanted or entries:
            found, found_entries = self._source.get_all(wanted, entries)
            keep(self._reads.leaves, found)
            keep(self._reads.index, found_entries)

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """See :class:`abci_app.state.view.StateView`."""
        return self._source.scan(prefix, after, limit)

    def index_scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """See :class:`abci_app.state.view.StateView`."""
        return self._source.index_scan(prefix, after, limit)

    def prove(self, key: bytes) -> tuple[bytes | None, bytes]:
        """See :class:`dta.node.agent.proving.Prover`."""
        return self._source.prove(key)

    def prove_all(self, keys: Sequence[bytes]) -> list[tuple[bytes | None, bytes]]:
        """See :class:`dta.node.agent.proving.ProvesMany`."""
        return self._source.prove_all(keys)


def read_ahead(view: StateView, leaves: Iterable[bytes] = (), index: Iterable[bytes] = ()) -> None:
    """Have ``view`` ask for all of these at once, where it can; another one is asked for each as it is read."""
    if isinstance(view, SharedView):
        view.read_ahead(leaves, index)


def prove_ahead(view: StateView, leaves: Iterable[bytes]) -> None:
    """Have ``view`` prove all of these at once, where it can; another one proves each as it is read."""
    if isinstance(view, ProvenView):
        view.prove_ahead(leaves)
