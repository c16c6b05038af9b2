"""A ceremony's cryptography: what an honest party makes is taken, and every attack that it must stop is tried."""

from __future__ import annotations

import hmac
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from abci_app.crypto import dealing, scalars
from abci_app.crypto.curve import G1, G2, ORDER
from abci_app.crypto.dealing import BadShare, Dealing, DealingFault, Party, ShareFault
from abci_app.crypto.proofs import Statement
from dta.base.secret import SecretBytes
from dta.crypto import dealing as prover
from dta.crypto.proofs import prove
from dta.crypto.scalar import SecretScalar
from tests.support.ceremony_crypto import KNOWN, RECORD, ceremony, dealt_by, identity, scalar, seeded

WORLD = ceremony(4, 3)
DEALER, OTHER = WORLD.members[0], WORLD.members[1]
GOOD = WORLD.dealings[0]
IDENTITY_G1 = b"\xc0" + bytes(47)
OUTSIDE_SUBGROUP = b"\x80" + bytes(46) + b"\x04"
OFF_CURVE = b"\x80" + bytes(46) + b"\x01"


def fault(dealt: Dealing, dealer: Party = DEALER, record: bytes = RECORD, g2: bool = False) -> DealingFault | None:
    return dealing.dealing_fault(record, dealer, 3, 4, g2, dealt)


# --- accept and confirm -----------------------------------------------------------------------------------------


def statement_of(dealt: Dealing) -> Statement:
    """What the first dealer proves of it."""
    commitments = [G1.decode(commitment) for commitment in dealt.commitments]
    return dealing.dealing_statement(RECORD, DEALER, dealt, commitments, G1.decode(dealt.ephemeral))


def test_an_encryption_key_is_accepted_by_its_maker_in_its_attempt_alone() -> None:
    key = scalar("x")
    point, proof = prover.accept(KNOWN, identity(1), key, seeded("accept"))
    assert dealing.accept_holds(KNOWN, identity(1), point, proof)
    assert not dealing.accept_holds(KNOWN, identity(2), point, proof)
    assert not dealing.accept_holds(RECORD, identity(1), point, proof)
    assert not dealing.accept_holds(KNOWN, identity(1), prover.public_key(scalar("y")).encode(), proof)


@pytest.mark.parametrize("point", [IDENTITY_G1, OUTSIDE_SUBGROUP, OFF_CURVE, b"", bytes(48), b"\xff" * 48])
def test_an_encryption_key_or_share_that_is_no_point_is_refused(point: bytes) -> None:
    _, proof = prover.accept(KNOWN, identity(1), scalar("x"))
    assert not dealing.accept_holds(KNOWN, identity(1), point, proof)
    assert not dealing.confirm_holds(RECORD, DEALER, point, proof)


def test_a_share_is_confirmed_by_who_holds_it() -> None:
    share = WORLD.share(0)
    public = dealing.public_share(WORLD.commitments(), 1).encode()
    proof = prover.confirm(RECORD, DEALER, share, seeded("confirm"))
    assert dealing.confirm_holds(RECORD, DEALER, public, proof)
    assert not dealing.confirm_holds(KNOWN, DEALER, public, proof)
    assert not dealing.confirm_holds(RECORD, OTHER, public, proof)
    assert not dealing.confirm_holds(RECORD, Party(DEALER.fiduciary, 2), public, proof)


def test_confirming_without_a_share_is_refused() -> None:
    public = dealing.public_share(WORLD.commitments(), 1).encode()
    guessed = prove(dealing.confirm_statement(RECORD, DEALER, G1.decode(public)), [scalar("a guess")])
    assert not dealing.confirm_holds(RECORD, DEALER, public, guessed)


def test_a_proof_of_one_kind_is_none_of_another() -> None:
    share = WORLD.share(0)
    public = prover.public_key(share)
    statement = dealing.accept_statement(RECORD, DEALER.fiduciary, public)
    assert not dealing.confirm_holds(RECORD, DEALER, public.encode(), prove(statement, [share]))


# --- derivation -------------------------------------------------------------------------------------------------


class PrfKeys:
    """As much of a keystore as derivation needs: one PRF key a label."""

    def __init__(self, **keys: bytes) -> None:
        self.keys = keys

    def prf(self, label: str, data: bytes) -> SecretBytes:
        return SecretBytes(hmac.digest(self.keys[label], data, "sha256"))


def test_one_record_gives_one_dealing_and_another_an_unrelated_one() -> None:
    keystore: Any = PrfKeys(deal=b"a", other=b"b")

    def dealt(label: str, record: bytes) -> list[int]:
        coefficients = [a.reveal() for a in prover.polynomial(keystore, label, record, 3)]
        return [*coefficients, prover.ephemeral_scalar(keystore, label, record).reveal()]

    first = dealt("deal", RECORD)
    assert first == dealt("deal", RECORD)
    together = first + dealt("deal", KNOWN) + dealt("other", RECORD)
    together.append(prover.receive_scalar(keystore, "deal", RECORD).reveal())
    assert len(set(together)) == 13
    old_share = scalar("old share")
    assert prover.polynomial(keystore, "deal", RECORD, 3, old_share)[0] == old_share
    resharing = [a.reveal() for a in prover.polynomial(keystore, "deal", RECORD, 3, old_share)]
    assert resharing == [old_share.reveal(), *first[1:3]]


def test_the_key_that_received_depends_on_the_attempt() -> None:
    keystore: Any = PrfKeys(receive=b"a", other=b"b")
    first = prover.receive_scalar(keystore, "receive", KNOWN)
    assert first == prover.receive_scalar(keystore, "receive", KNOWN)
    assert first != prover.receive_scalar(keystore, "receive", RECORD)
    assert first != prover.receive_scalar(keystore, "other", KNOWN)


# --- deal -------------------------------------------------------------------------------------------------------


def test_an_honest_dealing_is_taken_from_its_dealer_in_its_ceremony_alone() -> None:
    assert fault(GOOD) is None
    assert fault(GOOD, dealer=OTHER) is DealingFault.PROOF
    assert fault(GOOD, dealer=Party(DEALER.fiduciary, 2)) is DealingFault.PROOF
    assert fault(GOOD, record=sha256(b"another attempt").digest()) is DealingFault.PROOF


def test_everything_that_a_dealer_sends_is_covered_by_its_proof() -> None:
    other = WORLD.dealings[1]
    changed = {
        "a commitment": replace(GOOD, commitments=(*GOOD.commitments[:2], other.commitments[2])),
        "the first commitment": replace(GOOD, commitments=(other.commitments[0], *GOOD.commitments[1:])),
        "commitments in another order": replace(GOOD, commitments=GOOD.commitments[::-1]),
        "the ephemeral": replace(GOOD, ephemeral=other.ephemeral),
        "a share": replace(GOOD, shares=(*GOOD.shares[:3], other.shares[3])),
        "shares in another order": replace(GOOD, shares=GOOD.shares[::-1]),
        "the proof": replace(GOOD, proof=other.proof),
    }
    for what, dealt in changed.items():
        assert fault(dealt) is DealingFault.PROOF, what


def test_a_copied_ephemeral_does_not_make_a_decryption_oracle() -> None:
    """The attack: deal under another's E, be accused by an honest member, and read D = x_j*E from its accusation.

    A corrupt dealer knows its own a_0 but not the e of E; with a proof of a_0 alone this dealing would be taken, and
    two corrupt members of four would recover the key.
    """
    victim = WORLD.dealings[1]
    mine = [scalar(f"mine/{power}") for power in range(3)]
    copied = Dealing(
        commitments=tuple(prover.public_key(coefficient).encode() for coefficient in mine),
        ephemeral=victim.ephemeral,
        shares=tuple(bytes(32) for _ in range(4)),
        constant_g2=b"",
        proof=b"",
    )
    statement = statement_of(copied)
    at = 3 * G1.BYTES  # where E's announcement stands, behind those of the coefficients
    own = prove(statement, [*mine, mine[0]])
    attempts = {
        "the e of another": prove(statement, [*mine, scalar("not e")]),
        "the victim's proof": victim.proof,
        "half of each": own[:at] + victim.proof[at : at + G1.BYTES] + own[at + G1.BYTES : -32] + victim.proof[-32:],
    }
    for what, proof in attempts.items():
        assert fault(replace(copied, proof=proof)) is DealingFault.PROOF, what
    # What it would have been worth: the accusation opens the victim's share to everybody.
    member, key = WORLD.members[2], WORLD.keys[2]
    opened, _ = prover.accuse(RECORD, DEALER, member, key, copied)
    point = prover.public_key(key)
    read = dealing.open_share(RECORD, OTHER, member, point, victim, 2, G1.decode(opened))
    assert read == scalars.evaluate([a.reveal() for a in WORLD.polynomials[1]], 3)


def test_another_dealers_whole_dealing_is_refused() -> None:
    assert fault(WORLD.dealings[1], dealer=DEALER) is DealingFault.PROOF


@pytest.mark.parametrize("point", [IDENTITY_G1, OUTSIDE_SUBGROUP, OFF_CURVE, b"", bytes(48), GOOD.ephemeral[:-1]])
def test_a_point_that_is_none_is_refused_in_every_place(point: bytes) -> None:
    for place in range(3):
        commitments = (*GOOD.commitments[:place], point, *GOOD.commitments[place + 1 :])
        assert fault(replace(GOOD, commitments=commitments)) is DealingFault.POINT
    assert fault(replace(GOOD, ephemeral=point)) is DealingFault.POINT


def test_another_number_of_commitments_or_shares_is_refused() -> None:
    for dealt in (
        replace(GOOD, commitments=GOOD.commitments[:2]),
        replace(GOOD, commitments=(*GOOD.commitments, GOOD.ephemeral)),
        replace(GOOD, commitments=()),
        replace(GOOD, shares=GOOD.shares[:3]),
        replace(GOOD, shares=(*GOOD.shares, bytes(32))),
        replace(GOOD, shares=()),
    ):
        assert fault(dealt) is DealingFault.FORM


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_truncated_or_longer_share_is_refused(length: int) -> None:
    shares = ((GOOD.shares[0] * 2)[:length], *GOOD.shares[1:])
    assert fault(replace(GOOD, shares=shares)) is DealingFault.FORM


@pytest.mark.parametrize("length", [0, 1, 2 * 48 + 2 * 32 - 1, 2 * 48 + 2 * 32 + 1])
def test_a_proof_of_another_length_is_refused(length: int) -> None:
    assert fault(replace(GOOD, proof=(GOOD.proof * 2)[:length])) is DealingFault.PROOF


def test_a_first_key_that_is_published_in_g2_carries_the_same_scalar_there() -> None:
    world = ceremony(4, 3, publishes_g2=True)
    good = world.dealings[0]
    assert fault(good, g2=True) is None
    assert fault(good) is DealingFault.FORM
    assert fault(GOOD, g2=True) is DealingFault.FORM
    assert fault(replace(good, constant_g2=b"\xc0" + bytes(95)), g2=True) is DealingFault.POINT
    # Another scalar in G2, everything else honest: the proof is made over it, so only the pairing can tell.
    wrong = replace(good, constant_g2=(G2.generator() * 7).encode())
    proof = prove(statement_of(wrong), [*world.polynomials[0], scalar(f"{RECORD.hex()}/e/1")])
    assert fault(replace(wrong, proof=proof), g2=True) is DealingFault.CONSTANT_G2
    total = G2.sum(G2.decode(dealt.constant_g2) for dealt in world.dealings)
    assert dealing.same_scalar(world.commitments()[0], total)


# --- shares and accusations -------------------------------------------------------------------------------------


def dealing_with(share: bytes, place: int = 1) -> Dealing:
    """The first dealer's, with ``share`` (32 bytes) encrypted to the member at ``place``."""
    member, key = WORLD.members[place], prover.public_key(WORLD.keys[place])
    ephemeral = scalar(f"{RECORD.hex()}/e/1")
    hidden = dealing.pad(
        RECORD, DEALER, member, key, prover.public_key(ephemeral), key * ephemeral.reveal()
    )
    shares = [*GOOD.shares[:place], dealing.apply_pad(share, hidden), *GOOD.shares[place + 1 :]]
    unproved = replace(GOOD, shares=tuple(shares))
    return replace(unproved, proof=prove(statement_of(unproved), [*WORLD.polynomials[0], ephemeral]))


def true_share(place: int = 1) -> int:
    return scalars.evaluate([coefficient.reveal() for coefficient in WORLD.polynomials[0]], place + 1)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (scalars.encode(true_share() + 1), ShareFault.COMMITMENTS),
        (scalars.encode(true_share(2)), ShareFault.COMMITMENTS),
        (bytes(32), ShareFault.COMMITMENTS),
        ((ORDER).to_bytes(32, "big"), ShareFault.SCALAR),
        (b"\xff" * 32, ShareFault.SCALAR),
        *(
            ((true_share() + times * ORDER).to_bytes(32, "big"), ShareFault.SCALAR)
            for times in (1, 2)
            if true_share() + times * ORDER < 2**256
        ),
    ],
)
def test_a_wrong_share_is_opened_alike_by_recipient_and_ledger_and_its_dealer_blamed(
    share: bytes, expected: ShareFault
) -> None:
    dealt = dealing_with(share)
    assert fault(dealt) is None  # nobody but the recipient can see it
    with pytest.raises(BadShare) as caught:
        prover.open_share(RECORD, DEALER, OTHER, WORLD.keys[1], dealt, 1)
    assert caught.value.fault is expected
    key = WORLD.encryption_keys()[1]
    opened, proof = prover.accuse(RECORD, DEALER, OTHER, WORLD.keys[1], dealt, seeded("accuse"))
    assert dealing.accusation_holds(RECORD, DEALER, OTHER, key, dealt.ephemeral, opened, proof)
    assert dealing.accusation_upheld(RECORD, DEALER, OTHER, key, dealt, 1, opened)


def test_a_share_that_is_not_encrypted_is_no_share_to_its_recipient() -> None:
    shares = (GOOD.shares[0], scalars.encode(true_share()), *GOOD.shares[2:])
    with pytest.raises(BadShare):
        prover.open_share(RECORD, DEALER, OTHER, WORLD.keys[1], replace(GOOD, shares=shares), 1)


def test_a_false_accusation_is_seen_to_be_false() -> None:
    key = WORLD.encryption_keys()[1]
    opened, proof = prover.accuse(RECORD, DEALER, OTHER, WORLD.keys[1], GOOD)
    assert dealing.accusation_holds(RECORD, DEALER, OTHER, key, GOOD.ephemeral, opened, proof)
    assert not dealing.accusation_upheld(RECORD, DEALER, OTHER, key, GOOD, 1, opened)


def test_an_accusation_with_a_bad_proof_is_refused() -> None:
    key = WORLD.encryption_keys()[1]
    opened, proof = prover.accuse(RECORD, DEALER, OTHER, WORLD.keys[1], GOOD)

    def holds(record: bytes = RECORD, dealer: Party = DEALER, accuser: Party = OTHER, **changed: bytes) -> bool:
        parts = {"key": key, "ephemeral": GOOD.ephemeral, "opened": opened, "proof": proof, **changed}
        return dealing.accusation_holds(record, dealer, accuser, **parts)

    assert holds()
    assert not holds(record=KNOWN)
    assert not holds(dealer=WORLD.members[2])
    assert not holds(accuser=WORLD.members[2])
    assert not holds(key=WORLD.encryption_keys()[2])
    assert not holds(ephemeral=WORLD.dealings[1].ephemeral)
    assert not holds(opened=(G1.decode(opened) + G1.generator()).encode())
    assert not holds(opened=IDENTITY_G1)
    assert not holds(opened=OUTSIDE_SUBGROUP)
    assert not holds(proof=proof[:-1])
    assert not holds(proof=bytes(len(proof)))


def test_a_wrong_opening_cannot_be_proved_to_frame_a_dealer() -> None:
    """A D that is not x*E would decrypt to rubbish: the proof of equal logarithms stands in the way."""
    key, ephemeral = prover.public_key(WORLD.keys[1]), G1.decode(GOOD.ephemeral)
    wrong = ephemeral * 5
    statement = dealing.accusation_statement(RECORD, DEALER, OTHER, key, ephemeral, wrong)
    for witness in (WORLD.keys[1], SecretScalar(5)):
        proof = prove(statement, [witness])
        assert not dealing.accusation_holds(
            RECORD, DEALER, OTHER, key.encode(), GOOD.ephemeral, wrong.encode(), proof
        )


# --- what it adds up to -----------------------------------------------------------------------------------------


def test_public_shares_are_those_of_the_opened_shares() -> None:
    commitments = WORLD.commitments()
    for number, member in enumerate(WORLD.members):
        assert prover.public_key(WORLD.share(number)) == dealing.public_share(commitments, member.index)
    secret = sum(polynomial[0].reveal() for polynomial in WORLD.polynomials)
    assert commitments[0] == G1.generator() * secret


def test_a_threshold_of_shares_gives_the_key_and_fewer_give_another() -> None:
    secret = sum(polynomial[0].reveal() for polynomial in WORLD.polynomials) % ORDER
    values = {member.index: WORLD.share(number).reveal() for number, member in enumerate(WORLD.members)}

    def at_zero(indices: list[int]) -> int:
        weights = scalars.lagrange_at_zero(indices)
        return sum(values[index] * weight for index, weight in zip(indices, weights, strict=True)) % ORDER

    for indices in ([1, 2, 3], [4, 2, 1], [1, 2, 3, 4]):
        assert at_zero(indices) == secret
    for indices in ([1, 2], [3, 4], [2]):
        assert at_zero(indices) != secret


def test_a_reshare_keeps_the_key_and_old_shares_do_not_mix_with_new_ones() -> None:
    dealers = [WORLD.members[number] for number in (0, 2, 3)]
    weights = scalars.lagrange_at_zero([dealer.index for dealer in dealers])
    members = [Party(identity(number), index) for index, number in enumerate((2, 3, 4, 5, 6), start=1)]
    record = sha256(b"reshare").digest()
    polynomials = [
        [WORLD.share(dealer.index - 1), *(scalar(f"new/{dealer.index}/{power}") for power in range(1, 4))]
        for dealer in dealers
    ]
    world = dealt_by(record, dealers, members, 4, polynomials)
    for dealer, dealt in zip(dealers, world.dealings, strict=True):
        assert dealing.dealing_fault(record, dealer, 4, 5, False, dealt) is None
        assert dealt.commitments[0] == dealing.public_share(WORLD.commitments(), dealer.index).encode()
    commitments = world.commitments(weights)
    assert commitments[0] == WORLD.commitments()[0]
    new = {member.index: world.share(number, weights, dealers) for number, member in enumerate(members)}
    for index, share in new.items():
        assert prover.public_key(share) == dealing.public_share(commitments, index)
    secret = sum(polynomial[0].reveal() for polynomial in WORLD.polynomials) % ORDER
    indices = [2, 3, 4, 5]
    mixed = [WORLD.share(0).reveal(), *(new[index].reveal() for index in indices[:3])]
    lagrange = scalars.lagrange_at_zero(indices)
    assert sum(new[i].reveal() * w for i, w in zip(indices, lagrange, strict=True)) % ORDER == secret
    for places in ([1, 2, 3, 4], [5, 2, 3, 4]):
        weighted = zip(mixed, scalars.lagrange_at_zero(places), strict=True)
        assert sum(value * weight for value, weight in weighted) % ORDER != secret
