"""Replay protection: which bodies were included, kept until they expire (docs/spec/transactions.md).

The keys themselves are an index; one leaf for each expiry height holds their count and running hash.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Final

from abci_app.hashing import tagged_hash, u64
from abci_app.state.indexes import FORGOTTEN, SEEN
from abci_app.state.overlay import Overlay
from abci_app.state.records import SEEN_BUCKETS

FORGET_MOST: Final = 20_000  # more than a block's cost lets in by default, so that forgetting keeps up


def consume(state: Overlay, expires_at_height: int, replay_key: bytes) -> None:
    """Mark the body as included, whatever becomes of it."""
    before = SEEN_BUCKETS.find(state, expires_at_height)
    count = int.from_bytes(before[:8], "big") if before is not None else 0
    running = before[8:] if before is not None else bytes(32)
    SEEN.put(state, expires_at_height, replay_key, value=u64(count))
    after = u64(count + 1) + tagged_hash("DTA-v1-seen", running, replay_key)
    SEEN_BUCKETS.put(state, after, expires_at_height)


def forget_expired(state: Overlay, height: int) -> None:
    """At the end of its height a bucket goes: its bodies can't be included any more.

    Its keys, which nobody asks for from then on, go at most ``FORGET_MOST`` a block: else one block would pay for all
    that somebody made expire at one height. They are looked for from the last that went, which is noted: what was
    deleted stays in LevelDB's way until it compacts, and nothing comes in before, for what expired is refused.
    """
    if SEEN_BUCKETS.exists(state, height):
        SEEN_BUCKETS.delete(state, height)
    end = SEEN.under(height + 1)
    gone = FORGOTTEN.find(state)
    after = SEEN.prefix + gone if gone is not None else b""
    old = [
        key for key, _ in takewhile(lambda entry: entry[0] < end, state.index_scan(SEEN.prefix, after, FORGET_MOST))
    ]
    for key in old:
        state.index_delete(key)
    if old:
        FORGOTTEN.put(state, value=old[-1].removeprefix(SEEN.prefix))
