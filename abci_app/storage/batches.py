"""The running number of committed batches, by which a store that lost one in the middle is known when it opens.

LevelDB takes the tables that its MANIFEST names and replays the logs from a number on that MANIFEST says. A MANIFEST
that lost its end, or an older one, opens without complaint: the batches in tables that it does not know of are gone,
those of the newest log are there, and so is the newest head. So each batch leaves an entry that names its height and
links to the entry before. They are kept as long as a batch may be lost so, and all that are kept are looked at when
the state opens: docs/adr/0021-a-hole-in-the-history.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from abci_app.hashing import u64
from abci_app.storage.kv import KvReader, KvStore, StoreCorrupt

BATCHES = b"b"
# An entry: bytes written up to and with its batch (8), SHA-256 of the entry before (32), app hash (32).
_LINK, _ROOT, _ENTRY_BYTES = 8, 40, 72
_ROW_BYTES = 9 + _ENTRY_BYTES
# So many of the store's buffers must be written after a batch before its entry leaves. Two are in logs, and four more
# may be in tables that no merge has taken yet: what a merge took is missing by name when the store opens.
# Not bounded by count: a log holds 400,000 batches of blocks with nothing in them, and any of them may be its first.
KEPT_BUFFERS = 8
# A batch adds one entry. When large ones follow many small ones, several leave at once.
_MAX_LEAVING = 4

Rows = list[tuple[bytes, bytes | None]]


@dataclass(frozen=True, slots=True)
class Batches:
    """The entries of the heights ``oldest`` to ``height`` (0: none): bytes written so far, SHA-256 of the last one."""

    height: int
    oldest: int
    written_bytes: int
    last: bytes


NO_BATCHES = Batches(0, 0, 0, bytes(32))


def read_batches(kv: KvReader, height: int, oldest: int, app_hash: bytes) -> Batches:
    """The entries of a store whose head says ``height``, ``oldest`` and ``app_hash``.

    Raises StoreCorrupt where one is missing, does not follow from the one before, or has another app hash.
    """
    if not height:
        return NO_BATCHES
    expected, link, value = oldest, None, b""
    for key, value in kv.scan(BATCHES, BATCHES + u64(oldest - 1)):
        found = int.from_bytes(key[1:], "big")
        if found != expected:
            raise StoreCorrupt(f"the batches of the blocks {expected} to {found - 1} are missing; the head is {height}")
        if len(value) != _ENTRY_BYTES or link not in (None, value[_LINK:_ROOT]):
            raise StoreCorrupt(f"the batch of block {found} does not follow the one before it")
        link = sha256(value).digest()
        expected += 1
    if expected != height + 1:
        raise StoreCorrupt(f"the last batch is that of block {expected - 1}; the head is {height}")
    if value[_ROOT:] != app_hash:
        raise StoreCorrupt(f"the batch of block {height} has another app hash than the head")
    return Batches(height, oldest, int.from_bytes(value[:_LINK], "big"), sha256(value).digest())


def next_batch(kv: KvStore, before: Batches, height: int, app_hash: bytes, size_bytes: int) -> tuple[Rows, Batches]:
    """What a batch of ``size_bytes`` for block ``height`` adds to and takes from the entries, and what they are then.

    ``size_bytes``: of its keys and values, without what is added here. A log takes one batch more than its buffer
    holds, so a batch counts as one buffer at most.
    """
    written_bytes = before.written_bytes + min(size_bytes + _ROW_BYTES, kv.buffer_bytes)
    entry = written_bytes.to_bytes(8, "big") + before.last + app_hash
    rows: Rows = [(BATCHES + u64(height), entry)]
    oldest = before.oldest or height
    for _ in range(_MAX_LEAVING):
        if oldest == height:
            break
        stored = kv.get(BATCHES + u64(oldest))
        if stored is None:
            raise StoreCorrupt(f"the batch of block {oldest} is missing; the head is {before.height}")
        if written_bytes - int.from_bytes(stored[:_LINK], "big") <= KEPT_BUFFERS * kv.buffer_bytes:
            break
        rows.append((BATCHES + u64(oldest), None))
        oldest += 1
    return rows, Batches(height, oldest, written_bytes, sha256(entry).digest())
