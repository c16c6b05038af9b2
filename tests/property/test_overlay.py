"""The overlay and the view in memory against a plain dictionary: reads, scans, rollback, changes."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abci_app.block import Changes
from abci_app.limits import MAX_VALUE_BYTES
from abci_app.state import overlay
from abci_app.state.memory_view import MemoryView
from abci_app.state.overlay import Overlay

KEYS = st.sampled_from([prefix + bytes([n]) for prefix in (b"a/", b"ab/", b"b/") for n in range(4)] + [b"a/", b"zz"])
VALUES = st.binary(min_size=1, max_size=3)
PAIRS = st.dictionaries(KEYS, VALUES, max_size=8)
WRITES = st.lists(st.tuples(st.booleans(), KEYS, st.none() | VALUES), max_size=12)
Model = tuple[dict[bytes, bytes], dict[bytes, bytes]]


def base_of(leaves: dict[bytes, bytes], index: dict[bytes, bytes]) -> MemoryView:
    view = MemoryView()
    view.apply(Changes(tuple(sorted(leaves.items())), tuple(sorted(index.items()))))
    return view


def write(state: Overlay, model: Model, writes: list[tuple[bool, bytes, bytes | None]]) -> None:
    for leaf, key, value in writes:
        table = model[0] if leaf else model[1]
        if value is None:
            table.pop(key, None)
            (state.delete if leaf else state.index_delete)(key)
        else:
            table[key] = value
            (state.put if leaf else state.index_put)(key, value)


def scanned(table: dict[bytes, bytes], prefix: bytes, after: bytes, limit: int | None) -> list[tuple[bytes, bytes]]:
    # A start before the prefix is no start at all.
    found = sorted(pair for pair in table.items() if pair[0].startswith(prefix) and (not after or pair[0] > after))
    return found if limit is None else found[:limit]


def same(state: Overlay | MemoryView, model: Model, prefix: bytes, after: bytes, limit: int | None) -> None:
    assert list(state.scan(prefix, after, limit)) == scanned(model[0], prefix, after, limit)
    assert list(state.index_scan(prefix, after, limit)) == scanned(model[1], prefix, after, limit)
    for key in (*model[0], *model[1], b"a/\0", b"nothing"):
        assert state.get(key) == model[0].get(key)
        assert state.index_get(key) == model[1].get(key)


@given(PAIRS, PAIRS, WRITES, st.sampled_from([b"", b"a/", b"ab/", b"b", b"q"]), st.just(b"") | KEYS,
       st.none() | st.integers(0, 5))  # fmt: skip
@settings(max_examples=400, deadline=None)
def test_an_overlay_reads_as_what_was_written_over_its_base(
    leaves: dict[bytes, bytes], index: dict[bytes, bytes], writes: list[tuple[bool, bytes, bytes | None]],
    prefix: bytes, after: bytes, limit: int | None,
) -> None:  # fmt: skip
    base = base_of(leaves, index)
    state, model = Overlay(base), (dict(leaves), dict(index))
    write(state, model, writes)
    same(state, model, prefix, after, limit)
    same(base, (leaves, index), prefix, after, limit)
    base.apply(state.changes())
    same(base, model, prefix, after, limit)


@given(PAIRS, PAIRS, WRITES, WRITES, WRITES)
@settings(max_examples=400, deadline=None)
def test_a_rollback_undoes_exactly_what_came_after_the_checkpoint(
    leaves: dict[bytes, bytes], index: dict[bytes, bytes], kept: list[tuple[bool, bytes, bytes | None]],
    undone: list[tuple[bool, bytes, bytes | None]], later: list[tuple[bool, bytes, bytes | None]],
) -> None:  # fmt: skip
    state, model = Overlay(base_of(leaves, index)), (dict(leaves), dict(index))
    write(state, model, kept)
    checkpoint = state.checkpoint()
    expected = state.changes()
    write(state, (dict(model[0]), dict(model[1])), undone)
    state.rollback(checkpoint)
    assert state.changes() == expected
    write(state, model, later)
    same(state, model, b"", b"", None)


@given(PAIRS, PAIRS, WRITES, WRITES, WRITES)
@settings(max_examples=300, deadline=None)
def test_a_checkpoint_within_another_undoes_its_own_part_and_the_outer_one_all(
    leaves: dict[bytes, bytes], index: dict[bytes, bytes], first: list[tuple[bool, bytes, bytes | None]],
    second: list[tuple[bool, bytes, bytes | None]], third: list[tuple[bool, bytes, bytes | None]],
) -> None:  # fmt: skip
    state, model = Overlay(base_of(leaves, index)), (dict(leaves), dict(index))
    write(state, model, first)
    state.settle()
    outer, at_outer = state.checkpoint(), state.changes()
    write(state, model, second)
    inner, at_inner = state.checkpoint(), state.changes()
    write(state, model, third)
    state.rollback(inner)
    assert state.changes() == at_inner
    write(state, model, third)
    state.rollback(outer)
    assert state.changes() == at_outer


@given(PAIRS, PAIRS, WRITES)
@settings(max_examples=300, deadline=None)
def test_changes_are_sorted_name_each_key_once_and_leave_out_leaves_that_are_as_they_were(
    leaves: dict[bytes, bytes], index: dict[bytes, bytes], writes: list[tuple[bool, bytes, bytes | None]]
) -> None:
    state, model = Overlay(base_of(leaves, index)), (dict(leaves), dict(index))
    write(state, model, writes)
    changes = state.changes()
    for pairs, before, after in ((changes.leaves, leaves, model[0]), (changes.index, index, model[1])):
        assert [key for key, _ in pairs] == sorted({key for key, _ in pairs})
        different = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        # An index entry that is as it was may be written again: it is not hashed, and looking it up costs a read.
        # One that came and went is not: nothing is deleted that the base never had.
        first: dict[bytes, bytes | None] = {}
        for leaf, key, value in writes:
            if not leaf:
                first.setdefault(key, value)
        came = {key for key, value in first.items() if value is not None and key not in before}
        written = first.keys() - (came - after.keys()) if pairs is changes.index else different
        assert different <= {key for key, _ in pairs} == written
        assert all(value == after.get(key) for key, value in pairs)


class _Asked(MemoryView):
    """Counts the index entries that were looked up."""

    asked = 0

    def index_get(self, key: bytes) -> bytes | None:
        self.asked += 1
        return super().index_get(key)


def test_an_index_entry_that_came_and_went_within_a_block_is_deleted_nowhere_and_no_other_is_looked_up() -> None:
    base = _Asked()
    base.apply(Changes(index=((b"q/old", b"1"), (b"q/old too", b"1"))))
    state = Overlay(base)
    state.index_put(b"q/new")
    state.index_delete(b"q/new")
    state.index_put(b"q/old", b"2")
    state.index_delete(b"q/old")
    state.index_delete(b"q/old too")
    state.index_delete(b"q/never")
    state.index_put(b"q/stays")
    state.index_put(b"q/back")
    state.index_delete(b"q/back")
    state.index_put(b"q/back")
    expected = ((b"q/back", b"\x01"), (b"q/never", None), (b"q/old", None), (b"q/old too", None), (b"q/stays", b"\x01"))
    assert state.changes() == Changes(index=expected)
    assert base.asked == 2, "q/new and q/old"


def test_what_was_undone_was_never_put_first() -> None:
    """Its deletion after a rollback stays: whether the base has it was not looked up."""
    state = Overlay(MemoryView())
    checkpoint = state.checkpoint()
    state.index_put(b"q/1")
    state.rollback(checkpoint)
    state.index_delete(b"q/1")
    assert state.changes() == Changes(index=((b"q/1", None),))


@pytest.mark.parametrize("value", [b"", bytes(MAX_VALUE_BYTES + 1)])
def test_a_leaf_is_neither_empty_nor_larger_than_a_proof_can_carry(value: bytes) -> None:
    with pytest.raises(ValueError, match="a leaf holds"):
        Overlay(MemoryView()).put(b"a/", value)


STEPS = st.lists(
    st.sampled_from(["mark", "undo", "scan", "settle"]) | st.tuples(st.booleans(), KEYS, st.none() | VALUES),
    max_size=40,
)


@pytest.mark.parametrize("few", [1, 3, overlay.FEW])
@given(PAIRS, PAIRS, STEPS)
@settings(max_examples=200, deadline=None)
def test_scans_between_writes_and_rollbacks_find_what_is_there_in_its_order(
    few: int, leaves: dict[bytes, bytes], index: dict[bytes, bytes],
    steps: list[str | tuple[bool, bytes, bytes | None]],
) -> None:  # fmt: skip
    state, model = Overlay(base_of(leaves, index)), (dict(leaves), dict(index))
    marks: list[tuple[int, Model]] = []
    with patch.object(overlay, "FEW", few):
        for step in [*steps, "scan"]:
            if step == "mark":
                marks.append((state.checkpoint(), (dict(model[0]), dict(model[1]))))
            elif step == "undo" and marks:
                checkpoint, model = marks.pop()
                state.rollback(checkpoint)
            elif step == "settle":
                state.settle()
                marks.clear()
            elif step == "scan":
                same(state, model, b"", b"", None)
                same(state, model, b"a/", b"a/\1", 3)
            elif isinstance(step, tuple):
                write(state, model, [step])
        pairs = state.changes()
    assert [key for key, _ in pairs.index] == sorted({key for key, _ in pairs.index})
