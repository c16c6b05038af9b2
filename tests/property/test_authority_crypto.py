"""Keys that no one holds: for every threshold and membership, shares give the key and a reshare keeps it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abci_app.crypto import dealing, extraction, scalars
from abci_app.crypto.curve import G1, G2, ORDER
from abci_app.crypto.dealing import BadShare, Party
from abci_app.crypto.extraction import Answerer, Asked
from dta.crypto import dealing as dealer_side
from dta.crypto import extraction as member_side
from dta.crypto.extraction import TooFewPartials
from dta.crypto.scalar import SecretScalar
from tests.support.ceremony_crypto import World, ceremony, dealt_by, identity, scalar

A = G1.hash(b"A", b"DTA-v1-test")
ASKED = Asked(bytes(32), "suite", 1, 1, bytes(32), 1, bytes(32), 0)

sizes = st.integers(1, 5).flatmap(lambda members: st.tuples(st.just(members), st.integers(1, members)))
records = st.binary(min_size=32, max_size=32)


def secret_of(world: World) -> int:
    return sum(polynomial[0].reveal() for polynomial in world.polynomials) % ORDER


def at_zero(shares: dict[int, int]) -> int:
    weights = scalars.lagrange_at_zero(list(shares))
    return sum(share * weight for share, weight in zip(shares.values(), weights, strict=True)) % ORDER


@settings(max_examples=25, deadline=None)
@given(size=sizes, record=records, data=st.data())
def test_any_threshold_of_shares_gives_the_key_and_one_fewer_does_not(
    size: tuple[int, int], record: bytes, data: st.DataObject
) -> None:
    members, threshold = size
    world = ceremony(members, threshold, record)
    shares = {number + 1: world.share(number).reveal() for number in range(members)}
    commitments = world.commitments()
    chosen = data.draw(st.permutations(sorted(shares)))
    assert at_zero({index: shares[index] for index in chosen[:threshold]}) == secret_of(world)
    assert commitments[0] == G1.generator() * secret_of(world)
    for index, share in shares.items():
        assert dealing.public_share(commitments, index) == G1.generator() * share
    if threshold > 1:
        assert at_zero({index: shares[index] for index in chosen[: threshold - 1]}) != secret_of(world)


@settings(max_examples=15, deadline=None)
@given(size=sizes, new_size=sizes, data=st.data())
def test_a_reshare_to_any_members_and_threshold_keeps_the_key(
    size: tuple[int, int], new_size: tuple[int, int], data: st.DataObject
) -> None:
    (members, threshold), (new_members, new_threshold) = size, new_size
    old = ceremony(members, threshold)
    numbers = data.draw(st.permutations(range(members)))[:threshold]
    dealers = sorted((old.members[number] for number in numbers), key=lambda party: party.index)
    weights = scalars.lagrange_at_zero([dealer.index for dealer in dealers])
    polynomials = [
        [old.share(dealer.index - 1), *(scalar(f"r/{dealer.index}/{power}") for power in range(1, new_threshold))]
        for dealer in dealers
    ]
    parties = [Party(identity(100 + index), index) for index in range(1, new_members + 1)]
    new = dealt_by(bytes(32), dealers, parties, new_threshold, polynomials)
    commitments = new.commitments(weights)
    assert commitments[0] == old.commitments()[0]
    shares = {party.index: new.share(place, weights, dealers).reveal() for place, party in enumerate(parties)}
    chosen = data.draw(st.permutations(sorted(shares)))[:new_threshold]
    assert at_zero({index: shares[index] for index in chosen}) == secret_of(old)
    for index, share in shares.items():
        assert dealing.public_share(commitments, index) == G1.generator() * share


@settings(max_examples=25, deadline=None)
@given(bit=st.integers(0, 255), place=st.integers(0, 3), dealer=st.integers(0, 3))
def test_a_share_with_any_bit_flipped_does_not_open(bit: int, place: int, dealer: int) -> None:
    world = WORLD
    shares = list(world.dealings[dealer].shares)
    shares[place] = (int.from_bytes(shares[place], "big") ^ 1 << bit).to_bytes(32, "big")
    changed = replace(world.dealings[dealer], shares=tuple(shares))
    with pytest.raises(BadShare):
        dealer_side.open_share(
            world.record, world.members[dealer], world.members[place], world.keys[place], changed, place
        )


WORLD = ceremony(4, 3)
SHARES = [WORLD.share(number) for number in range(4)]
ANSWERERS = [Answerer(n + 1, (G1.generator() * share.reveal()).encode()) for n, share in enumerate(SHARES)]
TRANSPORT = member_side.make_transport(G1, bytes(32), 1, bytes(32), bytes(32), bytes(32), SecretScalar(99))


@settings(max_examples=20, deadline=None)
@given(answering=st.lists(st.integers(0, 3), max_size=6), wrong=st.lists(st.booleans(), min_size=6, max_size=6))
def test_partials_open_exactly_when_a_threshold_of_members_answered_well(
    answering: list[int], wrong: list[bool]
) -> None:
    transport = G1.decode(TRANSPORT.point)
    answers = []
    for number, is_wrong in zip(answering, wrong, strict=False):
        share = SHARES[(number + 1) % 4] if is_wrong else SHARES[number]
        answers.append((ANSWERERS[number], member_side.blind(ASKED, number + 1, share, A, transport)))
    good = {number for number, is_wrong in zip(answering, wrong, strict=False) if not is_wrong}
    if len(good) >= 3:
        assert member_side.open_blinded(ASKED, 3, A, TRANSPORT, answers) == A * secret_of(WORLD)
    else:
        with pytest.raises(TooFewPartials):
            member_side.open_blinded(ASKED, 3, A, TRANSPORT, answers)


@settings(max_examples=30, deadline=None)
@given(place=st.integers(0, 207), bit=st.integers(0, 7))
def test_a_proof_with_any_bit_flipped_does_not_hold(place: int, bit: int) -> None:
    partial = member_side.blind(ASKED, 1, SHARES[0], A, G1.decode(TRANSPORT.point))
    proof = bytearray(partial.proof)
    assert len(proof) == 208
    proof[place] ^= 1 << bit
    changed = replace(partial, proof=bytes(proof))
    assert extraction.blinded_holds(ASKED, ANSWERERS[0], A.encode(), TRANSPORT.point, partial)
    assert not extraction.blinded_holds(ASKED, ANSWERERS[0], A.encode(), TRANSPORT.point, changed)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=100) | st.binary(min_size=48, max_size=48) | st.binary(min_size=96, max_size=96))
def test_what_decodes_encodes_to_the_very_bytes(data: bytes) -> None:
    for group in (G1, G2):
        try:
            point = group.decode(data)
        except ValueError:
            continue
        assert point.encode() == data
        assert not point.is_identity
