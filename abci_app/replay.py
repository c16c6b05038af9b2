"""Replay protection: which bodies were included, kept until they expire (ledger.md, Transactions).

The keys themselves are an index; one leaf for each expiry height holds their count and running hash.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Final

from abci_app.hashing import tagged_hash, u64
from abci_app.state import keys
from abci_app.state.overlay import Overlay

FORGET_MOST: Final = 20_000  # more than a block's cost lets in by default, so that forgetting keeps up


def consume(state: Overlay, expires_at_height: int, replay_key: bytes) -> None:
    """Mark the body as included, whatever becomes of it."""
    bucket = keys.seen_bucket(expires_at_height)
    before = state.get(bucket)
    count = int.from_bytes(before[:8], "big") if before is not None else 0
    running = before[8:] if before is not None else bytes(32)
    state.index_put(keys.seen(expires_at_height, replay_key), u64(count))
    state.put(bucket, u64(count + 1) + tagged_hash("DTA-v1-seen", running, replay_key))


def forget_expired(state: Overlay, height: int) -> None:
    """At the end of its height a bucket goes: its bodies can't be included any more.

    Its keys, which nobody asks for from then on, go at most ``FORGET_MOST`` a block: else one block would pay for all
    that somebody made expire at one height.
    """
    bucket = keys.seen_bucket(height)
    if state.get(bucket) is not None:
        state.delete(bucket)
    end = keys.seen(height + 1, b"")
    old = [key for key, _ in takewhile(lambda entry: entry[0] < end, state.index_scan(keys.SEEN, limit=FORGET_MOST))]
    for key in old:
        state.index_delete(key)
