"""What a light client refuses for its own reason, though a signature or a hash would not have told."""

from __future__ import annotations

import pytest

from abci_app.block import Time
from dta.base.errors import NotVerified
from dta.light import merkle, wire
from dta.light.hashes import header_hash, validators_hash
from dta.light.merkle import MerkleProof, leaf_hash
from dta.light.trust import TrustedState
from dta.light.types import FLAG_COMMIT, Commit, CommitSig, Header, ValidatorSet
from dta.light.verify import verify_commit, verify_validator_set
from tests.support.light_chain import CHAIN_ID, Chain, Members, members, set_of, sign_commit


def signed_at(height: int, header: Header, group: Members) -> Commit:
    """The validators sign the block of ``header`` as if it were decided at another height."""
    block = sign_commit(header, group).block_id
    by_key = {bytes(key.verify_key): key for key, _ in group}
    signatures = []
    for index, validator in enumerate(set_of(group).validators):
        time = Time(header.time.seconds + 1, index)
        message = wire.precommit_sign_bytes(header.chain_id, height, 0, block, time)
        signature = by_key[validator.public_key].sign(message).signature
        signatures.append(CommitSig(FLAG_COMMIT, validator.address, time, signature))
    return Commit(height, 0, block, tuple(signatures))


def test_a_commit_for_another_height_is_refused_though_every_signature_in_it_is_good() -> None:
    chain = Chain(members(4))
    header = chain.add().header
    verify_commit(CHAIN_ID, header, signed_at(header.height, header, chain.group), set_of(chain.group))
    with pytest.raises(NotVerified, match="the commit is for height 2, the header of 1") as caught:
        verify_commit(CHAIN_ID, header, signed_at(2, header, chain.group), set_of(chain.group))
    assert caught.value.step == "header"


def test_a_set_that_names_a_validator_twice_is_none_whatever_hash_was_announced() -> None:
    """Its power would count twice, and its one signature be there twice."""
    one, two, three = set_of(members(3)).validators
    for bad in (ValidatorSet((one, one, two, three)), ValidatorSet(())):
        with pytest.raises(NotVerified, match="empty or names a validator twice") as caught:
            verify_validator_set(validators_hash(bad), bad)
        assert caught.value.step == "validators"


def test_those_who_are_trusted_and_voted_for_nothing_vouch_for_nothing() -> None:
    """All that are believed are still there, with little power, and say no to the block of those that came."""
    old = members(4)
    chain = Chain(old)
    chain.add()
    chain.add(next_group=tuple((key, 1) for key, _ in old) + members(4, power=100, first=20))
    block = chain.add(commit=lambda header, group: sign_commit(header, group, nil=[key for key, _ in old]))
    verify_commit(CHAIN_ID, block.header, block.signed.commit, block.validators)
    with pytest.raises(NotVerified, match="only 0 of 40 voting power of the validators we trust") as caught:
        TrustedState.from_file(chain.trust_file()).step(block)
    assert caught.value.step == "trust"


@pytest.mark.parametrize(("total", "index"), [(2, 2), (2, -1), (1, 1), (4, 4)])
def test_an_item_past_the_end_of_a_list_is_in_no_list(total: int, index: int) -> None:
    leaves = [bytes([number]) for number in range(total)]
    last = merkle.prove(leaves, total - 1)
    merkle.verify(merkle.root(leaves), leaves[-1], last)
    with pytest.raises(NotVerified, match="index, total or length is impossible"):
        merkle.verify(merkle.root(leaves), leaves[-1], MerkleProof(total, index, leaf_hash(leaves[-1]), last.aunts))


def test_a_believed_header_is_the_one_that_was_signed() -> None:
    chain = Chain(members(4))
    block = chain.add()
    state = TrustedState.from_file(chain.trust_file()).step(block)
    assert (state.header_hash, state.header) == (header_hash(block.header), block.header)
