"""Queues begin where their first entry is: what came and went before it is in nobody's way, and nothing is missed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abci_app.pb.dta.v1 import custody_pb2
from abci_app.state.collection import Queue, Table, at
from abci_app.state.deadlines import DeadlineKind
from abci_app.state.indexes import DEADLINE_HEIGHT, DEADLINE_TIME, QUEUES, UNSIGNED, VETO_WINDOWS
from abci_app.state.memory_view import MemoryView
from abci_app.state.overlay import Overlay
from tests.support.actors import seeded
from tests.support.uncompacted import Uncompacted

TTL = 1_000
STAGE = int(custody_pb2.RELEASE_STAGE_VETO_TIME)


def parts_of(queue: Queue[*tuple[Any, ...]], number: int, name: int) -> tuple[Any, ...]:
    return {
        DEADLINE_TIME: (number, DeadlineKind.REQUEST, seeded("subject", name)),
        DEADLINE_HEIGHT: (number, DeadlineKind.VAULT, seeded("subject", name)),
        UNSIGNED: (number, seeded("subject", name)),
        VETO_WINDOWS: (STAGE, number, seeded("subject", name)),
    }[queue]


def leading_of(queue: Queue[*tuple[Any, ...]]) -> tuple[int, ...]:
    return (STAGE,) if queue is VETO_WINDOWS else ()


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.prefix.decode())
def test_what_is_settled_before_its_time_is_not_stepped_over_by_each_block(
    queue: Queue[*tuple[Any, ...]],
) -> None:
    """As of releases: each puts a deadline that is far away, and takes it back a few blocks later."""
    view, leading, most = Uncompacted(), leading_of(queue), 0
    state = Overlay(view)
    queue.put(state, *parts_of(queue, 10 * TTL, 0))
    view.apply(state.changes())
    for height in range(1, 3 * TTL // 10):
        view.stepped_over = 0
        state = Overlay(view)
        assert queue.due(state, height, height, *leading, limit=50) == []
        queue.put(state, *parts_of(queue, height + TTL, height))
        if height > 5:
            queue.delete(state, *parts_of(queue, height - 5 + TTL, height - 5))
        view.apply(state.changes())
        most = max(most, view.stepped_over)
    assert len(view.deleted) > 290
    assert most == 0


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.prefix.decode())
def test_what_was_taken_is_stepped_over_once(queue: Queue[*tuple[Any, ...]]) -> None:
    """A flood that is due at one moment: each block goes on where the one before it stopped."""
    view, leading = Uncompacted(), leading_of(queue)
    state = Overlay(view)
    for name in range(200):
        queue.put(state, *parts_of(queue, 7, name))
    view.apply(state.changes())
    taken: list[tuple[Any, ...]] = []
    for height in range(7, 40):
        view.stepped_over = 0
        state = Overlay(view)
        found = queue.due(state, height, height, *leading, limit=10)
        assert len(found) == (10 if height < 27 else 0)
        for one in found:
            queue.delete(state, *one)
        taken += found
        view.apply(state.changes())
        assert view.stepped_over <= 10
    assert taken == sorted(parts_of(queue, 7, name) for name in range(200))


def test_a_note_that_the_block_before_did_not_write_counts_for_nothing() -> None:
    """A program of before there were notes ran for a while, and put what is due before all that was known."""
    view = MemoryView()
    state = Overlay(view)
    DEADLINE_TIME.put(state, 900, 1, seeded("subject", 1))
    assert DEADLINE_TIME.due(state, 1, 10, limit=5) == []
    assert DEADLINE_TIME.due(state, 2, 11, limit=5) == []
    early = DEADLINE_TIME.key(5, 1, seeded("subject", 2))
    state.index_put(early)
    assert DEADLINE_TIME.due(state, 4, 12, limit=5) == [(5, 1, seeded("subject", 2))]
    state.index_delete(early)
    assert DEADLINE_TIME.due(state, 5, 13, limit=5) == []


class _Plain:
    """What a queue does, without any note: its entries in order."""

    def __init__(self) -> None:
        self.keys: set[tuple[int, int, bytes]] = set()

    def due(self, stage: int, last: int, limit: int) -> list[tuple[int, int, bytes]]:
        return [one for one in sorted(key for key in self.keys if key[0] == stage)[:limit] if one[1] <= last]


NAMES = [bytes([n]) * 32 for n in (0, 7, 255)]
ENTRIES = st.tuples(st.sampled_from([1, 2]), st.sampled_from([0, 1, 2, 3, 9, 2**64 - 1]), st.sampled_from(NAMES))
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "delete", "undo"]), ENTRIES)
    | st.tuples(st.just("due"), st.sampled_from([0, 1, 2, 3, 9, 2**64 - 1]))
    | st.tuples(st.just("block"), st.just(0)),
    max_size=40,
)


@settings(max_examples=400, deadline=None)
@given(STEPS, st.integers(1, 4))
def test_whatever_comes_and_goes_and_is_undone_a_queue_gives_what_is_due(
    steps: list[tuple[str, object]], limit: int
) -> None:
    queue = Table().queue(at("q/").u8("stage").u64("time").id("who"), at("q-first/").u8("stage"), one_for="a test")
    view, plain, height = MemoryView(), _Plain(), 0
    state = Overlay(view)
    for what, which in steps:
        match what, which:
            case "put", (int(stage), int(number), bytes(who)):
                queue.put(state, stage, number, who)
                plain.keys.add((stage, number, who))
            case "delete", (int(stage), int(number), bytes(who)):
                queue.delete(state, stage, number, who)
                plain.keys.discard((stage, number, who))
            case "undo", (int(stage), int(number), bytes(who)):
                before = state.checkpoint()
                queue.put(state, stage, number, who)
                state.rollback(before)
            case "due", int(last):
                height += 1
                for stage in (1, 2):
                    assert queue.due(state, height, last, stage, limit=limit) == plain.due(stage, last, limit)
            case "block", _:
                view.apply(state.changes())
                state = Overlay(view)
