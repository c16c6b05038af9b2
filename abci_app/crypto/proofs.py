"""Proofs that somebody knows the scalars behind points (Schnorr; Maurer, "Unifying zero-knowledge proofs of
knowledge", 2009): one form for every proof of the authority (docs/spec/authority.md, Proofs).

A statement is a list of equations ``image = base_1 * w_1 + base_2 * w_2 + ...`` over secret scalars w, the witnesses,
which the equations share. They may be in G1 and G2 at once: both have order r. A proof is one announcement an equation
(``base_1 * k_1 + ...`` for random k), each in its group's encoding, then one response a witness (``k + c * w``, 32
bytes); ``c`` is the challenge over all of the statement and the announcements.
"""

from __future__ import annotations

from dataclasses import dataclass

from abci_app.crypto import scalars
from abci_app.crypto.curve import ORDER, SCALAR_BYTES, Point
from abci_app.crypto.transcript import challenge


@dataclass(frozen=True, slots=True)
class Equation:
    """``image`` is the sum of ``base * witness``; ``terms`` are pairs of a base and its witness's number, from 0."""

    image: Point
    terms: tuple[tuple[Point, int], ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """What is proved. ``context`` is all that the challenge covers, in order: each point of the equations too."""

    tag: str
    context: tuple[bytes, ...]
    equations: tuple[Equation, ...]

    @property
    def witnesses(self) -> int:
        """How many witnesses the equations have."""
        return 1 + max(number for equation in self.equations for _, number in equation.terms)

    @property
    def proof_bytes(self) -> int:
        """How long a proof is."""
        return sum(equation.image.BYTES for equation in self.equations) + SCALAR_BYTES * self.witnesses


@dataclass(frozen=True, slots=True)
class Proof:
    """``announcements`` are encodings, one an equation; ``responses`` scalars, one a witness."""

    announcements: tuple[bytes, ...]
    responses: tuple[int, ...]

    def encode(self) -> bytes:
        """Announcements, then responses."""
        return b"".join(self.announcements) + b"".join(scalars.encode(response) for response in self.responses)


class BadProof(ValueError):
    """The bytes are not a proof of the statement's form."""


def challenge_of(statement: Statement, announcements: tuple[bytes, ...]) -> int:
    """The challenge of a proof of ``statement`` with these announcements."""
    return challenge(statement.tag, *statement.context, *announcements)


def decode(statement: Statement, data: bytes) -> Proof:
    """A proof for ``statement``. Raises :class:`BadProof` for another length or a response that is not reduced."""
    if len(data) != statement.proof_bytes:
        raise BadProof
    offset, announcements = 0, []
    for equation in statement.equations:
        announcements.append(data[offset : offset + equation.image.BYTES])
        offset += equation.image.BYTES
    try:
        responses = tuple(scalars.decode(data[at : at + SCALAR_BYTES]) for at in range(offset, len(data), SCALAR_BYTES))
    except scalars.BadScalar:
        raise BadProof from None
    return Proof(tuple(announcements), responses)


def holds(statement: Statement, data: bytes) -> bool:
    """Whether ``data`` is a proof of ``statement``. Never raises. The statement's points are decoded already.

    An announcement is computed from the responses and compared as bytes, so that what was sent never needs decoding:
    only the canonical encoding of the very point is equal. The identity is none.
    """
    try:
        proof = decode(statement, data)
    except BadProof:
        return False
    c = ORDER - challenge_of(statement, proof.announcements)
    for equation, announcement in zip(statement.equations, proof.announcements, strict=True):
        announced = equation.image * c
        for base, number in equation.terms:
            announced = announced + base * proof.responses[number]
        if announced.encode() != announcement or announced.is_identity:
            return False
    return True
