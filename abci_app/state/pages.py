"""Pages: stored nodes that hold a whole small subtree, and its hash (docs/spec/state-tree.md).

Stored, a page is its entries, sorted by key hash. In memory it is *packed*: the entries, then for each two neighbours
the depth at which they part (1 byte), then for each of those the hash of the inner node at which they part (32). The
parting depths are a Cartesian tree: the least of them in a range is where the subtree of that range divides. So a
changed leaf costs the hashes above it and not those of the whole page.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from abci_app.state.nodes import EMPTY_HASH, ENTRY_BYTES, HASH_BYTES, INNER_TAG, Ref, TreeCorrupt

KEY_BITS = 256
_LEAF_HASH = ENTRY_BYTES - HASH_BYTES  # where the leaf hash begins in an entry


def page_entries(page: bytes, ref: Ref) -> list[bytes]:
    """The entries of a page, stored or packed. Raises TreeCorrupt unless there are as many as ``ref`` says."""
    count = ref[0]
    if len(page) not in (count * ENTRY_BYTES, _packed_bytes(count)):
        raise TreeCorrupt(f"a page of {count} leaves has {len(page)} bytes")
    return [page[at : at + ENTRY_BYTES] for at in range(0, count * ENTRY_BYTES, ENTRY_BYTES)]


def find_entry(page: bytes, count: int, key_hash: bytes) -> int:
    """The index of the entry of ``key_hash`` in a page of ``count`` leaves, or -1."""
    at = page.find(key_hash, 0, count * ENTRY_BYTES)
    while at >= 0 and at % ENTRY_BYTES:
        at = page.find(key_hash, at + 1, count * ENTRY_BYTES)
    return at // ENTRY_BYTES


def entry_at(page: bytes, index: int) -> bytes:
    """Entry ``index`` of a page."""
    return page[index * ENTRY_BYTES : (index + 1) * ENTRY_BYTES]


def stored_page(packed: bytes) -> bytes:
    """The part of a packed page that the store keeps."""
    count = (len(packed) + 1 + HASH_BYTES) // (ENTRY_BYTES + 1 + HASH_BYTES)
    return packed[: count * ENTRY_BYTES]


def _packed_bytes(count: int) -> int:
    return count * ENTRY_BYTES + (count - 1) * (1 + HASH_BYTES)


def pack_page(entries: Sequence[bytes], depth_bits: int) -> tuple[bytes, bytes]:
    """A page at ``depth_bits`` over ``entries`` (sorted by key hash, not empty), packed, and the hash of its subtree.

    One pass over neighbours: a part of the Cartesian tree is closed as soon as a lesser parting depth comes up.
    """
    first = entries[0]
    if len(entries) == 1:
        return first, first[_LEAF_HASH:]
    from_bytes = int.from_bytes
    previous = from_bytes(first[:HASH_BYTES], "big")
    # Each item on the stack: its hash, the depth at which that hash sits (0 for a leaf, which floats), a key of it.
    hashes, tops, keys = [first[_LEAF_HASH:]], [0], [previous]
    open_splits: list[int] = []
    splits = bytearray()
    inner = [b""] * (len(entries) - 1)
    for index in range(1, len(entries) + 1):
        if index < len(entries):
            key = from_bytes(entries[index][:HASH_BYTES], "big")
            split = KEY_BITS - (key ^ previous).bit_length()
            splits.append(split)
            previous = key
        else:
            split = -1
        while open_splits and splits[open_splits[-1]] > split:
            closing = open_splits.pop()
            meet = splits[closing]
            right, left = hashes.pop(), hashes.pop()
            top_right, top_left = tops.pop(), tops.pop()
            if top_right > meet + 1:
                right = _lift(right, keys[-1], top_right, meet + 1)
            if top_left > meet + 1:
                left = _lift(left, keys[-2], top_left, meet + 1)
            keys.pop()
            value = sha256(INNER_TAG + left + right).digest()
            inner[closing] = value
            hashes.append(value)
            tops.append(meet)
        if split >= 0:
            open_splits.append(index - 1)
            hashes.append(entries[index][_LEAF_HASH:])
            tops.append(0)
            keys.append(key)
    packed = b"".join((*entries, splits, *inner))
    return packed, _lift(hashes[0], keys[0], tops[0], depth_bits)


def with_entry(packed: bytes, count: int, index: int, entry: bytes, depth_bits: int) -> tuple[bytes, bytes]:
    """A packed page of ``count`` leaves with entry ``index`` replaced by one of the same key, and its hash."""
    if count == 1:
        return entry, entry[_LEAF_HASH:]
    page = bytearray(packed)
    page[index * ENTRY_BYTES : (index + 1) * ENTRY_BYTES] = entry
    at_inner = count * ENTRY_BYTES + count - 1
    splits = packed[count * ENTRY_BYTES : at_inner]
    last = count - 1
    low = high = index
    value, top = entry[_LEAF_HASH:], 0
    while low or high < last:
        # The deeper of the two partings beside this range is where it meets its sibling, the range up to the next
        # parting that is not deeper still.
        before = splits[low - 1] if low else -1
        after = splits[high] if high < last else -1
        if after > before:
            meet, own = after, high
            start = high = high + 1
            while high < last and splits[high] > meet:
                high += 1
            beside = _range_hash(page, splits, at_inner, start, high, meet + 1)
            if top > meet + 1:
                value = _lift(value, _key(entry), top, meet + 1)
            value = sha256(INNER_TAG + value + beside).digest()
        else:
            meet, own = before, low - 1
            stop = low = low - 1
            while low and splits[low - 1] > meet:
                low -= 1
            beside = _range_hash(page, splits, at_inner, low, stop, meet + 1)
            if top > meet + 1:
                value = _lift(value, _key(entry), top, meet + 1)
            value = sha256(INNER_TAG + beside + value).digest()
        page[at_inner + own * HASH_BYTES : at_inner + (own + 1) * HASH_BYTES] = value
        top = meet
    if top > depth_bits:
        value = _lift(value, _key(entry), top, depth_bits)
    return bytes(page), value


def _range_hash(page: bytearray, splits: bytes, at_inner: int, low: int, high: int, depth_bits: int) -> bytes:
    """The hash at ``depth_bits`` of the subtree of entries ``low`` to ``high`` of a packed page."""
    if low == high:
        return bytes(page[low * ENTRY_BYTES + _LEAF_HASH : (low + 1) * ENTRY_BYTES])
    top = min(splits[low:high])
    at = at_inner + splits.index(top, low) * HASH_BYTES
    value = bytes(page[at : at + HASH_BYTES])
    if top == depth_bits:
        return value
    return _lift(value, _key(page[low * ENTRY_BYTES : (low + 1) * ENTRY_BYTES]), top, depth_bits)


def _key(entry: bytes | bytearray) -> int:
    return int.from_bytes(entry[:HASH_BYTES], "big")


def _lift(value: bytes, key: int, top: int, depth_bits: int) -> bytes:
    """The hash at ``depth_bits`` over a subtree whose hash at ``top`` is ``value``: empty siblings in between."""
    for bit in range(top - 1, depth_bits - 1, -1):
        if key >> (KEY_BITS - 1 - bit) & 1:
            value = sha256(INNER_TAG + EMPTY_HASH + value).digest()
        else:
            value = sha256(INNER_TAG + value + EMPTY_HASH).digest()
    return value


def page_steps(entries: Sequence[bytes], index: int, depth_bits: int) -> list[tuple[int, bytes]]:
    """The (bit, sibling hash) pairs from the root of a page at ``depth_bits`` down to entry ``index``."""
    steps: list[tuple[int, bytes]] = []
    low, high, depth = 0, len(entries), depth_bits
    while high - low > 1:
        byte, mask = depth >> 3, 128 >> (depth & 7)
        middle = low
        while middle < high and not entries[middle][byte] & mask:
            middle += 1
        depth += 1
        if index < middle:
            beside = entries[middle:high]
            high = middle
        else:
            beside = entries[low:middle]
            low = middle
        steps.append((int(index >= middle), pack_page(beside, depth)[1] if beside else EMPTY_HASH))
    return steps
