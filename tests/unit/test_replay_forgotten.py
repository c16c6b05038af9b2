"""Bodies that expired are forgotten without going again through those that were forgotten before."""

from __future__ import annotations

import pytest

from abci_app import replay
from abci_app.block import Changes
from abci_app.hashing import u64
from abci_app.state.indexes import FORGOTTEN, SEEN
from abci_app.state.memory_view import MemoryView
from abci_app.state.overlay import Overlay
from tests.support.actors import seeded
from tests.support.uncompacted import Uncompacted

A_BLOCK = 5
IN_DATE = 3


def a_block(view: MemoryView, height: int, expires_at_height: int, bodies: int) -> None:
    state = Overlay(view)
    for number in range(bodies):
        replay.consume(state, expires_at_height, seeded(height, number))
    replay.forget_expired(state, height)
    view.apply(state.changes())


def left(view: MemoryView) -> list[int]:
    """The expiry height of each body that is remembered."""
    return [height for height, _ in SEEN.entries(view)]


def test_a_block_goes_through_what_expires_in_it_and_not_through_what_did_before() -> None:
    view = Uncompacted()
    for height in range(1, 60):
        view.stepped_over = 0
        a_block(view, height, height + IN_DATE, A_BLOCK)
        assert view.stepped_over == 0, f"{len(view.deleted)} were forgotten before height {height}"
        assert min(left(view)) == max(height, IN_DATE) + 1
    assert len(view.deleted) == A_BLOCK * (59 - IN_DATE)


def test_neither_does_it_where_more_expire_than_a_block_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "FORGET_MOST", 4)
    view = Uncompacted()
    for height in range(1, 4):
        a_block(view, height, 7, 10)
    for height in range(4, 20):
        view.stepped_over = 0
        a_block(view, height, height + 30, 1)
        assert view.stepped_over == 0
    assert [height for height in left(view) if height <= 19] == []


def test_what_comes_at_the_height_of_what_was_forgotten_last_is_forgotten_too() -> None:
    view = MemoryView()
    for height in range(1, 10):
        # Into this very block, and into the next.
        a_block(view, height, height, 3)
        a_block(view, height, height + 1, 3)
        assert set(left(view)) == {height + 1}
        assert FORGOTTEN.find(view) is not None


def test_a_state_that_does_not_say_what_was_forgotten_goes_on_as_one_that_does() -> None:
    views = [MemoryView(), MemoryView()]
    for height in range(1, 20):
        for view in views:
            a_block(view, height, height + IN_DATE, A_BLOCK)
        if height == 10:
            del views[1].index[FORGOTTEN.prefix]
            views[1].apply(Changes())
    assert views[0].index == views[1].index
    assert FORGOTTEN.find(views[0]) == max(u64(19) + seeded(16, number) for number in range(A_BLOCK))


def test_nothing_is_written_where_nothing_expires() -> None:
    state = Overlay(MemoryView())
    replay.forget_expired(state, 5)
    assert state.changes() == Changes()
