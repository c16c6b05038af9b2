"""The one form of proof: it holds for what was proved, and for nothing that differs in any byte."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from abci_app.crypto import proofs, scalars
from abci_app.crypto.curve import G1, G2, ORDER
from abci_app.crypto.proofs import Equation, Proof, Statement
from abci_app.crypto.transcript import challenge
from dta.base.secret import SecretBytes
from dta.crypto.proofs import hedged, prove
from dta.crypto.scalar import SecretScalar
from tests.support.ceremony_crypto import scalar, seeded

W = [scalar("w0"), scalar("w1")]
BASE = G2.hash(b"base", b"DTA-v1-test")


def mixed() -> Statement:
    """One equation in G1, two in G2, two witnesses."""
    g1, g2 = G1.generator(), G2.generator()
    images = (g1 * W[0].reveal(), g2 * W[1].reveal(), BASE * W[0].reveal() + g2 * W[1].reveal())
    equations = (
        Equation(images[0], ((g1, 0),)),
        Equation(images[1], ((g2, 1),)),
        Equation(images[2], ((BASE, 0), (g2, 1))),
    )
    return Statement("DTA-v1-test", (b"context", *(image.encode() for image in images)), equations)


def test_a_proof_in_both_groups_holds() -> None:
    statement = mixed()
    proof = prove(statement, W, seeded("mixed"))
    assert len(proof) == statement.proof_bytes == 48 + 96 + 96 + 64
    assert proofs.holds(statement, proof)
    assert proofs.decode(statement, proof).encode() == proof


def test_every_byte_of_a_proof_counts() -> None:
    statement = mixed()
    proof = prove(statement, W, seeded("mixed"))
    for place in range(0, len(proof), 7):
        changed = proof[:place] + bytes((proof[place] ^ 1,)) + proof[place + 1 :]
        assert not proofs.holds(statement, changed)
    for data in (b"", proof[:-1], proof + b"\0", proof * 2, bytes(len(proof))):
        assert not proofs.holds(statement, data)


def test_a_proof_does_not_hold_for_another_statement() -> None:
    statement = mixed()
    proof = prove(statement, W, seeded("mixed"))
    assert not proofs.holds(replace(statement, tag="DTA-v1-other"), proof)
    assert not proofs.holds(replace(statement, context=statement.context[1:]), proof)
    assert not proofs.holds(replace(statement, context=(*statement.context, b"")), proof)
    moved = (b"contex", b"t" + statement.context[1], *statement.context[2:])
    assert not proofs.holds(replace(statement, context=moved), proof)
    other = replace(statement.equations[2], image=statement.equations[2].image + G2.generator())
    assert not proofs.holds(replace(statement, equations=(*statement.equations[:2], other)), proof)


def test_witnesses_that_differ_between_the_groups_prove_nothing() -> None:
    """c3 is made with another s than the public share's: no response serves both equations."""
    statement = mixed()
    wrong = BASE * 5 + G2.generator() * W[1].reveal()
    false = replace(statement, equations=(*statement.equations[:2], replace(statement.equations[2], image=wrong)))
    for witnesses in (W, [SecretScalar(5), W[1]]):
        assert not proofs.holds(false, prove(false, witnesses))


def test_a_response_that_is_not_reduced_is_refused() -> None:
    statement = Statement("DTA-v1-test", (b"",), (Equation(G1.generator(), ((G1.generator(), 0),)),))
    random = seeded("reduced")
    for _ in range(20):
        proof = prove(statement, [SecretScalar(1)], random)
        response = int.from_bytes(proof[48:], "big") + ORDER
        if response < 2**256:
            assert proofs.holds(statement, proof)
            assert not proofs.holds(statement, proof[:48] + response.to_bytes(32, "big"))
            return
    raise AssertionError("no response below 2^256 - r was found")


def test_an_announcement_that_is_the_identity_is_refused() -> None:
    """k = 0: the response c*w shows the witness. Only a careless prover sends it, and the ledger must not take it."""
    statement = Statement("DTA-v1-test", (b"",), (Equation(G1.generator() * 5, ((G1.generator(), 0),)),))
    announcement = G1.identity().encode()
    c = proofs.challenge_of(statement, (announcement,))
    assert not proofs.holds(statement, Proof((announcement,), (c * 5 % ORDER,)).encode())


def test_nonces_change_with_the_statement_with_the_witness_and_with_fresh_bytes() -> None:
    """Under one nonce two challenges give the witness away; so even a generator that repeats itself gets no two."""

    def constant(count: int) -> bytes:
        return bytes(count)

    statement = mixed()
    first = proofs.decode(statement, prove(statement, W, constant))
    again = proofs.decode(statement, prove(statement, W, constant))
    fresh = proofs.decode(statement, prove(statement, W, seeded("fresh")))
    other_statement = replace(statement, context=(b"other", *statement.context[1:]))
    other = proofs.decode(other_statement, prove(other_statement, W, constant))
    assert first == again
    for changed in (fresh, other):
        assert not set(first.announcements) & set(changed.announcements)
    assert hedged("DTA-v1-x", [b"a"], W, 0, bytes(32)) != hedged("DTA-v1-x", [b"a"], W[::-1], 0, bytes(32))
    assert hedged("DTA-v1-x", [b"a"], W, 0, bytes(32)) != hedged("DTA-v1-x", [b"a"], W, 1, bytes(32))


def test_the_wrong_number_of_witnesses_is_an_error() -> None:
    with pytest.raises(ValueError, match="witness"):
        prove(mixed(), W[:1])


def test_challenges_are_length_prefixed() -> None:
    assert challenge("DTA-v1-a", b"bc", b"d") != challenge("DTA-v1-a", b"b", b"cd")
    assert challenge("DTA-v1-a", b"") != challenge("DTA-v1-a")
    assert challenge("DTA-v1-a", b"x") != challenge("DTA-v1-b", b"x")
    assert 0 <= challenge("DTA-v1-a") < ORDER


def test_scalars_are_decoded_in_one_form() -> None:
    assert scalars.decode(scalars.encode(ORDER - 1)) == ORDER - 1
    assert scalars.decode(bytes(32)) == 0
    for data in (b"", bytes(31), bytes(33), ORDER.to_bytes(32, "big"), b"\xff" * 32):
        with pytest.raises(scalars.BadScalar):
            scalars.decode(data)
    with pytest.raises(ValueError, match="48"):
        scalars.from_wide(bytes(47))
    assert scalars.from_wide((ORDER + 3).to_bytes(48, "big")) == 3
    assert scalars.inverse(7) * 7 % ORDER == 1
    for indices in ([1, 1], [0, 1], [1, ORDER], [2, ORDER + 2]):
        with pytest.raises(ValueError, match="distinct"):
            scalars.lagrange_at_zero(indices)


def test_a_secret_scalar_shows_nothing() -> None:
    secret = SecretScalar(12345)
    assert repr(secret) == str(secret) == f"{secret}" == f"{secret:x}" == "<redacted>"
    assert secret == SecretScalar(12345 + ORDER)
    assert secret != SecretScalar(12346)
    assert secret != 12345
    assert SecretScalar.from_wide(SecretBytes(bytes(47) + b"\x05")).reveal() == 5
    assert SecretScalar.random() != SecretScalar.random()
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        hash(secret)
