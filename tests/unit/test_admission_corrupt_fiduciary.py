"""A corrupt fiduciary sends whatever its key can sign, at every height: the others' results are in the next block.

The mempool is a whole one, users' half of it is full, and what was admitted stays until it is in a block or a recheck
drops it, as in CometBFT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count, islice

import pytest
from google.protobuf.message import Message

from abci_app import limits, signed, transition
from abci_app.block import Changes, Time
from abci_app.codes import Code
from abci_app.mempool import LEAST_LOOK_UP_BYTES, MAX_TXS_BYTES, Lane, Mempool, Waiting
from abci_app.pb.dta.v1 import identity_pb2, tx_pb2
from abci_app.state.indexes import DUE
from abci_app.state.memory_view import MemoryView
from abci_app.state.records import FIDUCIARIES, FULFILMENTS, params
from dta.node.hooks.bundle import bundles
from tests.support.actors import Actor, body_bytes, signed_tx
from tests.support.chain import CHAIN_ID
from tests.support.custody import SEALED, Custody
from tests.support.refusals import TAKEN, Because, because
from tests.support.world import fresh_custody, nonce, set_params

ORDERS_A_BLOCK = 20
BLOCKS = 5
BOUNDS = {"bytes": (64 << 10, 0), "cost": (4 << 20, 48_000)}
"""A block's bytes, and the cost of its transactions where that is another than the usual one: which of them binds.

What one block holds is less than what the corrupt one has waiting: the others' come first all the same.
"""
_NUMBERS = count()
RUBBISH = 12
"""Results in one bundle: of sealed shares, nearly as many as its bytes allow. Small ones: ``MOST_SMALL``."""
MOST_SMALL = limits.MAX_BUNDLE_RESULTS
"""Results in a bundle that are nothing but an order's id each."""


class Pool:
    """CometBFT's mempool and the chain under it."""

    def __init__(self, custody: Custody, block_bytes: int) -> None:
        self.chain = custody.chain
        self.block_bytes = block_bytes
        self.chain.mempool = Mempool()
        self.held: dict[bytes, None] = {}

    def send(self, tx: bytes) -> Because:
        answer = because(self.chain.check(tx))
        if answer == TAKEN:
            self.held[tx] = None
        return answer

    def proposal(self) -> list[bytes]:
        chain = self.chain
        return transition.prepare_proposal(
            chain.view, list(self.held), max_tx_bytes=self.block_bytes, height=chain.height + 1,
            time=Time(chain.time_s + 1),
        )  # fmt: skip

    def block(self) -> list[bytes]:
        txs = self.proposal()
        self.chain.block(*txs)
        for tx in txs:
            del self.held[tx]
        self.recheck()
        return txs

    def recheck(self) -> None:
        self.held = {tx: None for tx in self.held if because(self.chain.check(tx, recheck=True)) == TAKEN}

    def fill_users_half(self) -> None:
        for number in range(MAX_TXS_BYTES // 2 // 32_768):
            waiting = Waiting(Lane.USER, bytes([number // 12]) * 32, 32_768)
            self.chain.mempool.admit(nonce(("flood", number)), waiting, 0, is_recheck=False)


def by_node(custody: Custody, who: Actor, message: Message, made_at_height: int = 0) -> bytes:
    body = body_bytes(CHAIN_ID, message, custody.chain.height + 50, nonce(next(_NUMBERS))[:16], made_at_height)
    return signed_tx(custody.chain.gid, who.identity, who.node_key, body)


def together(*messages: Message) -> Message:
    made = tx_pb2.SubmitResults()
    for message in messages:
        name = "fulfil_order" if isinstance(message, tx_pb2.FulfilOrder) else "fulfil_secret"
        getattr(made.results.add(), name).CopyFrom(message)
    return made


def never_due() -> Message:
    return tx_pb2.FulfilSecret(request=nonce(next(_NUMBERS)), sealed=SEALED)


def early_lies(custody: Custody, _: list[bytes]) -> Iterator[tuple[Message, int]]:
    """Made at heights that are no node's yet, of requests that nobody made."""
    while True:
        for ahead in (1, 2, 3, 4):
            yield never_due(), custody.chain.height + ahead


def early_bundles(custody: Custody, _: list[bytes]) -> Iterator[tuple[Message, int]]:
    while True:
        yield together(*(never_due() for _ in range(RUBBISH))), custody.chain.height + 3


def one_due_among_rubbish(_: Custody, orders: list[bytes]) -> Iterator[tuple[Message, int]]:
    """It is admitted, for something in it is due."""
    while True:
        for order in orders:
            yield together(tx_pb2.FulfilOrder(order=order), *(never_due() for _ in range(RUBBISH))), 0


def the_same_again(_: Custody, orders: list[bytes]) -> Iterator[tuple[Message, int]]:
    while True:
        for order in orders:
            yield tx_pb2.FulfilOrder(order=order), 0


def misshapen(custody: Custody, orders: list[bytes]) -> Iterator[tuple[Message, int]]:
    """Two of one thing, one alone, none: no transactions at all."""
    while True:
        order = tx_pb2.FulfilOrder(order=orders[0])
        yield together(order, order), 0
        yield together(order), custody.chain.height + 1
        yield tx_pb2.SubmitResults(), 0


FULL, MISSHAPEN = Because(Code.BUSY, "signer"), Because(Code.MALFORMED, "result-count")
Flood = Callable[[Custody, list[bytes]], Iterator[tuple[Message, int]]]
MOST_SENT: dict[Flood, int] = {
    early_lies: 4_000, early_bundles: 4_000, one_due_among_rubbish: 4_000, the_same_again: 4_000, misshapen: 200,
}  # fmt: skip
"""How often each is sent at most: of all but the last, a mempool has no place for so many."""


def answers_to(flood: Flood, custody: Custody, orders: list[bytes], pool: Pool) -> list[Because]:
    """Until there is no room for more of the corrupt one's."""
    answers: list[Because] = []
    for message, made_at in islice(flood(custody, orders), MOST_SENT[flood]):
        answers.append(pool.send(by_node(custody, custody.chain.founders[0], message, made_at)))
        if answers[-1] == FULL:
            break
    return answers


def are_fulfilled(custody: Custody, orders: list[bytes], founders: list[Actor]) -> bool:
    """By all of them."""
    view = custody.chain.view
    return all(FULFILMENTS.exists(view, order, founder.identity) for order in orders for founder in founders)


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("flood", MOST_SENT, ids=lambda flood: flood.__name__)
def test_whatever_a_corrupt_fiduciary_sends_the_others_results_are_in_the_next_block(flood: Flood, bound: str) -> None:
    custody = fresh_custody()
    chain = custody.chain
    corrupt, *honest = chain.founders
    block_bytes, max_cost = BOUNDS[bound]
    if max_cost:
        set_params(chain, max_block_cost=max_cost)
    pool = Pool(custody, block_bytes)
    for block in range(BLOCKS):
        # Placed by blocks of their own: users' places are full in the pool that this is about.
        orders = [custody.place(nonce((block, number)), fulfil=False) for number in range(ORDERS_A_BLOCK)]
        pool.recheck()
        pool.fill_users_half()
        first = answers_to(flood, custody, orders, pool)
        assert block or TAKEN in first, "some of it is taken"
        assert (MISSHAPEN in first) == (flood is misshapen)
        assert answers_to(early_lies, custody, orders, pool)[-1] == FULL, "what is small fills the rest"
        for founder in honest:
            for message in bundles([tx_pb2.FulfilOrder(order=order) for order in orders], params(chain.view)):
                assert pool.send(by_node(custody, founder, message, chain.height)) == TAKEN
        txs = pool.block()
        if not block and flood in (one_due_among_rubbish, the_same_again):
            its = sum(1 for tx in txs if tx_pb2.SignedTx.FromString(tx).signer == corrupt.identity)
            assert its < first.count(TAKEN), "the block has no room for more"
            assert (sum(map(len, txs)) > block_bytes // 2) == (bound == "bytes")
        assert are_fulfilled(custody, orders, honest)
    assert sum(map(len, pool.held)) <= MAX_TXS_BYTES // 2


# --- what it costs to look into its bundles -----------------------------------------------------------------------
@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The keys of what is owed that were looked up."""
    keys: list[bytes] = []
    original = MemoryView.index_get

    def noted(self: MemoryView, key: bytes) -> bytes | None:
        if DUE.holds(key):
            keys.append(key)
        return original(self, key)

    monkeypatch.setattr(MemoryView, "index_get", noted)
    return keys


def small_rubbish(count_: int) -> list[Message]:
    return [tx_pb2.FulfilOrder(order=nonce(next(_NUMBERS))) for _ in range(count_)]


def due_last(order: bytes) -> Message:
    return together(*small_rubbish(MOST_SMALL - 1), tx_pb2.FulfilOrder(order=order))


def due_at_both_ends(first: bytes, last: bytes) -> Message:
    return together(
        tx_pb2.FulfilOrder(order=first), *small_rubbish(MOST_SMALL - 2), tx_pb2.FulfilOrder(order=last)
    )


def most_look_ups(pool: Pool) -> int:
    """Of one fiduciary of four, beyond the first of each transaction."""
    share = MAX_TXS_BYTES * 3 // 8 // len(pool.chain.founders)
    return share // LEAST_LOOK_UP_BYTES


def honest_results(custody: Custody, pool: Pool, orders: list[bytes]) -> None:
    for founder in custody.chain.founders[1:]:
        for message in bundles([tx_pb2.FulfilOrder(order=order) for order in orders], params(custody.chain.view)):
            assert pool.send(by_node(custody, founder, message, custody.chain.height)) == TAKEN


def test_bundles_of_rubbish_are_looked_into_as_often_as_their_signers_share_allows(looked: list[bytes]) -> None:
    custody = fresh_custody()
    corrupt, *honest = custody.chain.founders
    pool = Pool(custody, 4 << 20)
    orders = [custody.place(nonce(number), fulfil=False) for number in range(ORDERS_A_BLOCK)]
    answers = [pool.send(by_node(custody, corrupt, due_last(orders[0]))) for _ in range(56)]
    most = most_look_ups(pool)
    room = most // (MOST_SMALL - 1)
    assert answers == [TAKEN] * room + [Because(Code.BUSY, "look-ups")] * (56 - room)
    assert pool.send(by_node(custody, corrupt, tx_pb2.FulfilOrder(order=orders[0]))) == TAKEN, "one look-up is its own"
    honest_results(custody, pool, orders)
    custody.chain.block()
    looked.clear()
    pool.recheck()
    assert len(pool.held) == room + 1 + len(honest)
    assert len(looked) <= most + len(pool.held)
    looked.clear()
    assert len(pool.proposal()) == len(pool.held)
    assert len(looked) <= most + len(pool.held)
    pool.block()
    assert are_fulfilled(custody, orders, honest)


def test_what_was_due_and_is_no_more_is_looked_into_no_further_at_a_recheck(looked: list[bytes]) -> None:
    """Every bundle is due by its first result when it comes, and by its last when that is done."""
    custody = fresh_custody()
    corrupt, *honest = custody.chain.founders
    pool = Pool(custody, 4 << 20)
    orders = [custody.place(nonce(number), fulfil=False) for number in range(ORDERS_A_BLOCK)]
    for _ in range(56):
        assert pool.send(by_node(custody, corrupt, due_at_both_ends(orders[0], orders[1]))) == TAKEN
    honest_results(custody, pool, orders)
    custody.chain.result(corrupt, tx_pb2.FulfilOrder(order=orders[0]))
    looked.clear()
    held, most = len(pool.held), most_look_ups(pool)
    pool.recheck()
    assert len(looked) <= most + held
    room = most // (MOST_SMALL - 1)
    assert len(pool.held) == room + len(honest), "what would take more is dropped, and nothing of the others'"
    looked.clear()
    assert len(pool.proposal()) == len(pool.held), "a proposal finds all that the recheck kept"
    assert len(looked) <= most + len(pool.held)
    pool.block()
    assert are_fulfilled(custody, orders, honest)


def test_a_proposal_looks_into_what_no_recheck_has_dropped_no_more_than_a_recheck_does(looked: list[bytes]) -> None:
    """Bundles that lie about their height are admitted unseen; a proposal may come before the recheck is over."""
    custody = fresh_custody()
    corrupt, *honest = custody.chain.founders
    pool = Pool(custody, 4 << 20)
    orders = [custody.place(nonce(number), fulfil=False) for number in range(ORDERS_A_BLOCK)]
    looked.clear()
    for _ in range(56):
        message = together(*small_rubbish(MOST_SMALL))
        assert pool.send(by_node(custody, corrupt, message, custody.chain.height + 3)) == TAKEN
    assert not looked, "what is early need not be due"
    honest_results(custody, pool, orders)
    looked.clear()
    assert len(pool.proposal()) == len(honest)
    assert len(looked) <= most_look_ups(pool) + len(pool.held)


def test_the_least_share_has_room_for_any_one_bundle_in_which_one_thing_is_due() -> None:
    custody = fresh_custody()
    chain = custody.chain
    orders = [custody.place(nonce(number), fulfil=False) for number in range(2)]
    removed = chain.founders[3]
    record = FIDUCIARIES.get(chain.view, removed.identity)
    record.status = identity_pb2.FIDUCIARY_STATUS_REMOVED
    leaf = (FIDUCIARIES.key(removed.identity), record.SerializeToString(deterministic=True))
    chain.view.apply(Changes(leaves=(leaf,)))
    pool = Pool(custody, 4 << 20)
    assert pool.send(by_node(custody, removed, due_last(orders[0]))) == TAKEN
    assert pool.send(by_node(custody, removed, due_last(orders[1]))) == Because(Code.BUSY, "look-ups")
    assert len(pool.proposal()) == 1


def test_what_is_refused_when_it_comes_counts_against_nobody(looked: list[bytes]) -> None:
    """Else whoever has bundles of an honest fiduciary that are not due any more could use its look-ups up."""
    custody = fresh_custody()
    honest = custody.chain.founders[0]
    order = custody.place(nonce(0), fulfil=False)
    pool = Pool(custody, 4 << 20)
    stale = by_node(custody, honest, together(*small_rubbish(MOST_SMALL)))
    for _ in range(20):
        looked.clear()
        assert pool.send(stale) == Because(Code.NOT_DUE, "not-early")
        assert len(looked) == MOST_SMALL
    good = by_node(custody, honest, due_last(order))
    assert pool.send(good) == TAKEN
    looked.clear()
    assert [pool.send(good) for _ in range(20)] == [TAKEN] * 20
    assert not looked, "what waits was looked into at this height"


def test_a_full_share_says_so_before_a_signature_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    custody = fresh_custody()
    corrupt, honest = custody.chain.founders[:2]
    order = custody.place(nonce(0), fulfil=False)
    pool = Pool(custody, 4 << 20)
    kept = by_node(custody, corrupt, never_due(), custody.chain.height + 1)
    assert pool.send(kept) == TAKEN
    assert answers_to(early_lies, custody, [order], pool)[-1] == FULL
    with monkeypatch.context() as patched:
        patched.setattr(signed, "authenticate", None)
        assert pool.send(by_node(custody, corrupt, never_due(), custody.chain.height + 1)) == FULL
    assert pool.send(kept) == TAKEN, "what waits is no more, and a recheck drops nothing for want of room"
    assert pool.send(by_node(custody, honest, tx_pb2.FulfilOrder(order=order))) == TAKEN
    forged = signed_tx(
        custody.chain.gid, honest.identity, corrupt.node_key,
        body_bytes(CHAIN_ID, tx_pb2.FulfilOrder(order=order), custody.chain.height + 50, nonce(1)[:16], 0),
    )  # fmt: skip
    assert pool.send(forged) == Because(Code.BAD_SIGNATURE)
