"""An order at its bounds has a receipt within its own: the worst that its acts come to, each in a block by itself."""

from __future__ import annotations

from abci_app.block import Time
from abci_app.limits import MAX_BUNDLE_BYTES, MAX_FIDUCIARIES, MAX_ORDER_ACTS, MAX_VALUE_BYTES
from dta.client.receipt.format import (
    MAX_BLOCKS,
    MAX_RECEIPT_BYTES,
    MAX_STATES,
    IncludedTx,
    Receipt,
    ReceiptBlock,
    StateLeaf,
    Turn,
    Vote,
)
from dta.light.types import BlockId, Header, PartSetHeader, Validator, ValidatorSet, Version

MOST_RESULTS_BYTES = MAX_BUNDLE_BYTES + 256  # of a transaction that carries several results
MOST_OUTCOMES_BYTES = 10_240
DEPTH = 16  # of a block's tree: 8 MiB of the smallest transactions there are
TREE_DEPTH = 32  # of the state's: four thousand million leaves
TIME = Time(1_800_000_000, 123_456_789)
PARTS = PartSetHeader(2**31 - 1, bytes(32))
HEADER = Header(
    version=Version(11, 1), chain_id="c" * 50, height=2**52, time=TIME, last_block_id=BlockId(bytes(32), PARTS),
    last_commit_hash=bytes(32), data_hash=bytes(32), validators_hash=bytes(32), next_validators_hash=bytes(32),
    consensus_hash=bytes(32), app_hash=bytes(32), last_results_hash=bytes(32), evidence_hash=bytes(32),
    proposer_address=bytes(20),
)  # fmt: skip


def block(*txs: IncludedTx, named: bool = False) -> ReceiptBlock:
    """A header that as many validators signed as there can be fiduciaries; ``named``: with the set itself."""
    members = ValidatorSet(tuple(Validator(bytes(32), 1_000_000) for _ in range(MAX_FIDUCIARIES)))
    votes = tuple(Vote(True, TIME, bytes(64)) for _ in range(MAX_FIDUCIARIES))
    return ReceiptBlock(HEADER, 9, PARTS, votes, members if named else None, txs)


def leaf(value_bytes: int, neighbours: int) -> StateLeaf:
    """With a proof of its existence, or of its absence between two neighbours of the largest values."""
    path = TREE_DEPTH * (33 + 16 + 32 + 8)
    proof = neighbours * (MAX_VALUE_BYTES + 128 + path) if neighbours else path + value_bytes + 128
    return StateLeaf(bytes(96), bytes(value_bytes) or None, bytes(proof))


def size(*blocks: ReceiptBlock, states: tuple[StateLeaf, ...] = ()) -> int:
    empty = Receipt("order", "c" * 50, bytes(32), (), ()).encode()
    return len(Receipt("order", "c" * 50, bytes(32), blocks, states).encode()) - len(empty) + 2


def test_the_worst_receipt_of_an_order_fits() -> None:
    turn = Turn(True, bytes(32), bytes(32))
    tx = IncludedTx(bytes(MOST_RESULTS_BYTES), 0, bytes(MOST_OUTCOMES_BYTES), 10**9, 10**9, (turn,) * DEPTH)
    by_a_result = size(block(tx), block(), states=(leaf(1_200, 0),))
    by_a_person = size(block(IncludedTx(bytes(2_000), 0, bytes(32), 10**6, 10**6, (turn,) * DEPTH)), block())
    undecided = size(states=(leaf(0, 2),))
    requests = leaf(1_500, 0)
    worst = MAX_ORDER_ACTS * max(by_a_result, by_a_person + size(states=(requests,)), undecided)
    whole = worst + size(states=(leaf(MAX_VALUE_BYTES, 0), leaf(200, 0)))
    left = MAX_RECEIPT_BYTES - whole
    assert left > 64 * size(block(named=True)), f"{left} bytes are left for the headers on the way"
    assert 2 * MAX_ORDER_ACTS + 1_024 <= MAX_BLOCKS
    assert 2 * MAX_ORDER_ACTS + 2 <= MAX_STATES
