"""A receipt changed at will and signed again, as the validators of a chain of one's own could hand it out.

Whatever is hashed is hashed anew: a change survives the checks of signatures and roots and reaches those behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256, sha512
from random import Random

from nacl.signing import SigningKey

from abci_app.block import Changes
from abci_app.state import proof as proofs
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB
from dta.client.receipt.format import IncludedTx, Receipt, ReceiptBlock, StateLeaf, Turn, Vote
from dta.light import wire
from dta.light.hashes import ResultLeaf, header_hash, prove_result, prove_tx, tx_hash, validators_hash
from dta.light.merkle import MerkleProof, inner_hash, leaf_hash
from dta.light.types import BlockId, Header, ValidatorSet

Keys = Mapping[bytes, SigningKey]
"""Signing keys by their public key."""

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
_P = 2**255 - 19
# Every encoding of a point of order 1, 2 or 4 and one of each of order 8, canonical or not: ZIP-215 takes them all.
SMALL_ORDER = tuple(
    (y | sign << 255).to_bytes(32, "little")
    for y in (0, 1, _P - 1, _P, _P + 1, 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7)
    for sign in (0, 1)
)


def signature_of_small_order(key: SigningKey, message: bytes, commitment: bytes) -> bytes:
    """Good by ZIP-215 though its R is of small order, and so refused by stricter libraries. ``commitment``: R."""
    secret = bytearray(sha512(bytes(key)).digest()[:32])
    secret[0] &= 248
    secret[31] = secret[31] & 127 | 64
    public = bytes(key.verify_key)
    challenge = int.from_bytes(sha512(commitment + public + message).digest(), "little")
    scalar = challenge * int.from_bytes(secret, "little") % GROUP_ORDER
    return commitment + scalar.to_bytes(32, "little")


@dataclass(frozen=True)
class Forge:
    """Who signs, and how often one of the repairs is left out. ``chance`` None: never."""

    keys: Keys
    chance: Random | None = None

    def _repairs(self) -> bool:
        return self.chance is None or self.chance.random() > 0.01

    def sign(self, public_key: bytes, message: bytes) -> bytes:
        """A good signature where the key is known or is of small order; now and then an odd one that is good too."""
        key = self.keys.get(public_key)
        if key is None:
            return SMALL_ORDER[1] + bytes(32)
        if self.chance is not None and self.chance.random() < 0.02:
            return signature_of_small_order(key, message, self.chance.choice(SMALL_ORDER))
        signature: bytes = key.sign(message).signature
        return signature

    def seal(self, receipt: Receipt, held: ValidatorSet) -> Receipt:
        """The receipt with every hash and signature that its content asks for. ``held``: the set that is trusted."""
        blocks = [self._with_roots(block) for block in receipt.blocks]
        for index, block in enumerate(blocks[:-1]):
            root = results_root(block)
            if root is not None and self._repairs():
                following = blocks[index + 1]
                blocks[index + 1] = replace(following, header=replace(following.header, last_results_hash=root))
        sets = self._sets(blocks, held)
        for index, block in enumerate(blocks):
            header = replace(block.header, validators_hash=validators_hash(sets[index]))
            if index + 1 < len(blocks) and blocks[index + 1].header.height == header.height + 1 and self._repairs():
                header = replace(header, next_validators_hash=validators_hash(sets[index + 1]))
            if index and blocks[index - 1].header.height + 1 == header.height and self._repairs():
                last = BlockId(header_hash(blocks[index - 1].header), header.last_block_id.parts)
                header = replace(header, last_block_id=last)
            before = sets[index - 1] if index else held
            named = None if validators_hash(before) == header.validators_hash and self._repairs() else sets[index]
            blocks[index] = replace(block, header=header, validators=named)
            blocks[index] = replace(blocks[index], votes=self._votes(blocks[index], sets[index]))
        return replace(receipt, blocks=tuple(blocks))

    def _sets(self, blocks: Sequence[ReceiptBlock], held: ValidatorSet) -> list[ValidatorSet]:
        found = []
        for block in blocks:
            held = block.validators or held
            found.append(held)
        return found

    def _with_roots(self, block: ReceiptBlock) -> ReceiptBlock:
        root = data_root(block)
        if root is None or not self._repairs():
            return block
        return replace(block, header=replace(block.header, data_hash=root))

    def _votes(self, block: ReceiptBlock, signers: ValidatorSet) -> tuple[Vote | None, ...]:
        votes = list(block.votes)
        if self._repairs():
            fresh = Vote(True, block.header.time, b"")
            votes = [*votes, *[fresh] * len(signers.validators)][: len(signers.validators)]
        of = BlockId(header_hash(block.header), block.parts)
        made: list[Vote | None] = []
        for index, vote in enumerate(votes):
            if vote is None or index >= len(signers.validators) or not self._repairs():
                made.append(vote)
                continue
            message = vote_bytes(block, of, vote)
            made.append(replace(vote, signature=self.sign(signers.validators[index].public_key, message)))
        return tuple(made)


def vote_bytes(block: ReceiptBlock, of: BlockId, vote: Vote) -> bytes:
    """What a validator signs. ``of``: the block's id."""
    header, meant = block.header, of if vote.for_block else None
    return wire.precommit_sign_bytes(header.chain_id, header.height, block.round, meant, vote.time)


# --- transactions -----------------------------------------------------------------------------------------------
def _result_bytes(tx: IncludedTx) -> bytes:
    return wire.deterministic_tx_result(tx.code, tx.data, tx.gas_wanted, tx.gas_used)


def _root_of(leaf: bytes, path: Sequence[Turn], side: Callable[[Turn], bytes]) -> bytes:
    value = leaf_hash(leaf)
    for turn in path:
        value = inner_hash(value, side(turn)) if turn.left else inner_hash(side(turn), value)
    return value


def data_root(block: ReceiptBlock) -> bytes | None:
    """The data hash to which the block's first transaction leads; None where it has none."""
    return _root_of(tx_hash(block.txs[0].tx), block.txs[0].path, lambda turn: turn.tx) if block.txs else None


def results_root(block: ReceiptBlock) -> bytes | None:
    """The same of its result."""
    return _root_of(_result_bytes(block.txs[0]), block.txs[0].path, lambda turn: turn.result) if block.txs else None


def with_txs(block: ReceiptBlock, txs: Sequence[IncludedTx]) -> ReceiptBlock:
    """The block as if it had these transactions and no others."""
    names = [one.tx for one in txs]
    results = [ResultLeaf(one.code, one.data, one.gas_wanted, one.gas_used) for one in txs]
    made = []
    for index, one in enumerate(txs):
        path = turns(prove_tx(names, index), prove_result(results, index))
        made.append(replace(one, path=path))
    return replace(block, txs=tuple(made))


def turns(tx: MerkleProof, result: MerkleProof) -> tuple[Turn, ...]:
    """The turns that both proofs take, from the leaf up."""
    sides, index, count = [], tx.index, tx.total
    while count > 1:
        middle = 1 << ((count - 1).bit_length() - 1)
        sides.append(index < middle)
        index, count = (index, middle) if index < middle else (index - middle, count - middle)
    return tuple(
        Turn(left, own, other) for left, own, other in zip(reversed(sides), tx.aunts, result.aunts, strict=True)
    )


# --- state ------------------------------------------------------------------------------------------------------
FILLER = (b"filler/1", b"1")
"""So that the tree is never empty: an empty one has no proofs."""


def with_states(receipt: Receipt, wanted: Mapping[bytes, bytes | None]) -> Receipt:
    """The receipt over a state of these leaves (and a filler), with a proof for each; None: proved to be absent."""
    tree = StateDB(MemoryStore())
    present = {FILLER[0]: FILLER[1], **{key: value for key, value in wanted.items() if value is not None}}
    tree.commit(tree.stage(1, Changes(leaves=tuple(sorted(present.items())))))
    leaves = tuple(StateLeaf(key, wanted[key], tree.prove(key, 1).proof) for key in sorted(wanted))
    return _with_app_hash(replace(receipt, states=leaves), tree.app_hash)


def _with_app_hash(receipt: Receipt, root: bytes) -> Receipt:
    last = receipt.blocks[-1]
    return replace(receipt, blocks=(*receipt.blocks[:-1], replace(last, header=replace(last.header, app_hash=root))))


def with_proof(receipt: Receipt, index: int, message: proofs.pb.CommitmentProof) -> Receipt:
    """The receipt with another proof for a leaf, under the root to which that proof leads."""
    leaves = list(receipt.states)
    leaves[index] = replace(leaves[index], proof=message.SerializeToString(deterministic=True))
    shown = message.exist if message.HasField("exist") else message.nonexist.left or message.nonexist.right
    value = sha256(shown.leaf.prefix + sha256(shown.key).digest() + sha256(shown.value).digest()).digest()
    for op in shown.path:
        value = sha256(op.prefix + value + op.suffix).digest()
    return _with_app_hash(replace(receipt, states=tuple(leaves)), value)


def header_of(receipt: Receipt, index: int, **fields: object) -> Receipt:
    """The receipt with other fields in a header."""
    blocks = list(receipt.blocks)
    header: Header = replace(blocks[index].header, **fields)  # type: ignore[arg-type]
    blocks[index] = replace(blocks[index], header=header)
    return replace(receipt, blocks=tuple(blocks))
