"""What jobs ask of the store together: each gets its own block, and pins are made at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import cast

import pytest
from test_hooks_agent import node_config

from abci_app.cid import cid_of
from dta.blocks.embedded import EmbeddedStore
from dta.blocks.errors import BlockCorrupt, BlockMissing, StoreFull
from dta.node.agent import agent as agents
from dta.node.agent.agent import Agent
from dta.node.agent.network import _read_all
from dta.node.agent.pinning import PinFollower
from dta.node.hooks.errors import NotAtHead
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


class Known:
    """A follower of pins that knows what state names up to ``height``."""

    height = 7

    def knows(self, height: int) -> bool:
        return self.height >= height


@pytest.fixture
def agent(store: MemoryBlockStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    """Its ledger is not at the head, then knows less than the head's block, then all."""
    monkeypatch.setattr(agents, "KNOWN_WITHIN_S", 0.05)
    monkeypatch.setattr(agents, "LOOK_S", 0.01)
    agent, known = Agent(node_config(tmp_path)), Known()
    agent._store, agent._pins = cast(EmbeddedStore, store), cast(PinFollower, known)
    store.now_s = lambda: 0.0
    heights: list[int | Exception] = [NotAtHead("it catches up"), 8, 7]

    def read() -> int:
        height = heights.pop(0)
        if isinstance(height, Exception):
            raise height
        return height

    monkeypatch.setattr(agent, "_read_height_at_head", read)
    return agent


def delete_three_times(store: MemoryBlockStore, delete: Callable[[], Coroutine[None, None, None]]) -> None:
    """Not at the head, then not all known, then both: one goes then."""
    for left in (3, 3, 2):
        asyncio.run(delete())
        assert len(store.held) == left


def test_what_was_let_go_is_deleted_at_the_head_alone_once_all_is_known_and_only_what_nothing_names(
    store: MemoryBlockStore, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that replays lets go of what later blocks name: deleted, it would be gone where no other has it."""
    named, closed, uploaded = (store.put(block) for block in (b"1", b"2", b"3"))
    store.unpin(named)
    store.unpin(closed)
    monkeypatch.setattr(agent._wanted, "wants", lambda cid: cid == named)
    delete_three_times(store, agent._delete_let_go)
    assert sorted(store.held) == sorted([named, uploaded])


def test_uploads_are_deleted_at_the_head_alone_once_all_is_known_and_only_what_nothing_names(
    store: MemoryBlockStore, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that was down for a day deleted, as it began to replay, all uploads that later blocks name."""
    named, let_go, _ = (store.put(block) for block in (b"1", b"2", b"3"))
    store.unpin(let_go)
    monkeypatch.setattr(agent._wanted, "wants", lambda cid: cid == named)
    delete_three_times(store, agent._delete_unpinned)
    assert sorted(store.held) == sorted([named, let_go])
