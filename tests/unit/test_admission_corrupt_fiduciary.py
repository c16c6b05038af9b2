"""A corrupt fiduciary sends whatever its key can sign, at every height: the others' results are in the next block.

The mempool is a whole one, users' half of it is full, and what was admitted stays until it is in a block or a recheck
drops it, as in CometBFT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count, islice

import pytest
from google.protobuf.message import Message

from abci_app import transition
from abci_app.block import Time
from abci_app.codes import Code
from abci_app.mempool import MAX_TXS_BYTES, Lane, Mempool, Waiting
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state.records import FULFILMENTS, params
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
"""Results in one bundle: nearly as many as its bytes allow."""


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

    def block(self) -> list[bytes]:
        chain = self.chain
        txs = transition.prepare_proposal(
            chain.view, list(self.held), max_tx_bytes=self.block_bytes, height=chain.height + 1,
            time=Time(chain.time_s + 1),
        )  # fmt: skip
        chain.block(*txs)
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
        for order in orders:
            assert all(FULFILMENTS.exists(chain.view, order, founder.identity) for founder in honest)
    assert sum(map(len, pool.held)) <= MAX_TXS_BYTES // 2
