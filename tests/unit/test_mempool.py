"""What waits in a node's mempool: three lanes, each with its share of the bytes, and who finds a place in which."""

from __future__ import annotations

import tomllib
from itertools import count

import pytest

from abci_app.block import Time
from abci_app.codes import Code
from abci_app.mempool import (
    LEAST_FIDUCIARY_BYTES,
    MAX_DECISIONS_PER_IDENTITY,
    MAX_TXS,
    MAX_TXS_BYTES,
    Lane,
    Mempool,
    Waiting,
)
from dta.node.tendermint_config import load_template
from tests.support.refusals import TAKEN, Because, raised, refused
from tests.support.world import fresh_custody, nonce

KIB = 1024
SIXTEENTH = MAX_TXS_BYTES // 16
REST = MAX_TXS_BYTES - MAX_TXS_BYTES // 2 - MAX_TXS_BYTES // 8
_TAGS = count()


class Pool:
    """A mempool, and what it answers instead of exceptions."""

    def __init__(self, max_txs_bytes: int = MAX_TXS_BYTES) -> None:
        self.mempool = Mempool(max_txs_bytes)

    def _admit(self, tag: object, one: Waiting, most_bytes: int = 0, recheck: bool = False) -> Because:
        return raised(lambda: self.mempool.admit(nonce(tag), one, most_bytes, is_recheck=recheck)) or TAKEN

    def user(self, signer: bytes, size_bytes: int, tag: object = None, recheck: bool = False) -> Because:
        waiting = Waiting(Lane.USER, signer, size_bytes)
        return self._admit(next(_TAGS) if tag is None else tag, waiting, recheck=recheck)

    def decision(self, signer: bytes, subject: bytes, size_bytes: int = 400, counted: bool = True) -> Because:
        return self._admit(next(_TAGS), Waiting(Lane.DECISION, signer, size_bytes, subject, counted))

    def result(self, signer: bytes, size_bytes: int, active: list[bytes], owes: bool = True) -> Because:
        most = self.mempool.fiduciary_bytes(signer, lambda: active, lambda: owes)
        return self._admit(next(_TAGS), Waiting(Lane.RESULT, signer, size_bytes), most)

    def full_of_users(self) -> Pool:
        """Nine identities hold the users' half: not even a small transaction finds a place."""
        for size_bytes in (48 * KIB, 1):
            for signer in range(9):
                while self.user(bytes([signer]) * 32, size_bytes) == TAKEN:
                    pass
        refused(self.user(b"z" * 32, 1), Code.BUSY, "lane")
        return self


def test_the_sizes_are_those_of_cometbfts_configuration() -> None:
    text = load_template()
    section = tomllib.loads(text[text.index("[mempool]") : text.index("[statesync]")])["mempool"]
    assert (section["max_txs_bytes"], section["size"]) == (MAX_TXS_BYTES, MAX_TXS)


def test_one_identity_holds_a_sixteenth_of_the_bytes() -> None:
    pool = Pool()
    answers = [pool.user(b"a", 24 * KIB) for _ in range(17)]
    assert answers == [TAKEN] * 16 + [Because(Code.BUSY, "signer")]
    assert pool.user(b"b", 24 * KIB) == TAKEN


def test_one_identity_holds_a_sixteenth_of_the_count_however_small_its_transactions() -> None:
    pool = Pool()
    answers = [pool.user(b"a", 1) for _ in range(MAX_TXS // 16 + 5)]
    assert MAX_TXS // 16 - 5 <= answers.count(TAKEN) <= MAX_TXS // 16


def test_users_hold_half_of_bytes_and_count_and_no_more() -> None:
    for size_bytes in (1, 700, 60_000):
        pool = Pool()
        taken, bytes_ = 0, 0
        for signer in range(40):
            while pool.user(bytes([signer]), size_bytes) == TAKEN:
                taken, bytes_ = taken + 1, bytes_ + size_bytes
        assert taken <= MAX_TXS // 2
        assert bytes_ <= MAX_TXS_BYTES // 2
        assert taken > MAX_TXS * 0.49 or bytes_ > MAX_TXS_BYTES * 0.48


def test_eight_identities_fill_the_users_half_to_its_last_byte() -> None:
    pool = Pool()
    answers = [pool.user(bytes([signer]), 24 * KIB) for signer in range(8) for _ in range(16)]
    assert answers == [TAKEN] * 128
    refused(pool.user(b"z", 1), Code.BUSY, "lane")


def test_what_is_pending_is_pending_though_there_is_no_room_for_more() -> None:
    pool = Pool()
    assert pool.user(b"a", 60_000, tag="first") == TAKEN
    pool.full_of_users()
    assert pool.user(b"a", 60_000, tag="first") == TAKEN
    refused(pool.user(b"a", 60_000, tag="second"), Code.BUSY, "lane")


@pytest.mark.parametrize("number", [1, 4, 24, 36, 64])
def test_each_active_fiduciary_has_an_equal_part_of_the_rest_and_64_kib_at_least(number: int) -> None:
    pool = Pool().full_of_users()
    active = [bytes([one]) * 32 for one in range(number)]
    part = max(LEAST_FIDUCIARY_BYTES, REST // number)
    for fiduciary in active[: REST // part]:
        taken = 0
        while pool.result(fiduciary, 8 * KIB, active) == TAKEN:
            taken += 8 * KIB
        assert part - 8 * KIB < taken <= part
    if REST // part < number:
        left = [pool.result(fiduciary, 8 * KIB, active) for fiduciary in active[REST // part :]]
        assert Because(Code.BUSY, "lane") in left, "the rest is full"


def test_a_removed_fiduciary_that_still_owes_has_64_kib_and_a_stranger_nothing() -> None:
    pool = Pool()
    answers = [pool.result(b"gone", 16 * KIB, [b"a", b"b"]) for _ in range(5)]
    assert answers == [TAKEN] * 4 + [Because(Code.BUSY, "signer")]
    assert pool.mempool.fiduciary_bytes(b"stranger", lambda: [b"a"], lambda: False) == 0


def test_results_fill_their_part_and_take_none_of_the_users() -> None:
    pool = Pool()
    while pool.result(b"one", 32 * KIB, [b"one"]) == TAKEN:
        pass
    refused(pool.result(b"gone", 32 * KIB, [b"one"]), Code.BUSY, "lane")
    pool.full_of_users()


def test_a_decision_finds_a_place_whatever_users_and_results_hold() -> None:
    pool = Pool().full_of_users()
    while pool.result(b"one", 32 * KIB, [b"one"]) == TAKEN:
        pass
    refused(pool.user(b"bob", 400), Code.BUSY, "lane")
    assert pool.decision(b"bob", b"veto/1") == TAKEN


def test_one_decision_waits_for_each_identity_and_subject() -> None:
    pool = Pool().full_of_users()
    assert pool.decision(b"bob", b"veto/1") == TAKEN
    refused(
        pool.decision(b"bob", b"veto/1"), Code.BUSY, "lane", why="the second counts as a user's, and those have no room"
    )
    assert pool.decision(b"bob", b"veto/2") == TAKEN
    assert pool.decision(b"eve", b"veto/1") == TAKEN


def test_eight_decisions_of_one_identity_count_and_more_are_a_users() -> None:
    pool = Pool().full_of_users()
    answers = [pool.decision(b"bob", b"veto/%d" % number) for number in range(MAX_DECISIONS_PER_IDENTITY + 1)]
    assert answers == [TAKEN] * 8 + [Because(Code.BUSY, "lane")]
    assert pool.decision(b"bob", b"rotate/", counted=False) == TAKEN, "who has the key can't keep the next key out"
    roomy = Pool()
    assert {roomy.decision(b"bob", b"veto/%d" % number) for number in range(20)} == {TAKEN}


def test_when_the_decisions_eighth_is_full_they_wait_among_the_users() -> None:
    pool, signers = Pool(), count()
    for _ in range(MAX_TXS_BYTES // 8 // (2 * KIB)):
        assert pool.decision(b"signer %d" % next(signers), b"approve/", 2 * KIB) == TAKEN
    assert pool.decision(b"bob", b"veto/1") == TAKEN
    pool.full_of_users()
    refused(pool.decision(b"eve", b"veto/1"), Code.BUSY, "lane")


def test_rotations_in_their_crowds_leave_half_of_the_decisions_places_to_vetoes() -> None:
    """Each carries a document: fewer than fifty identities would fill the eighth."""
    pool, signers = Pool(), count()
    for _ in range(MAX_TXS_BYTES // 8 // (16 * KIB)):
        assert pool.decision(b"signer %d" % next(signers), b"rotate/", 16 * KIB, counted=False) == TAKEN
    pool.full_of_users()
    refused(pool.decision(b"carol", b"rotate/", 16 * KIB, counted=False), Code.BUSY, "lane")
    for number in range(MAX_TXS_BYTES // 16 // 400):
        assert pool.decision(b"signer %d" % number, b"veto/1") == TAKEN


def test_next_keys_fill_their_half_of_the_decisions_places_to_its_last_byte() -> None:
    pool = Pool().full_of_users()
    rotations = [
        pool.decision(b"signer %d" % number, b"rotate/", 16 * KIB, counted=False)
        for number in range(MAX_TXS_BYTES // 16 // (16 * KIB) + 1)
    ]
    assert rotations == [TAKEN] * (len(rotations) - 1) + [Because(Code.BUSY, "lane")]


def test_after_a_block_everything_is_counted_anew() -> None:
    pool = Pool().full_of_users()
    while pool.result(b"one", 32 * KIB, [b"one"]) == TAKEN:
        pass
    assert [pool.decision(b"bob", b"veto/1") for _ in range(2)] == [TAKEN, Because(Code.BUSY, "lane")]
    pool.mempool.begin_recheck(5, Time(9))
    assert [pool.user(bytes([signer]), 24 * KIB) for signer in range(8) for _ in range(16)] == [TAKEN] * 128
    refused(pool.user(b"z", 1), Code.BUSY, "lane")
    assert pool.decision(b"bob", b"veto/1") == TAKEN
    assert pool.result(b"one", 32 * KIB, []) == TAKEN, "of one that was removed since and still owes"


def test_a_recheck_counts_what_is_left_and_refuses_nothing_for_want_of_room() -> None:
    pool = Pool().full_of_users()
    pool.mempool.begin_recheck(5, Time(9))
    assert (pool.mempool.height, pool.mempool.time) == (5, Time(9))
    answers = [pool.user(b"a", 60_000, tag=("left", number), recheck=True) for number in range(60)]
    assert answers == [TAKEN] * 60
    refused(pool.user(b"b", 60_000), Code.BUSY, "lane")


@pytest.mark.parametrize("recheck", [False, True])
def test_checking_changes_no_state(recheck: bool) -> None:
    custody = fresh_custody()
    before = dict(custody.chain.view.leaves), dict(custody.chain.view.index)
    custody.chain.check(custody.chain.tx(custody.principal, custody.order_message()), recheck=recheck)
    assert (custody.chain.view.leaves, custody.chain.view.index) == before
