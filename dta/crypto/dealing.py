"""A party's secrets in a ceremony, and what it sends (docs/spec/authority.md, Ceremony).

What is derived comes from HSM keys of the attempt: the *receive* key gives x_j from the record's known part, the *deal*
key the polynomial and the ephemeral from the full record. So the same record gives the same dealing after a restart,
another record an unrelated one, and what is destroyed with the key is never derived again.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace

from abci_app.crypto import dealing, scalars
from abci_app.crypto.curve import G1, G2
from abci_app.crypto.dealing import Dealing, Party
from abci_app.hashing import u32
from dta.crypto.proofs import RandomBytes, prove
from dta.crypto.scalar import SecretScalar
from dta.hsm.derive import derive
from dta.hsm.keystore import Keystore

RECEIVE_PURPOSE = "ceremony-receive"
COEFFICIENT_PURPOSE = "ceremony-coefficient"
EPHEMERAL_PURPOSE = "ceremony-ephemeral"


def receive_scalar(keystore: Keystore, label: str, known: bytes) -> SecretScalar:
    """x_j of this attempt, from the receive key under ``label``. Raises KeyMissing."""
    return SecretScalar.from_wide(derive(keystore, label, RECEIVE_PURPOSE, known, scalars.WIDE_BYTES))


def polynomial(
    keystore: Keystore, label: str, record: bytes, threshold: int, old_share: SecretScalar | None = None
) -> list[SecretScalar]:
    """The coefficients a_0 .. a_{threshold-1} of this dealer, from the deal key under ``label``.

    In a reshare a_0 is ``old_share``. Raises KeyMissing.
    """
    derived = [
        SecretScalar.from_wide(derive(keystore, label, COEFFICIENT_PURPOSE, record + u32(power), scalars.WIDE_BYTES))
        for power in range(threshold)
    ]
    return derived if old_share is None else [old_share, *derived[1:]]


def ephemeral_scalar(keystore: Keystore, label: str, record: bytes) -> SecretScalar:
    """e_i of this dealer, from the deal key under ``label``. Raises KeyMissing."""
    return SecretScalar.from_wide(derive(keystore, label, EPHEMERAL_PURPOSE, record, scalars.WIDE_BYTES))


def public_key(scalar: SecretScalar) -> G1:
    """``scalar*g1``."""
    return G1.generator() * scalar.reveal()


def accept(
    known: bytes, fiduciary: bytes, key: SecretScalar, random_bytes: RandomBytes = secrets.token_bytes
) -> tuple[bytes, bytes]:
    """(B = x*g1, the proof): what a member sends to accept."""
    point = public_key(key)
    return point.encode(), prove(dealing.accept_statement(known, fiduciary, point), [key], random_bytes)


def deal(
    record: bytes,
    dealer: Party,
    members: Sequence[tuple[Party, bytes]],
    coefficients: Sequence[SecretScalar],
    ephemeral: SecretScalar,
    publishes_g2: bool,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> Dealing:
    """The dealing of ``coefficients`` to ``members`` (each with its encryption key B, in the record's order)."""
    values = [coefficient.reveal() for coefficient in coefficients]
    point = public_key(ephemeral)
    shares = []
    for member, encoded in members:
        key = G1.decode(encoded)
        hidden = dealing.pad(record, dealer, member, key, point, key * ephemeral.reveal())
        shares.append(dealing.apply_pad(scalars.encode(scalars.evaluate(values, member.index)), hidden))
    commitments = [public_key(coefficient) for coefficient in coefficients]
    unproved = Dealing(
        commitments=tuple(commitment.encode() for commitment in commitments),
        ephemeral=point.encode(),
        shares=tuple(shares),
        constant_g2=(G2.generator() * values[0]).encode() if publishes_g2 else b"",
        proof=b"",
    )
    statement = dealing.dealing_statement(record, dealer, unproved, commitments, point)
    return replace(unproved, proof=prove(statement, [*coefficients, ephemeral], random_bytes))


def open_share(
    record: bytes, dealer: Party, member: Party, key: SecretScalar, dealt: Dealing, place: int
) -> SecretScalar:
    """This member's share of one dealing; ``key`` is its x, ``place`` its place among the members, from 0.

    Raises :class:`abci_app.crypto.dealing.BadShare`: accuse the dealer then.
    """
    opened = G1.decode(dealt.ephemeral) * key.reveal()
    return SecretScalar(dealing.open_share(record, dealer, member, public_key(key), dealt, place, opened))


def accuse(
    record: bytes,
    dealer: Party,
    accuser: Party,
    key: SecretScalar,
    dealt: Dealing,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> tuple[bytes, bytes]:
    """(D = x*E, the proof): what reveals one dealing's share for this member to everybody."""
    ephemeral = G1.decode(dealt.ephemeral)
    opened = ephemeral * key.reveal()
    statement = dealing.accusation_statement(record, dealer, accuser, public_key(key), ephemeral, opened)
    return opened.encode(), prove(statement, [key], random_bytes)


def combine(shares: Sequence[SecretScalar], weights: Sequence[int]) -> SecretScalar:
    """This member's share of the key: the weighted sum of what the dealers gave it.

    Weights as for :func:`abci_app.crypto.dealing.combine`.
    """
    return SecretScalar(sum(share.reveal() * weight for share, weight in zip(shares, weights, strict=True)))


def confirm(
    record: bytes, member: Party, share: SecretScalar, random_bytes: RandomBytes = secrets.token_bytes
) -> bytes:
    """The proof that this member holds its share."""
    return prove(dealing.confirm_statement(record, member, public_key(share)), [share], random_bytes)
