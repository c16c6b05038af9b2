"""What jobs ask of the store together: each gets its own block, and pins are made at once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from abci_app.cid import cid_of
from dta.blocks.errors import BlockCorrupt, BlockMissing, StoreFull
from dta.node.agent.network import _read_all
from tests.support.memory_blocks import MemoryBlockStore

GONE = cid_of(b"gone")


@pytest.fixture
def store() -> MemoryBlockStore:
    return MemoryBlockStore()


def test_blocks_are_read_each_and_pinned_at_once(store: MemoryBlockStore, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third, bad = (store.put(block) for block in (b"1", b"2", b"3", b"4"))
    store.held[bad] = b"damaged"
    calls: list[list[str]] = []
    real = store.pin_many

    def noted(cids: Sequence[str]) -> list[str]:
        calls.append(list(cids))
        return real(cids)

    monkeypatch.setattr(store, "pin_many", noted)
    found = _read_all(store, [(first, True), (second, False), (GONE, True), (third, True), (bad, True), (first, False)])
    assert [one if isinstance(one, bytes) else type(one) for one in found] == [
        b"1", b"2", BlockMissing, b"3", BlockCorrupt, b"1",
    ]  # fmt: skip
    assert calls == [[first, third]]
    assert store.pinned == {first, third}


def test_a_block_that_was_not_pinned_is_not_given_where_a_pin_was_asked_for(
    store: MemoryBlockStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = store.put(b"1"), store.put(b"2")
    monkeypatch.setattr(store, "pin_many", lambda cids: [first])
    found = _read_all(store, [(first, True), (second, True), (first, False)])
    assert [one if isinstance(one, bytes) else type(one) for one in found] == [BlockMissing, b"2", b"1"]

    def full(cids: Sequence[str]) -> list[str]:
        raise StoreFull("here", 0)

    monkeypatch.setattr(store, "pin_many", full)
    found = _read_all(store, [(first, True), (second, False)])
    assert [one if isinstance(one, bytes) else type(one) for one in found] == [StoreFull, b"2"]
