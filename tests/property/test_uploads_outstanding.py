"""What a gateway counts of uploads: the running totals are what adding up gives, whatever happens to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from dta.http.quota import MIN_CHARGE_BYTES, GaveWay, NoRoom, Outstanding, OverQuota

OWNERS = ["alice", "bob", "carol"]
CIDS = [f"cid {number}" for number in range(4)]
SIZES = [1, MIN_CHARGE_BYTES, MIN_CHARGE_BYTES + 1, 3 * MIN_CHARGE_BYTES]
OWNER_BYTES, ALL_BYTES, GRACE_S = 4 * MIN_CHARGE_BYTES, 6 * MIN_CHARGE_BYTES, 10.0
owners, cids, sizes = st.sampled_from(OWNERS), st.sampled_from(CIDS), st.sampled_from(SIZES)


class StoreFailed(Exception):
    """The store did not take the block."""


@contextmanager
def failing(fails: bool) -> Iterator[None]:
    yield
    if fails:
        raise StoreFailed


class Uploads(RuleBasedStateMachine):
    """Beside it a list of all charges, oldest first, that is added up each time."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.outstanding = Outstanding(OWNER_BYTES, ALL_BYTES, GRACE_S, lambda: self.now_s)
        self.charges: list[tuple[str, str, int, float]] = []

    def of(self, owner: str) -> int:
        return sum(size for one, _, size, _ in self.charges if one == owner)

    def all(self) -> int:
        return sum(size for _, _, size, _ in self.charges)

    def is_charged(self, owner: str, cid: str) -> bool:
        return any(charge[:2] == (owner, cid) for charge in self.charges)

    def lapse(self) -> None:
        self.charges = [charge for charge in self.charges if charge[3] > self.now_s]

    @rule(owner=owners, cid=cids, size=sizes, fails=st.booleans())
    def upload(self, owner: str, cid: str, size: int, fails: bool) -> None:
        self.lapse()
        size_bytes, is_new = max(size, MIN_CHARGE_BYTES), not self.is_charged(owner, cid)
        refused: type[Exception] | None = None
        if is_new and self.of(owner) + size_bytes > OWNER_BYTES:
            refused = OverQuota
        elif is_new and self.all() + size_bytes > ALL_BYTES:
            refused = NoRoom
        if refused is not None:
            with pytest.raises(refused), self.outstanding.charging(owner, cid, size):
                pytest.fail("it is taken")
            return
        with suppress(StoreFailed), self.outstanding.charging(owner, cid, size), failing(fails):
            pass
        if fails and is_new:
            return
        self.charges = [charge for charge in self.charges if charge[:2] != (owner, cid)]
        self.charges.append((owner, cid, size_bytes, self.now_s + GRACE_S))

    @rule(cid=cids)
    def state_names_it(self, cid: str) -> None:
        self.outstanding.forget(cid)
        self.charges = [charge for charge in self.charges if charge[1] != cid]

    @rule(seconds=st.sampled_from([0.5, 4.0, GRACE_S]))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(owner=owners, size=sizes)
    def others_give_way(self, owner: str, size: int) -> None:
        """Until there is room, or nobody has more than whoever wants it would have."""
        self.lapse()
        size_bytes = max(size, MIN_CHARGE_BYTES)
        for _ in range(len(self.charges) + 1):  # each time one goes
            if self.outstanding.over(size) <= 0:
                break
            before = {one: self.of(one) for one in OWNERS}
            gone = self.outstanding.displaced(owner, size)
            if gone is None:
                assert max(before.values()) <= self.of(owner) + size_bytes
                return
            (heaviest,) = [one for one in OWNERS if self.outstanding.bytes_of(one) != before[one]]
            assert before[heaviest] == max(before.values()) > before[owner] + size_bytes
            oldest = next(charge for charge in self.charges if charge[0] == heaviest)
            self.charges.remove(oldest)
            assert self.outstanding.bytes_of(heaviest) == self.of(heaviest), "its oldest, and no other"
            is_left = any(charge[1] == oldest[1] for charge in self.charges)
            assert gone == ([] if is_left else [oldest[1]]), "it goes with the last who is charged for it"
        assert self.all() + size_bytes <= ALL_BYTES

    @rule(owner=owners, cid=cids, size=sizes, other=owners)
    def others_give_way_while_it_is_stored(self, owner: str, cid: str, size: int, other: str) -> None:
        self.lapse()
        size_bytes = max(size, MIN_CHARGE_BYTES)
        if self.is_charged(owner, cid) or self.of(owner) + size_bytes > OWNER_BYTES:
            return
        if self.all() + size_bytes > ALL_BYTES:
            return
        try:
            with self.outstanding.charging(owner, cid, size):
                self.charges.append((owner, cid, size_bytes, self.now_s + GRACE_S))
                self.others_give_way(other, 3 * MIN_CHARGE_BYTES)
        except GaveWay:
            assert not self.is_charged(owner, cid)
        else:
            assert self.is_charged(owner, cid)

    @invariant()
    def totals_are_what_adding_up_gives(self) -> None:
        self.lapse()
        assert self.outstanding.over(MIN_CHARGE_BYTES) == self.all() + MIN_CHARGE_BYTES - ALL_BYTES
        assert [self.outstanding.bytes_of(owner) for owner in OWNERS] == [self.of(owner) for owner in OWNERS]
        assert sorted(self.outstanding.cids()) == sorted({charge[1] for charge in self.charges})
        for cid in CIDS:
            charged = [owner for owner in OWNERS if self.is_charged(owner, cid)]
            assert [owner for owner in OWNERS if self.outstanding.is_charged(cid, owner)] == charged
            assert self.outstanding.is_charged(cid) == bool(charged)


def test_the_totals_are_what_adding_up_gives_and_whoever_has_most_gives_way() -> None:
    once = [Phase.explicit, Phase.reuse, Phase.generate]  # to shrink what it finds takes minutes
    run_state_machine_as_test(
        Uploads, settings=settings(deadline=None, max_examples=100, stateful_step_count=40, phases=once)
    )


def test_a_block_that_two_are_charged_for_goes_when_both_charges_have_given_way() -> None:
    outstanding = Outstanding(OWNER_BYTES, ALL_BYTES, GRACE_S, lambda: 0.0)
    for owner in ("alice", "bob"):
        for cid in CIDS[:3]:
            with outstanding.charging(owner, cid, MIN_CHARGE_BYTES):
                pass
    assert outstanding.over(1) == MIN_CHARGE_BYTES
    assert [outstanding.displaced("carol", 1) for _ in range(3)] == [[], [CIDS[0]], []]
    assert [outstanding.bytes_of(owner) for owner in ("alice", "bob")] == [MIN_CHARGE_BYTES, 2 * MIN_CHARGE_BYTES]
