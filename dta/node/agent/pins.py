"""Which blocks a node keeps: a function of committed state (docs/spec/blocks.md, Pins follow state)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from abci_app.cid import cid_of_digest, digest_of
from abci_app.hashing import HASH_BYTES
from abci_app.pb.dta.v1 import statesocket_pb2 as pb
from abci_app.state.collection import Index
from abci_app.state.indexes import NAMES_NO_BLOCK, OPEN_REQUESTS, VAULT_ORDERS
from abci_app.state.records import FIDUCIARIES, IDENTITIES, ORDERS, REQUESTS
from abci_app.state.view import StateView
from dta.node.agent.reads import read_ahead

INDEX_PREFIXES: Final = (VAULT_ORDERS.prefix, OPEN_REQUESTS.prefix)
LEAF_PREFIXES: Final = (IDENTITIES.prefix,)
"""What it follows."""


READ_AT_ONCE: Final = 256


def _envelopes(view: StateView, orders: Sequence[bytes]) -> list[str]:
    read_ahead(view, map(ORDERS.key, orders))
    records = [ORDERS.find(view, order) for order in orders]
    return ["" if record is None else record.envelope_cid for record in records]


def _keys(view: StateView, requests: Sequence[bytes]) -> list[str]:
    read_ahead(view, map(REQUESTS.key, requests))
    records = [REQUESTS.find(view, request) for request in requests]
    return ["" if record is None else record.keys_cid for record in records]


_OPEN: Final[tuple[tuple[Index[bytes, bytes], Callable[[StateView, Sequence[bytes]], list[str]]], ...]] = (
    (VAULT_ORDERS, _envelopes), (OPEN_REQUESTS, _keys),
)  # fmt: skip


@dataclass(slots=True)
class Named:
    """What names which block: identities, open orders, open requests, by id; digests in place of CIDs."""

    documents: dict[bytes, bytes] = field(default_factory=dict)
    blocks: dict[bytes, bytes] = field(default_factory=dict)


class WantedPins:
    """Every identity's document, every open order's envelope, every open request's keys: read once, then told.

    Every node keeps all of them, whomever they name: what one loses it fetches from any other. What an order or a
    request names never changes, and its index entry says it, so no record is read but for what opened and is gone
    again, or is of an earlier version. Remembered are its id, its block's digest and how many name that: 240 MB for a
    million of them. A change costs as much as it changes.
    """

    def __init__(self) -> None:
        self._named = Named()
        self._count: dict[bytes, int] = {}
        self._identity: dict[bytes, bytes] = {}

    @property
    def count(self) -> int:
        """How many blocks are wanted."""
        return len(self._count)

    def wants(self, cid: str) -> bool:
        """Whether it is one of them."""
        return digest_of(cid) in self._count

    def cids(self) -> list[str]:
        """All of them."""
        return [cid_of_digest(digest) for digest in list(self._count)]

    def identity_of(self, cid: str) -> bytes | None:
        """Whose document it is; None where it is none."""
        return self._identity.get(digest_of(cid))

    def read(self, view: StateView, pause: Callable[[float], object] = time.sleep) -> Named:
        """All that state names now, for :meth:`replace`. In a thread: what was read before is not read again.

        Records are read in pages, and after each there is a ``pause`` of as many seconds as it took: the application
        answers on the loop on which it serves CometBFT.
        """
        found = Named()
        for record in IDENTITIES.all(view):
            if record.document_cid:
                found.documents[record.id] = digest_of(record.document_cid)
        known = self._named.blocks
        for index, cids_of in _OPEN:
            entries = ((subject, value) for (_, subject), value in index.items(view))
            while page := list(islice(entries, READ_AT_ONCE)):
                began_s = time.monotonic()
                said = {subject: known.get(subject) or _said(value) for subject, value in page}
                unsaid = [subject for subject, digest in said.items() if digest is None]
                said.update(zip(unsaid, map(_digest, cids_of(view, unsaid)), strict=True))
                found.blocks.update((subject, digest) for subject, digest in said.items() if digest)
                pause(time.monotonic() - began_s)
        return found

    def replace(self, found: Named) -> None:
        """From now on it is this."""
        count: dict[bytes, int] = {}
        for named in (found.documents, found.blocks):
            for digest in named.values():
                count[digest] = count.get(digest, 0) + 1
        self._named, self._count = found, count
        self._identity = {digest: identity for identity, digest in found.documents.items()}

    def read_new(self, view: StateView, changed: pb.StateChanged) -> dict[bytes, bytes]:
        """What the orders and requests name that opened and of which no entry says it any more, for :meth:`take`.

        In a thread.
        """
        found: dict[bytes, bytes] = {}
        unsaid = [(index, index.split(key)[1]) for index, key, value in _open_or_not(changed) if _said(value) is None]
        for index, cids_of in _OPEN:
            new = iter([subject for one, subject in unsaid if one is index and subject not in self._named.blocks])
            while page := list(islice(new, READ_AT_ONCE)):
                found.update(zip(page, map(_digest, cids_of(view, page)), strict=True))
        return found

    def take(self, changed: pb.StateChanged, opened: dict[bytes, bytes]) -> list[str]:
        """What is wanted from now on, or is not any more, because of these changes.

        Some are wanted no more than before: they were named and let go again within them.
        """
        touched: dict[bytes, None] = {}
        for one in changed.leaves:
            (identity,) = IDENTITIES.split(one.key)
            cid = IDENTITIES.parse(one.value).document_cid if one.HasField("value") else ""
            self._name(self._named.documents, identity, _digest(cid), touched)
        for index, key, value in _open_or_not(changed):
            subject = index.split(key)[1]
            digest = self._named.blocks.get(subject) or _said(value) or opened.get(subject, b"")
            self._name(self._named.blocks, subject, digest if value else b"", touched)
            if digest and digest not in self._count:
                touched[digest] = None
        return [cid_of_digest(digest) for digest in touched]

    def _name(self, named: dict[bytes, bytes], subject: bytes, digest: bytes, touched: dict[bytes, None]) -> None:
        before = named.pop(subject, b"")
        if digest:
            named[subject] = digest
        if digest == before:
            return
        if before:
            self._count[before] -= 1
            if not self._count[before]:
                del self._count[before]
                self._identity.pop(before, None)
                touched[before] = None
        if digest:
            self._count[digest] = self._count.get(digest, 0) + 1
            touched[digest] = None
            if named is self._named.documents:
                self._identity[digest] = subject


def _digest(cid: str) -> bytes:
    """A signing order has no envelope, and a request with a transport key no envelope of keys."""
    return digest_of(cid) if cid else b""


def _said(value: bytes) -> bytes | None:
    """The digest that an index entry says is named, empty where it says that none is; None where it does not say.

    That is an entry that is gone, or that an earlier version wrote: the record says it.
    """
    if len(value) == HASH_BYTES:
        return value
    return b"" if value == NAMES_NO_BLOCK else None


def _open_or_not(changed: pb.StateChanged) -> Iterator[tuple[Index[bytes, bytes], bytes, bytes]]:
    """Each entry that came or went: its index, its key, and its value, empty where it went."""
    for one in changed.index:
        for index, _ in _OPEN:
            if index.holds(one.key):
                yield index, one.key, one.value


def peer_gateways(view: StateView, myself: bytes) -> list[str]:
    """The base URLs of every other fiduciary's gateways, as their identities say."""
    found = []
    for fiduciary in FIDUCIARIES.all(view):
        if fiduciary.id != myself:
            found += list(IDENTITIES.get(view, fiduciary.id).gateways)
    return found
