"""Replay protection: which bodies were included, kept until they expire (ledger.md, Transactions).

The keys themselves are an index; one leaf for each expiry height holds their count and running hash.
"""

from __future__ import annotations

from abci_app.hashing import tagged_hash, u64
from abci_app.state import keys
from abci_app.state.overlay import Overlay


def consume(state: Overlay, expires_at_height: int, replay_key: bytes) -> None:
    """Mark the body as included, whatever becomes of it."""
    bucket = keys.seen_bucket(expires_at_height)
    before = state.get(bucket)
    count = int.from_bytes(before[:8], "big") if before is not None else 0
    running = before[8:] if before is not None else bytes(32)
    state.index_put(keys.seen(expires_at_height, replay_key), u64(count))
    state.put(bucket, u64(count + 1) + tagged_hash("DTA-v1-seen", running, replay_key))


def forget_expired(state: Overlay, height: int) -> None:
    """At the end of its height a bucket goes: its bodies can't be included any more."""
    bucket = keys.seen_bucket(height)
    if state.get(bucket) is None:
        return
    state.delete(bucket)
    for key, _ in list(state.index_scan(keys.SEEN + u64(height))):
        state.index_delete(key)
