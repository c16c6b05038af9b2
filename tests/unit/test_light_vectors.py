"""The light client against what a real CometBFT 0.39.4 chain of four validators said (tests/vectors/light)."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from abci_app.block import Time
from dta.base.errors import NotVerified
from dta.light import decode, hashes, merkle
from dta.light.trust import TrustedState, TrustFile
from dta.light.types import FLAG_ABSENT, FLAG_COMMIT, CommitSig, Header, LightBlock, ValidatorSet, Version
from dta.light.verify import Power, verify_commit

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/light/cometbft-0.39.4.json").read_text())
HEIGHTS = sorted(map(int, VECTORS["heights"]))
CHAIN_ID = VECTORS["genesis"]["chain_id"]


def at(height: int) -> dict[str, Any]:
    found: dict[str, Any] = VECTORS["heights"][str(height)]
    return found


def light_block(height: int) -> LightBlock:
    said = at(height)
    validators = ValidatorSet(tuple(decode.validator(v) for v in said["validators"]["validators"]))
    return LightBlock(decode.signed_header(said["commit"]["signed_header"]), validators)


def txs_of(height: int) -> list[bytes]:
    return [b64decode(tx) for tx in at(height)["block"]["block"]["data"]["txs"]]


def results_of(height: int) -> list[hashes.ResultLeaf]:
    return [
        hashes.ResultLeaf(r["code"], b64decode(r["data"] or ""), int(r["gas_wanted"]), int(r["gas_used"]))
        for r in at(height)["block_results"]["txs_results"] or []
    ]


def verify(block: LightBlock) -> Power:
    return verify_commit(CHAIN_ID, block.header, block.signed.commit, block.validators)


def genesis_state() -> TrustedState:
    genesis = json.dumps(VECTORS["genesis"]).encode()
    return TrustedState.from_file(TrustFile.from_genesis(genesis, bytes(32), 1_700_000_000))


def test_the_vectors_have_absent_signatures_later_rounds_transactions_and_another_validator_set() -> None:
    blocks = [light_block(height) for height in HEIGHTS]
    assert any(s.flag == FLAG_ABSENT for b in blocks for s in b.signed.commit.signatures)
    assert any(b.signed.commit.round > 0 for b in blocks)
    assert any(txs_of(height) for height in HEIGHTS)
    assert len({b.header.validators_hash for b in blocks}) == 2


@pytest.mark.parametrize("height", HEIGHTS)
def test_every_hash_of_a_real_block_is_ours(height: int) -> None:
    block = light_block(height)
    header = block.header
    assert hashes.header_hash(header) == bytes.fromhex(at(height)["block"]["block_id"]["hash"])
    assert hashes.validators_hash(block.validators) == header.validators_hash
    assert hashes.data_hash(txs_of(height)) == header.data_hash
    if height > 1:
        assert hashes.commit_hash(light_block(height - 1).signed.commit) == header.last_commit_hash
        assert hashes.results_hash(results_of(height - 1)) == header.last_results_hash
    if height < HEIGHTS[-1]:
        assert header.next_validators_hash == light_block(height + 1).header.validators_hash


@pytest.mark.parametrize("height", HEIGHTS)
def test_a_real_commit_verifies(height: int) -> None:
    block = light_block(height)
    present = sum(
        v.power
        for v, s in zip(block.validators.validators, block.signed.commit.signatures, strict=True)
        if s.flag == FLAG_COMMIT
    )
    assert verify(block) == Power(present, block.validators.total_power)


@pytest.mark.parametrize("height", HEIGHTS)
def test_a_real_transaction_s_proof_is_what_we_make_and_verifies(height: int) -> None:
    for index, said in enumerate(at(height)["txs"]):
        proof = decode.merkle_proof(said["proof"]["proof"])
        assert proof == hashes.prove_tx(txs_of(height), index)
        hashes.verify_tx(light_block(height).header, txs_of(height)[index], proof)
        result_proof = hashes.prove_result(results_of(height), index)
        hashes.verify_result(light_block(height + 1).header, results_of(height)[index], result_proof)


def test_belief_moves_from_a_real_genesis_step_by_step_and_by_skipping() -> None:
    blocks = [light_block(height) for height in HEIGHTS]
    assert genesis_state().advance(blocks).height == HEIGHTS[-1]
    assert genesis_state().step(blocks[-1]).header_hash == hashes.header_hash(blocks[-1].header)


def changed(value: Any) -> Any:
    """Something else of the same type."""
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:] if value else b"\x01" * 32
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, Time):
        return Time(value.seconds, value.nanos ^ 1)
    if isinstance(value, Version):
        return replace(value, app=value.app + 1)
    return replace(value, hash=changed(value.hash))


@pytest.mark.parametrize("name", [f.name for f in fields(Header)])
def test_a_header_with_any_field_changed_is_refused(name: str) -> None:
    block = light_block(9)
    header = replace(block.header, **{name: changed(getattr(block.header, name))})
    with pytest.raises(NotVerified):
        verify(LightBlock(replace(block.signed, header=header), block.validators))


@pytest.mark.parametrize("name", ["height", "round", "block_id"])
def test_a_commit_with_any_field_changed_is_refused(name: str) -> None:
    block = light_block(9)
    commit = replace(block.signed.commit, **{name: changed(getattr(block.signed.commit, name))})
    with pytest.raises(NotVerified):
        verify(LightBlock(replace(block.signed, commit=commit), block.validators))


def test_a_commit_for_another_part_set_is_refused() -> None:
    block = light_block(9)
    block_id = block.signed.commit.block_id
    other = replace(block_id, parts=replace(block_id.parts, total=2))
    commit = replace(block.signed.commit, block_id=other)
    with pytest.raises(NotVerified, match="signature"):
        verify(LightBlock(replace(block.signed, commit=commit), block.validators))


@pytest.mark.parametrize("name", [f.name for f in fields(CommitSig)])
def test_a_signature_with_any_field_changed_is_refused(name: str) -> None:
    block = light_block(9)
    signatures = list(block.signed.commit.signatures)
    signatures[0] = replace(signatures[0], **{name: changed(getattr(signatures[0], name))})
    commit = replace(block.signed.commit, signatures=tuple(signatures))
    with pytest.raises(NotVerified):
        verify(LightBlock(replace(block.signed, commit=commit), block.validators))


@pytest.mark.parametrize("name", ["public_key", "power"])
def test_a_validator_set_with_any_field_changed_is_refused(name: str) -> None:
    block = light_block(9)
    validators = list(block.validators.validators)
    validators[0] = replace(validators[0], **{name: changed(getattr(validators[0], name))})
    with pytest.raises(NotVerified) as caught:
        verify(LightBlock(block.signed, ValidatorSet(tuple(validators))))
    assert caught.value.step == "validators"


def test_a_validator_set_in_another_order_is_refused() -> None:
    block = light_block(9)
    with pytest.raises(NotVerified):
        verify(LightBlock(block.signed, ValidatorSet(block.validators.validators[::-1])))


def test_exactly_two_thirds_of_the_power_do_not_suffice() -> None:
    # From height 11 on the powers are 3, 1, 1, 1 with one absent; without another one 4 of 6 are left.
    block = light_block(11)
    signatures = list(block.signed.commit.signatures)
    signatures[-1] = CommitSig(FLAG_ABSENT, b"", Time(-62135596800), b"")
    commit = replace(block.signed.commit, signatures=tuple(signatures))
    with pytest.raises(NotVerified) as caught:
        verify(LightBlock(replace(block.signed, commit=commit), block.validators))
    assert caught.value.step == "commit"
    assert caught.value.data["signed"] == 4
    assert caught.value.data["total"] == 6


def test_a_commit_that_names_one_validator_twice_is_refused() -> None:
    block = light_block(9)
    signatures = list(block.signed.commit.signatures)
    signatures[1] = signatures[0]
    commit = replace(block.signed.commit, signatures=tuple(signatures))
    with pytest.raises(NotVerified, match="filed under another validator"):
        verify(LightBlock(replace(block.signed, commit=commit), block.validators))


def test_a_real_header_is_refused_for_another_chain() -> None:
    block = light_block(9)
    with pytest.raises(NotVerified, match="is of chain"):
        verify_commit("other", block.header, block.signed.commit, block.validators)


def test_the_commit_of_another_height_is_refused() -> None:
    signed = replace(light_block(9).signed, commit=light_block(8).signed.commit)
    with pytest.raises(NotVerified):
        verify(LightBlock(signed, light_block(9).validators))


def test_a_transaction_proof_with_any_part_changed_is_refused() -> None:
    header, txs = light_block(4).header, txs_of(4)
    good = hashes.prove_tx(txs, 1)
    for bad in (
        replace(good, index=0),
        replace(good, total=5),  # (4 has the same path for index 1: a root does not commit to the count)
        replace(good, index=-1),
        replace(good, leaf_hash=changed(good.leaf_hash)),
        replace(good, aunts=good.aunts[:-1]),
        replace(good, aunts=(*good.aunts, bytes(32))),
        replace(good, aunts=good.aunts[::-1]),
    ):
        with pytest.raises(NotVerified):
            hashes.verify_tx(header, txs[1], bad)
    with pytest.raises(NotVerified):
        hashes.verify_tx(header, txs[0], good)


def test_merkle_proofs_verify_for_every_position_in_lists_of_every_small_size() -> None:
    for count in range(1, 20):
        leaves = [bytes([i]) for i in range(count)]
        for index in range(count):
            merkle.verify(merkle.root(leaves), leaves[index], merkle.prove(leaves, index))
