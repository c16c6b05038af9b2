"""The hashes of CometBFT's data: of a header, a validator set, a commit, a block's transactions and its results.

Source: CometBFT v0.38 to v0.40, ``types/{block,validator_set,tx,results}.go``; docs/spec/light-client.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from dta.light import merkle, wire
from dta.light.types import Commit, Header, ValidatorSet


@dataclass(frozen=True, slots=True)
class ResultLeaf:
    """The part of a transaction's result that is consensus data."""

    code: int
    data: bytes
    gas_wanted: int
    gas_used: int


def header_hash(header: Header) -> bytes:
    """The 32-byte hash that names a block: the Merkle root of the header's 14 fields, each encoded."""
    return merkle.root(
        [
            wire.version(header.version),
            wire.wrapped_string(header.chain_id),
            wire.wrapped_integer(header.height),
            wire.timestamp(header.time),
            wire.block_id(header.last_block_id),
            wire.wrapped_bytes(header.last_commit_hash),
            wire.wrapped_bytes(header.data_hash),
            wire.wrapped_bytes(header.validators_hash),
            wire.wrapped_bytes(header.next_validators_hash),
            wire.wrapped_bytes(header.consensus_hash),
            wire.wrapped_bytes(header.app_hash),
            wire.wrapped_bytes(header.last_results_hash),
            wire.wrapped_bytes(header.evidence_hash),
            wire.wrapped_bytes(header.proposer_address),
        ]
    )


def validators_hash(validators: ValidatorSet) -> bytes:
    """The 32-byte ``validators_hash`` of a set. The order of the set counts."""
    return merkle.root([wire.simple_validator(validator) for validator in validators.validators])


def commit_hash(commit: Commit) -> bytes:
    """The 32-byte ``last_commit_hash`` that the next header holds for this commit."""
    return merkle.root([wire.commit_sig(signature) for signature in commit.signatures])


def tx_hash(tx: bytes) -> bytes:
    """The 32-byte name of a transaction: SHA-256 of its bytes."""
    return sha256(tx).digest()


def data_hash(txs: Sequence[bytes]) -> bytes:
    """The 32-byte ``data_hash`` of a block with these transactions: over their hashes."""
    return merkle.root([tx_hash(tx) for tx in txs])


def prove_tx(txs: Sequence[bytes], index: int) -> merkle.MerkleProof:
    """The proof that transaction ``index`` is in the block with these transactions."""
    return merkle.prove([tx_hash(tx) for tx in txs], index)


def verify_tx(header: Header, tx: bytes, proof: merkle.MerkleProof) -> None:
    """Checks that ``tx`` is in the block of ``header``. Raises NotVerified (step ``proof``)."""
    merkle.verify(header.data_hash, tx_hash(tx), proof)


def _result_leaves(results: Sequence[ResultLeaf]) -> list[bytes]:
    return [wire.deterministic_tx_result(r.code, r.data, r.gas_wanted, r.gas_used) for r in results]


def results_hash(results: Sequence[ResultLeaf]) -> bytes:
    """The 32-byte ``last_results_hash`` that header H+1 holds for the results of block H."""
    return merkle.root(_result_leaves(results))


def prove_result(results: Sequence[ResultLeaf], index: int) -> merkle.MerkleProof:
    """The proof that result ``index`` is among the results of its block."""
    return merkle.prove(_result_leaves(results), index)


def verify_result(next_header: Header, result: ResultLeaf, proof: merkle.MerkleProof) -> None:
    """Checks ``result`` of block H against header H+1. Raises NotVerified (step ``proof``)."""
    merkle.verify(next_header.last_results_hash, _result_leaves([result])[0], proof)
